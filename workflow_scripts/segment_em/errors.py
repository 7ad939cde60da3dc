"""The one exception for what a user can mend: bad data, bad configuration, missing files."""


class InputError(ValueError):
    """Bad input. Its message is one line: where, what is wrong, and the remedy."""
