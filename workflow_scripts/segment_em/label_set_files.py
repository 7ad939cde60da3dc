"""Reading a label set, apart from how it is made: an edit of that repeats no M-step by itself."""

from pathlib import Path

import numpy as np

from segment_em.errors import InputError
from segment_em.hdf5 import DELETE

# In order, and the kinds of their dtypes, see KINDS.
COLUMNS = {"class": "i", "threshold_others": "if", "threshold": "if", "videos": "i"}
COLUMNS |= {"videos_with_positive": "i", "positives": "i", "score_sum": "if", "segments": "i"}
KINDS = {"i": "integers from 0", "if": "numbers"}


def read(path: str | Path) -> np.ndarray:
    """A label set as label_sets.label_set made it: a structured array with COLUMNS, a row a class.

    Raises InputError on a file that was cut or changed.
    """
    text = Path(path).read_bytes()
    if not (text.strip() and text.endswith(b"\n")):
        raise InputError(f"{path}: cut short: {DELETE}")
    try:
        # Each column by what it holds: as a float64 a class id above 2^53 would be another one.
        table = np.genfromtxt(path, dtype=None, delimiter=",", names=True, ndmin=1)
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not a table of numbers ({reason}): {DELETE}") from None
    for name, kinds in COLUMNS.items():
        if name not in (table.dtype.names or ()):
            raise InputError(f"{path}: no column {name}: {DELETE}")
        # An empty cell is read as -1 or nan. A threshold may lie below 0 (thresholds.below_best).
        column, least = table[name], {"i": 0, "if": -np.inf}[kinds]
        if column.dtype.kind not in kinds or not (column >= least).all():
            raise InputError(f"{path}: column {name} is not of {KINDS[kinds]}: {DELETE}")
    segments = table["segments"]
    if (segments != segments[0]).any() or (table["positives"] > segments).any():
        raise InputError(
            f"{path}: segments are not the same number in each row, at least positives: {DELETE}"
        )
    if ((table["score_sum"] < 0) | (table["score_sum"] > table["positives"])).any():
        raise InputError(f"{path}: column score_sum is not from 0 to positives: {DELETE}")
    return table


def thresholds(table: np.ndarray) -> np.ndarray:
    """float64 [C, 2]: in videos that do not carry a class, and in those that do."""
    return np.stack([table["threshold_others"], table["threshold"]], axis=1)
