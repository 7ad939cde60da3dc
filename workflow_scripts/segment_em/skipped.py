"""What was left out of an index because it was damaged, in the index file (docs/format.md)."""

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from segment_em import hdf5
from segment_em.framing import Damage

GROUP = "skipped"
NUMBERS = ("file", "record", "offset", "bytes")
REINDEX = "delete it and build the index again"


def skipped_records(path: str | Path) -> list[Damage]:
    """The damaged records that an index file leaves out, by file and offset; mostly none.

    Raises InputError for a file that is no HDF5 file, or whose group is not as it must be.
    """
    with hdf5.opened(path) as file:
        return read_skipped(str(path), file)


def read_skipped(path: str, file: h5py.File) -> list[Damage]:
    """skipped_records of a file that is open; `path` is for messages."""
    if GROUP not in file:
        return []
    files = hdf5.strings(path, file, "files", REINDEX)
    reasons = hdf5.strings(path, file, f"{GROUP}/reason", REINDEX)
    numbers = [
        hdf5.array(path, file, f"{GROUP}/{name}", "i", len(reasons), REINDEX).tolist()
        for name in NUMBERS
    ]
    hdf5.require(
        all(0 <= position < len(files) for position in numbers[0]),
        f"{path}: {GROUP}/file names files that are not there: {REINDEX}",
    )
    return [
        Damage(files[position], *place, reason)
        for position, *place, reason in zip(*numbers, reasons, strict=True)
    ]


def skipped_datasets(skipped: Sequence[Damage], files: Sequence[str]) -> dict[str, np.ndarray]:
    """The datasets of the group; none where nothing was left out."""
    if not skipped:
        return {}
    position = {file: number for number, file in enumerate(files)}
    columns = {
        "file": np.array([position[damage.file] for damage in skipped], np.int32),
        **{
            name: np.array([getattr(damage, name) for damage in skipped], np.int64)
            for name in NUMBERS[1:]
        },
        "reason": np.array([damage.reason for damage in skipped], str),
    }
    return {f"{GROUP}/{name}": column for name, column in columns.items()}
