"""What ends a job in one line: input that a user can mend, and a signal."""


class InputError(ValueError):
    """Bad input. Its message is one line: where, what is wrong, and the remedy."""


class StoppedError(Exception):
    """A signal ended the job, and its state is kept. The message is one line."""

    def __init__(self, signal_number: int, message: str) -> None:
        super().__init__(message)
        self.signal_number = signal_number
