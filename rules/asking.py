"""How much memory a job asks for."""

import csv
import os
from collections.abc import Iterable

# Bytes of memory at most for each byte of a file of pseudo-labels that is counted: by its peak, the
# inspection of calibrated scores.
COUNTING = 7
# What an M-step holds of a label while it joins those of all files, and of an entry of these files.
LABEL_BYTES, ENTRY_BYTES = 18, 9


def megabytes(
    own: int,
    processes: int,
    attempt: int,
    whole: Iterable[str],
    counted: Iterable[str],
    held: float = 0,
) -> int:
    """For all processes: what each takes by itself, more at a further try, and its inputs.

    own: MB of a process beside its inputs, at the first try. attempt: see doubled. whole: inputs
    that each process holds at once. counted: pseudo-labels that it counts a file at a time. held:
    bytes that it keeps of these. An input that is not there yet raises FileNotFoundError, and
    Snakemake asks again when it is.
    """
    largest = max(map(os.path.getsize, counted), default=0)
    inputs = (sum(map(os.path.getsize, whole)) + COUNTING * largest + held) / 1e6
    return int(processes * (doubled(own, attempt) + inputs))


def doubled(asked: int, attempt: int) -> int:
    """Twice as much at a second try and four times at each further one. attempt: from 1 on.

    Not more, since a job that is tried often ended by something else, such as its time.
    """
    return asked * 2 ** min(attempt - 1, 2)


def label_bytes(pseudo_labels: Iterable[str], label_set: str | None) -> int:
    """What an M-step holds of these files: the labels of a label set; None: all entries.

    A label set that was cut or changed asks for nothing: the job itself says what is wrong with it.
    """
    if label_set is None:
        return LABEL_BYTES * sum(map(os.path.getsize, pseudo_labels)) // ENTRY_BYTES
    with open(label_set, encoding="utf-8", newline="") as file:
        try:
            return LABEL_BYTES * sum(int(row["positives"]) for row in csv.DictReader(file))
        except (KeyError, TypeError, ValueError, csv.Error):
            return 0
