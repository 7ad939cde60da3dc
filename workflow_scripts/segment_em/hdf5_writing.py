"""Writing HDF5 files whole or not at all.

On a full disk HDF5 crashes the process, or closes a damaged file as if it were whole: what its
library cannot flush when a dataset is closed, h5py has nowhere to raise. Here HDF5 writes into an
object that never fails before its eyes, and the error is raised when HDF5 is done.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from segment_em.files import replacing

ALIGNMENT = 8  # bytes: readers map arrays of up to eight bytes a number


@contextmanager
def replacing_hdf5(path: str | Path, libver: str | tuple[str, str]) -> Iterator[h5py.File]:
    """Yield a new HDF5 file that becomes `path` if the block succeeds, see files.replacing.

    libver: versions of the format, as h5py.File takes them.
    """
    with replacing(path) as temporary:
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
        try:
            storage = _Storage(descriptor)
            aligned = {"alignment_threshold": ALIGNMENT, "alignment_interval": ALIGNMENT}
            with h5py.File(storage, "w", libver=libver, **aligned) as file:
                yield file
            if storage.error:
                raise storage.error
        finally:
            os.close(descriptor)


class _Storage:
    """What HDF5 takes for a file (h5py's driver fileobj). error: the first one of the disk."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor, self.position = descriptor, 0
        self.error: BaseException | None = None

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self.position}
        if whence == os.SEEK_END:
            start[whence] = os.fstat(self.descriptor).st_size
        self.position = start[whence] + offset
        return self.position

    def tell(self) -> int:
        return self.position

    def read(self, size: int = -1) -> bytes:
        raise NotImplementedError("HDF5 reads into buffers")

    def readinto(self, buffer: memoryview) -> int:
        view = memoryview(buffer).cast("B")
        found = os.preadv(self.descriptor, [view], self.position)
        view[found:] = bytes(len(view) - found)  # past the end, or never written
        self.position += len(view)
        return len(view)

    def write(self, data: memoryview) -> int:
        left = memoryview(data).cast("B")
        offset, self.position = self.position, self.position + len(left)
        try:
            while self.error is None and len(left):
                written = os.pwrite(self.descriptor, left, offset)
                left, offset = left[written:], offset + written
        except BaseException as error:  # a signal's too: HDF5 must not see it
            self.error = error
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        size = self.position if size is None else size
        try:
            os.ftruncate(self.descriptor, size)
        except OSError as error:
            self.error = self.error or error
        return size

    def flush(self) -> None:
        pass
