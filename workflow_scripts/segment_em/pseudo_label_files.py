"""What the E-step stores: the teacher's scores of segments, sparse, one HDF5 file a chunk.

The layout is stated in docs/format.md. Like the index, a file is written whole and its arrays are
contiguous, so that readers map them into memory. Reading is `labels`: an edit of how scores become
labels repeats no E-step.
"""

# N segments, C classes, K segments that have more classes than are stored of one

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from segment_em.hdf5_writing import replacing_hdf5
from segment_em.index import indptr_of

ENCODING_TYPE = "segment-em-pseudo-labels"
ENCODING_VERSION = "1.1"
ARRAYS = {
    "indptr": np.int64,
    "indices": np.int32,
    "scores": np.float16,
    "spread": np.float16,
    "in_video_labels": np.bool_,
    "videos/indptr": np.int64,
    "classes": np.int64,
}


class SegmentScores(NamedTuple):
    """CSR over segments: which scores of which classes were kept.

    indptr: int64 [segments + 1]. indices: int32 [n], class columns, ascending in each segment.
    scores: float16 [n] in [0, 1]. spread: float16 [n] in [0, 0.5], the standard deviation among the
    teachers; 0 of one. in_video_labels: bool [n], whether the video carries the class.
    """

    indptr: np.ndarray
    indices: np.ndarray
    scores: np.ndarray
    spread: np.ndarray
    in_video_labels: np.ndarray


def sparse_scores(
    scores_NC: np.ndarray, labels_NC: np.ndarray, floor: float, top: int, spread_NC: np.ndarray
) -> SegmentScores:
    """Keep every class that the video carries and, of the others, the best `top` above `floor`.

    scores_NC: float32 [segments, classes], finite. labels_NC: bool, the video's labels, likewise.
    spread_NC: float32, likewise, see SegmentScores.
    Equal scores at the limit of `top` are all kept, so that the choice is deterministic.
    """
    others_NC = np.where(labels_NC, -1.0, scores_NC)
    keep_NC = others_NC > floor
    crowded_N = np.flatnonzero(np.count_nonzero(keep_NC, axis=1) > top)
    if len(crowded_N):
        others_KC = others_NC[crowded_N]
        limit_K = np.partition(others_KC, -top, axis=1)[:, -top] if top else np.inf
        keep_NC[crowded_N] &= others_KC >= np.reshape(limit_K, (-1, 1))
    keep_NC |= labels_NC
    segment, column = np.nonzero(keep_NC)
    return SegmentScores(
        indptr_of(np.bincount(segment, minlength=len(keep_NC))),
        column.astype(np.int32),
        scores_NC[segment, column].astype(np.float16),
        spread_NC[segment, column].astype(np.float16),
        labels_NC[segment, column],
    )


def empty() -> SegmentScores:
    """No segments at all."""
    return SegmentScores(
        np.zeros(1, np.int64),
        np.empty(0, np.int32),
        np.empty(0, np.float16),
        np.empty(0, np.float16),
        np.empty(0, np.bool_),
    )


def joined(parts: Iterable[SegmentScores]) -> SegmentScores:
    """The parts one after another, as one."""
    parts = list(parts)
    counts = np.concatenate([np.diff(part.indptr) for part in parts])
    arrays = zip(*(part[1:] for part in parts), strict=True)
    return SegmentScores(indptr_of(counts), *map(np.concatenate, arrays))


def write_pseudo_labels(
    path: str | Path,
    scores: SegmentScores,
    video_ids: np.ndarray,
    video_indptr: np.ndarray,
    class_ids: np.ndarray,
    attributes: Mapping[str, str],
) -> None:
    """Write one chunk. video_indptr: int64 [V + 1], the first segment of each video.

    attributes: what is recorded about how the file came to be.
    """
    arrays = scores._asdict() | {"videos/indptr": video_indptr, "classes": class_ids}
    with replacing_hdf5(path, "v110") as file:
        file.attrs["encoding-type"] = ENCODING_TYPE
        file.attrs["encoding-version"] = ENCODING_VERSION
        for key, value in attributes.items():
            file.attrs[key] = value
        for name, dtype in ARRAYS.items():
            file.create_dataset(name, data=np.asarray(arrays[name], dtype=dtype))
        ids = np.array([str(name).encode() for name in video_ids], dtype=object)
        file.create_dataset("videos/id", data=ids, dtype=h5py.string_dtype())
