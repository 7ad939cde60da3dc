"""Rules for the options of a model, as its annotations write them.

`heads: Annotated[int, "at least 1", "a divisor of hidden"]`: the configuration is held against
these words before any job, without importing the model, and the options when a model is built.
"""

from collections.abc import Mapping
from typing import Any


def keeps(rule: str, value: float, options: Mapping[str, Any]) -> bool:
    """Whether a value is "at least", "above" or "below" a number, or "a divisor of" an option."""
    kind, _, bound = rule.rpartition(" ")
    if kind == "at least":
        return value >= float(bound)
    if kind == "above":
        return value > float(bound)
    if kind == "below":
        return value < float(bound)
    if kind == "a divisor of":
        return not value or not options[bound] % value
    raise ValueError(f"no rule for options: {rule!r}")
