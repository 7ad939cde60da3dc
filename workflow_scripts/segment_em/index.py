"""The index: which videos there are, and where their frames, labels and ratings lie.

The frames stay where they are, in record files or in HDF5 files of one's own. indexing.py builds
it, index_files.py reads and writes it.

Shapes: V videos, N frames of all videos, C classes. Lists of differing length, one a video, are
kept as CSR: those of video v are entries indptr[v] to indptr[v + 1] of the parallel arrays.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from segment_em.framing import Damage


@dataclass(frozen=True, eq=False)
class Modality:
    """Where the frames of one modality lie, video by video; value = stored * scale + bias."""

    width: int  # values a frame
    dtype: str  # as stored: uint8, float16 or float32
    scale: float
    bias: float
    file: np.ndarray  # int32 [V], position in Index.files
    offset: np.ndarray  # int64 [V], bytes from the start of the file to the first frame
    stride: np.ndarray  # int64 [V], bytes from one frame to the next
    frames: np.ndarray  # int32 [V], as many as are stored, not cut to max_frames


class LocatedRatings(NamedTuple):
    """Where ratings lie among segments and classes; arrays in parallel, an entry a rating."""

    video: np.ndarray  # int64 [R], row of the index
    segment: np.ndarray  # int64 [R], position in the video, which may be past its end
    column: np.ndarray  # int64 [R], of the class; -1 of an unknown one
    exists: np.ndarray  # bool [R], whether the video has that segment

    @property
    def usable(self) -> np.ndarray:
        """bool [R]: of segments that exist and classes that are known."""
        return self.exists & (self.column >= 0)


class Labels(NamedTuple):
    """Video labels (CSR): each video's distinct class ids, ascending."""

    indptr: np.ndarray  # int64 [V + 1]
    indices: np.ndarray  # int64, class ids


class RatedSegments(NamedTuple):
    """Human ratings (CSR), by start and class; at most one a video, segment and class."""

    indptr: np.ndarray  # int64 [V + 1]
    start_second: np.ndarray  # int64, multiples of segment_frames; may lie past the last frame
    class_id: np.ndarray  # int64
    positive: np.ndarray  # bool
    contradictory: np.ndarray  # int64 [V], pairs left out: one segment and class, both answers


@dataclass(frozen=True, eq=False)
class Index:
    """Videos in the order of (file, offset)."""

    files: list[str]  # ascending; paths as they were given
    file_bytes: np.ndarray  # int64 [files]
    video_ids: np.ndarray  # str [V], distinct
    modalities: dict[str, Modality]  # in config order
    labels: Labels
    ratings: RatedSegments
    payload_end: np.ndarray  # int64 [V], byte offset of the record's data CRC; -1 for HDF5
    payload_crc: np.ndarray  # uint32 [V], its value (masked, as stored); 0 for HDF5
    skipped: tuple[Damage, ...] = ()  # damaged records that were left out, by file and offset

    def __len__(self) -> int:
        return len(self.video_ids)

    @property
    def first(self) -> Modality:
        """The modality that counts a video's frames."""
        return next(iter(self.modalities.values()))

    def frames_read(self, max_frames: int) -> np.ndarray:
        """int64 [V]: frames of the first modality, at most max_frames."""
        return np.minimum(self.first.frames, max_frames).astype(np.int64)

    def rated_rows(self) -> np.ndarray:
        """int64 [ratings]: the row of each rating's video."""
        return np.repeat(np.arange(len(self)), np.diff(self.ratings.indptr))

    def located_ratings(
        self, class_ids: np.ndarray, segments_V: np.ndarray, segment_frames: int
    ) -> LocatedRatings:
        """class_ids: int64 [C], ascending, distinct. segments_V: int [V], of each video as read."""
        video = self.rated_rows()
        segment = self.ratings.start_second.astype(np.int64) // segment_frames
        column = columns_of(class_ids, self.ratings.class_id)
        return LocatedRatings(video, segment, column, segment < segments_V[video])

    def for_validation(self, fraction: float) -> "Index":
        """The rated videos that select models. fraction: of them, see in_validation."""
        return self.take(in_validation(self.video_ids, fraction))

    def for_tuning(self, fraction: float) -> "Index":
        """The other ones, which models are fine-tuned on."""
        return self.take(~in_validation(self.video_ids, fraction))

    def take(self, rows) -> "Index":
        """Index of some of the videos. rows: int [n], bool [V] or a slice; the order is kept."""
        rows = np.arange(len(self))[rows]
        label, _ = spans(self.labels.indptr, rows)
        rating, _ = spans(self.ratings.indptr, rows)
        return replace(
            self,
            video_ids=self.video_ids[rows],
            modalities={name: _modality_of(m, rows) for name, m in self.modalities.items()},
            labels=Labels(indptr_of(np.diff(self.labels.indptr)[rows]), self.labels.indices[label]),
            ratings=RatedSegments(
                indptr_of(np.diff(self.ratings.indptr)[rows]),
                self.ratings.start_second[rating],
                self.ratings.class_id[rating],
                self.ratings.positive[rating],
                self.ratings.contradictory[rows],
            ),
            payload_end=self.payload_end[rows],
            payload_crc=self.payload_crc[rows],
        )


def _modality_of(modality: Modality, rows: np.ndarray) -> Modality:
    return replace(
        modality,
        file=modality.file[rows],
        offset=modality.offset[rows],
        stride=modality.stride[rows],
        frames=modality.frames[rows],
    )


def spans(indptr: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions of all CSR entries of `rows`, and for each the number of its row in `rows`."""
    counts = indptr[rows + 1] - indptr[rows]
    owner = np.repeat(np.arange(len(rows)), counts)
    shift = indptr[rows] - indptr_of(counts)[:-1]
    return np.arange(len(owner)) + shift[owner], owner


def indptr_of(counts: np.ndarray) -> np.ndarray:
    """Indptr of a CSR from the number of entries of each row, int64."""
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])


def segments_of(frames: Any, segment_frames: int) -> Any:
    """Segments of videos of so many frames (an int, or an array of them); the last may be short."""
    return -(-frames // segment_frames)


def id_array(ids: Sequence[str]) -> np.ndarray:
    """Ids as an array of strings, also where there are none."""
    return np.array(ids, str) if len(ids) else np.zeros(0, "U1")


def place_columns(places: np.ndarray) -> tuple[np.ndarray, ...]:
    """Modality's file, offset, stride, frames from the (offset, stride, count) of each video."""
    offset, stride, count = places.T
    return np.zeros(len(places), np.int32), offset.copy(), stride.copy(), count.astype(np.int32)


def quantisation(low: float, high: float) -> tuple[float, float]:
    """Scale and bias of bytes that span [low, high], as YouTube-8M's own code dequantises."""
    return (high - low) / 255, (high - low) / 512 + low


def in_validation(video_ids: Sequence[str], fraction: float) -> np.ndarray:
    """bool [V]: which rated videos are for validation, by a hash of the id alone.

    Adding or moving a file moves no video. fraction: expected share, 0 to 1.
    """
    hashes = (hashlib.sha256(str(i).encode()).digest()[:8] for i in video_ids)
    return np.array([int.from_bytes(h, "big") / 2**64 < fraction for h in hashes], bool)


def columns_of(class_ids: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Column of each class id, int64 as `ids`; -1 where it is not one of `class_ids`.

    class_ids: int64 [C], ascending, distinct.
    """
    column = np.searchsorted(class_ids, ids)
    known = np.append(class_ids, -1)[column] == ids
    return np.where(known, column, -1)
