"""Batches of frames, read through an index from the files in which they lie.

Shapes: B videos of a batch, T frames of a clip, F values a frame, V videos of the index.
"""

import mmap
import resource
import struct
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping

import numpy as np

from segment_em.buffers import Buffers
from segment_em.errors import InputError
from segment_em.index import Index
from segment_em.records import mapped

# Maps that a reader keeps at most, each with a descriptor: more than YouTube-8M has files a split.
OPEN_FILES = 8192
SPARE_DESCRIPTORS = 256  # of a process, for all but these maps

STORED_CRC = struct.Struct("<I")

REINDEX = "index its split again, or put the old file back"


def _open_files() -> int:
    """How many maps a reader keeps: OPEN_FILES, or as many as the system allows this process.

    In random order each video lies in another file, and opening one again costs a request to the
    server of a network file system. The soft limit, usually 1,024, is for programs with `select`.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = OPEN_FILES + SPARE_DESCRIPTORS
    if hard != resource.RLIM_INFINITY:
        allowed = min(allowed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, allowed), hard))
    return max(1, min(OPEN_FILES, allowed - SPARE_DESCRIPTORS))


class FrameReader:
    """Reads videos by their row in an index; threads may share it.

    max_frames: frames of a video that are used at most. Files are mapped on first use. Raises
    InputError where a file is not as it was when it was indexed: another size, or another data
    CRC behind a record that is read (stored CRC only: the data are not summed again).
    """

    def __init__(self, index: Index, max_frames: int):
        self.index = index
        self.max_frames = max_frames
        self._buffers = Buffers()
        self._maps: OrderedDict[int, mmap.mmap] = OrderedDict()  # by file, last opened last
        self._maps_change = threading.Lock()
        self._open_files = _open_files()

    @property
    def frame_counts(self) -> np.ndarray:
        """int64 [V]: frames of the first modality, at most max_frames."""
        return self.index.frames_read(self.max_frames)

    def batch(
        self, rows: np.ndarray, padded_frames: int
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Frames of some videos, as stored: modality -> [B, T, F], zero behind each video's end.

        rows: int [B]. padded_frames: T. Also returns modality -> int64 [B], the frames that are
        real, at most max_frames and padded_frames; modalities may differ. Stored zeros are not
        0.0 once dequantised: mask them.
        """
        rows = np.asarray(rows)
        out = {
            name: self._buffers.empty((len(rows), padded_frames, modality.width), modality.dtype)
            for name, modality in self.index.modalities.items()
        }
        return out, self.fill(rows, out)

    def fill(self, rows: np.ndarray, out: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """As batch, but into arrays that are there already.

        Writing into memory that was used before is a fifth to a third faster than into new.
        """
        counts = {}
        for name, modality in self.index.modalities.items():
            longest = min(self.max_frames, out[name].shape[1])
            counts[name] = np.minimum(modality.frames[rows], longest).astype(np.int64)
        places = [self._places(name, rows, counts[name], out[name]) for name in counts]
        for row, *modalities in zip(rows.tolist(), *places, strict=True):
            self._check_size(row)
            for file, offset, stride, count, frames_TF in modalities:
                if count:
                    frames_TF[:count] = np.ndarray(
                        (count, frames_TF.shape[1]),
                        frames_TF.dtype,
                        self._map(file),
                        offset,
                        (stride, frames_TF.itemsize),
                    )
                frames_TF[count:] = 0
            # Last: copying lets other threads run while pages come from disk, a look does not.
            self._check_record(row)
        return counts

    def _check_size(self, row: int) -> None:
        """The file must be as long as when it was indexed: a map reaching past it is a SIGBUS."""
        file = int(self.index.first.file[row])
        now, then = self._map(file).size(), int(self.index.file_bytes[file])
        if now != then:
            raise InputError(
                f"{self.index.files[file]} changed while it was read: {then} bytes, now {now}: "
                f"{REINDEX}"
            )

    def _check_record(self, row: int) -> None:
        """The data CRC behind the record must be the indexed one (HDF5 sources have none)."""
        end = int(self.index.payload_end[row])
        if end < 0:
            return
        file = int(self.index.first.file[row])
        if STORED_CRC.unpack_from(self._map(file), end)[0] != self.index.payload_crc[row]:
            raise InputError(
                f"{self.index.files[file]} changed since it was indexed: video "
                f"{str(self.index.video_ids[row])!r} is not as it was: {REINDEX}"
            )

    def _map(self, file: int) -> mmap.mmap:
        # Without the lock, since most calls end here; at worst two threads map the same file.
        buffer = self._maps.get(file)
        if buffer is not None:
            return buffer
        path, size = self.index.files[file], int(self.index.file_bytes[file])
        buffer = mapped(path)
        if len(buffer) != size:
            raise InputError(
                f"{path} changed since it was indexed: {len(buffer)} bytes, then {size}: {REINDEX}"
            )
        with self._maps_change:
            self._maps[file] = buffer
            if len(self._maps) > self._open_files:
                self._maps.popitem(last=False)
        return buffer

    def _places(
        self, name: str, rows: np.ndarray, counts: np.ndarray, out: np.ndarray
    ) -> Iterator[tuple]:
        """File, offset, stride, frames and target [T, F] of each video."""
        modality = self.index.modalities[name]
        columns = (modality.file, modality.offset, modality.stride)
        return zip(
            *(column[rows].tolist() for column in columns), counts.tolist(), out, strict=True
        )
