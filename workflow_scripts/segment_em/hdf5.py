"""Reading HDF5 files that someone else may have written: what is not as it must be is one line."""

import errno
import mmap
import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from segment_em.errors import InputError

DELETE = "delete it to make it anew"
# By numpy's letters of dtypes.
KINDS = {"i": "signed integers", "u": "unsigned integers", "b": "booleans"}
KINDS |= {"iu": "integers", "fiub": "numbers"}
TOO_MANY_OPEN = (errno.EMFILE, errno.ENFILE)


@contextmanager
def opened(path: str | Path, remedy: str = DELETE) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading; InputError, with the remedy, where it cannot be read."""
    try:
        with h5py.File(path, "r") as file:
            yield file
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    # A damaged file fails inside HDF5 with whatever its library makes of what it finds.
    except (OSError, RuntimeError, KeyError) as error:
        if not (isinstance(error, OSError) or _of_h5py(error)):
            raise
        reason, number = " ".join(str(error).split()), getattr(error, "errno", None)
        if number in TOO_MANY_OPEN:
            raise InputError(f"{path}: {reason}: raise the limit, see ulimit -n") from error
        if number is not None:  # the system refused; nothing is known of what is in the file
            refusal = os.strerror(number)
            raise InputError(
                f"{path}: cannot be read ({refusal}): look at its permissions and its disk"
            ) from error
        raise InputError(f"{path}: not a readable HDF5 file ({reason}): {remedy}") from error


def _of_h5py(error: Exception) -> bool:
    """Whether h5py raised it, and not the code that reads by it, whose mistake is no damage."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return frame.f_globals.get("__name__", "").startswith("h5py.")


def is_hdf5(path: str | Path) -> bool:
    """Whether it is an HDF5 file by its first bytes, whatever its name."""
    return Path(path).is_file() and h5py.is_hdf5(path)


def require_encoding(path: str | Path, file: h5py.File, kind: str, version: str) -> None:
    """Raise InputError unless the file says that it is of this type and version."""
    found = file.attrs.get("encoding-type"), file.attrs.get("encoding-version")
    require(
        found == (kind, version),
        f"{path}: encoding is {found[0]} {found[1]}, this version reads {kind} {version}: {DELETE}",
    )


def mapped(path: str, file: h5py.File, key: str, dtype: type, shape: tuple[int, ...]) -> np.ndarray:
    """A contiguous dataset, mapped: pages are read when they are touched. -1: of any length."""
    dataset = file.get(key)
    require(isinstance(dataset, h5py.Dataset), f"{path}: dataset {key} is missing: {DELETE}")
    fits = len(shape) == dataset.ndim and all(
        wanted in (-1, size) for wanted, size in zip(shape, dataset.shape, strict=False)
    )
    expected = " x ".join("any number" if size == -1 else str(size) for size in shape)
    require(
        fits and dataset.dtype == dtype,
        f"{path}: dataset {key} is {dataset.dtype} {dataset.shape}, expected "
        f"{np.dtype(dtype)}, {expected}: {DELETE}",
    )
    if dataset.size == 0:
        return np.empty(dataset.shape, dtype)
    offset = dataset.id.get_offset()
    require(offset is not None, f"{path}: dataset {key} is not contiguous: {DELETE}")
    return np.memmap(path, dtype, mode="r", offset=offset, shape=dataset.shape)


def release(array: np.ndarray) -> None:
    """Let go of what was read of a mapped array, which counts as the job's memory while resident.

    It is read from the file again when it is touched. An array that is not mapped stays as it is.
    """
    if isinstance(array.base, mmap.mmap):
        array.base.madvise(mmap.MADV_DONTNEED)


def array(path: str, file: h5py.File, key: str, kinds: str, length: int, remedy: str) -> np.ndarray:
    """A dataset of `length` numbers whose dtype is of the `kinds`, of KINDS."""
    dataset = file.get(key)
    if not isinstance(dataset, h5py.Dataset):
        raise InputError(f"{path}: dataset {key} is missing: {remedy}")
    if dataset.shape != (length,) or dataset.dtype.kind not in kinds:
        raise InputError(
            f"{path}: dataset {key} is {dataset.dtype} {dataset.shape}, "
            f"expected {KINDS[kinds]}, ({length},): {remedy}"
        )
    return dataset[...]


def strings(path: str, file: h5py.File, key: str, remedy: str) -> list[str]:
    """A dataset of UTF-8 strings."""
    dataset = file.get(key)
    if not isinstance(dataset, h5py.Dataset):
        raise InputError(f"{path}: dataset {key} of strings is missing: {remedy}")
    if h5py.check_string_dtype(dataset.dtype) is None:
        raise InputError(f"{path}: dataset {key} is {dataset.dtype}, expected strings: {remedy}")
    if dataset.shape is None or dataset.ndim != 1:  # None: a dataset without a value
        raise InputError(
            f"{path}: dataset {key} has shape {dataset.shape}, expected a list of strings: {remedy}"
        )
    try:
        return dataset.asstr("utf-8")[...].tolist()
    except UnicodeDecodeError:
        raise InputError(f"{path}: dataset {key} holds what is not UTF-8: {remedy}") from None


def require_indptr(path: str, key: str, indptr: np.ndarray, total: int, remedy: str) -> None:
    """Raise InputError unless a CSR's indptr divides `total` entries."""
    if indptr[0] != 0 or indptr[-1] != total or (np.diff(indptr) < 0).any():
        raise InputError(
            f"{path}: {key} must rise from 0 to the {total} entries that it divides: {remedy}"
        )


def require(condition: bool, message: str) -> None:
    """Raise InputError with the message unless the condition holds."""
    if not condition:
        raise InputError(message)
