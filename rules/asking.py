"""How much memory a job asks for."""

import os
from collections.abc import Iterable

# Bytes of memory at most for each byte of a file of pseudo-labels that is counted: by its peak, the
# inspection of calibrated scores.
COUNTING = 7


def megabytes(
    own: int, processes: int, attempt: int, whole: Iterable[str], counted: Iterable[str]
) -> int:
    """For all processes: what each takes by itself, twice that each try, and its inputs.

    own: MB of a process beside its inputs, at the first try. attempt: from 1 on. whole: inputs that
    each process holds at once, named twice where they take twice their size. counted: pseudo-labels
    that it counts a file at a time. An input that is not there yet raises FileNotFoundError, and
    Snakemake asks again when it is.
    """
    largest = max(map(os.path.getsize, counted), default=0)
    inputs = (sum(map(os.path.getsize, whole)) + COUNTING * largest) / 1e6
    return int(processes * (own * 2 ** (attempt - 1) + inputs))
