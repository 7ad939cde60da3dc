"""Rules for the options of a model, as its annotations write them.

`heads: Annotated[int, "at least 1", "a divisor of hidden"]`: the configuration is held against
these words before any job, without importing the model, and the options when a model is built.
"""

import math
import operator
from collections.abc import Container, Mapping
from typing import Any

BOUNDS = {"at least": operator.ge, "above": operator.gt, "below": operator.lt}
DIVISOR = "a divisor of"


def is_rule(rule: object, options: Container[str]) -> bool:
    """Whether it is a rule: a bound and a number, or "a divisor of" one of the options."""
    kind, _, bound = str(rule).rpartition(" ")
    if kind == DIVISOR:
        return bound in options
    return kind in BOUNDS and _is_number(bound)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def holds(rule: str, value: float, options: Mapping[str, Any]) -> bool:
    """Whether an option's value is as a rule says; options: all of them, by name."""
    kind, _, bound = rule.rpartition(" ")
    if kind == DIVISOR:
        return not value or not options[bound] % value
    return BOUNDS[kind](value, float(bound))
