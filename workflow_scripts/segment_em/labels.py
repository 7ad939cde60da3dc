"""Pseudo-labels on disk: the teacher's scores of segments, sparse, one HDF5 file a chunk.

The layout is stated in docs/format.md. Like the index, a file is written whole and its arrays are
contiguous, so that readers map them into memory and touch only what a batch needs.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from segment_em.errors import InputError
from segment_em.estimators import Keep
from segment_em.hdf5_writing import replacing_hdf5
from segment_em.targets import Entries

ENCODING_TYPE = "segment-em-pseudo-labels"
ENCODING_VERSION = "1.0"
ARRAYS = {
    "indptr": np.int64,
    "indices": np.int32,
    "scores": np.float16,
    "in_video_labels": np.bool_,
    "videos/indptr": np.int64,
    "classes": np.int64,
}


class SegmentScores(NamedTuple):
    """CSR over segments: which scores of which classes were kept.

    indptr: int64 [segments + 1]. indices: int32 [n], class columns, ascending in each segment.
    scores: float16 [n] in [0, 1]. in_video_labels: bool [n], whether the video carries the class.
    """

    indptr: np.ndarray
    indices: np.ndarray
    scores: np.ndarray
    in_video_labels: np.ndarray


def sparse_scores(
    scores_NC: np.ndarray, labels_NC: np.ndarray, floor: float, top: int
) -> SegmentScores:
    """Keep every class that the video carries and, of the others, the best `top` above `floor`.

    scores_NC: float32 [segments, classes]. labels_NC: bool, the video's labels, likewise.
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
    indptr = np.concatenate([[0], np.bincount(segment, minlength=len(keep_NC)).cumsum()])
    return SegmentScores(
        indptr.astype(np.int64),
        column.astype(np.int32),
        scores_NC[segment, column].astype(np.float16),
        labels_NC[segment, column],
    )


def empty() -> SegmentScores:
    """No segments at all."""
    return SegmentScores(
        np.zeros(1, np.int64), np.empty(0, np.int32), np.empty(0, np.float16), np.empty(0, np.bool_)
    )


def joined(parts: Iterable[SegmentScores]) -> SegmentScores:
    """The parts one after another, as one."""
    parts = list(parts)
    counts = [np.diff(part.indptr) for part in parts]
    indptr = np.concatenate([[0], *counts]).cumsum()
    arrays = zip(*(part[1:] for part in parts), strict=True)
    return SegmentScores(indptr.astype(np.int64), *map(np.concatenate, arrays))


def write_pseudo_labels(
    path: str | Path,
    scores: SegmentScores,
    video_ids: np.ndarray,
    video_indptr: np.ndarray,
    class_ids: np.ndarray,
    attributes: Mapping[str, str],
) -> None:
    """Write one chunk. video_indptr: int64 [V + 1], the first segment of each video.

    attributes: what is recorded about how the file came to be. Raises ValueError on NaN scores.
    """
    if not np.isfinite(scores.scores).all():
        raise ValueError(f"{path}: scores are not finite")
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


@dataclass(frozen=True)
class Chunk:
    """One file: arrays mapped from disk, see write_pseudo_labels."""

    path: Path
    scores: SegmentScores
    video_ids: np.ndarray
    video_indptr: np.ndarray
    class_ids: np.ndarray


def read_chunk(path: str | Path) -> Chunk:
    """Open a chunk of pseudo-labels. Raises InputError on a foreign, newer or damaged file."""
    try:
        with h5py.File(path, "r") as file:
            _check_encoding(path, file)
            arrays = {name: _mapped(path, file[name]) for name in ARRAYS}
            video_ids = file["videos/id"].asstr()[:]
    except (OSError, KeyError) as error:
        raise InputError(f"{path}: not a whole pseudo-label file ({error}); delete it") from None
    scores = SegmentScores(*(arrays[name] for name in SegmentScores._fields))
    return Chunk(Path(path), scores, video_ids, arrays["videos/indptr"], arrays["classes"])


def _check_encoding(path: str | Path, file: h5py.File) -> None:
    found = (file.attrs.get("encoding-type"), file.attrs.get("encoding-version"))
    if found != (ENCODING_TYPE, ENCODING_VERSION):
        raise InputError(
            f"{path}: encoding is {found[0]} {found[1]}, this version reads "
            f"{ENCODING_TYPE} {ENCODING_VERSION}; make the file again"
        )


def _mapped(path: str | Path, dataset: h5py.Dataset) -> np.ndarray:
    """The array of a contiguous dataset, mapped: pages are read when they are touched."""
    if dataset.size == 0:
        return np.empty(dataset.shape, dataset.dtype)
    offset = dataset.id.get_offset()
    return np.memmap(path, dataset.dtype, mode="r", offset=offset, shape=dataset.shape)


class PseudoLabels:
    """The M-step's label set: the teacher's scores under one estimator and its thresholds."""

    def __init__(
        self,
        paths: Iterable[str | Path],
        video_ids: np.ndarray,
        keep: Keep,
        threshold_C2: np.ndarray,
        prior_C: np.ndarray,
    ) -> None:
        """video_ids: of the index that rows refer to. threshold_C2: see the package thresholds.

        prior_C: share of positive segments.
        """
        self.chunks = [read_chunk(path) for path in paths]
        self.keep, self.threshold_C2, self._prior_C = keep, threshold_C2, prior_C
        self.chunk, self.row = _located(self.chunks, video_ids)

    def entries(self, rows: np.ndarray) -> Entries:
        """Value 1 for each label that the estimator keeps; all other segments are negative."""
        parts = [self._of_video(clip, row) for clip, row in enumerate(rows)]
        return Entries(*map(np.concatenate, zip(*parts, strict=True)))

    def prior(self) -> np.ndarray:
        """Share of positive segments by class, float64 [C]."""
        return self._prior_C

    def _of_video(self, clip: int, row: int) -> Entries:
        chunk = self.chunks[self.chunk[row]]
        first, stop = chunk.video_indptr[self.row[row] : self.row[row] + 2]
        indptr = chunk.scores.indptr[first : stop + 1]
        span = slice(indptr[0], indptr[-1])
        column = np.asarray(chunk.scores.indices[span], dtype=np.int64)
        scores = chunk.scores.scores[span].astype(np.float32)
        carried = np.asarray(chunk.scores.in_video_labels[span])
        kept = self.keep(scores, self.threshold_C2[column, carried.astype(int)], carried)
        segment = np.repeat(np.arange(stop - first), np.diff(indptr))[kept]
        column = column[kept]
        return Entries(
            np.full(len(column), clip), segment, column, np.ones(len(column), np.float32)
        )


def _located(chunks: list[Chunk], video_ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each video its chunk and its row there. Raises InputError if one has no scores."""
    place = {
        name: (number, row)
        for number, chunk in enumerate(chunks)
        for row, name in enumerate(chunk.video_ids)
    }
    missing = next((name for name in video_ids if name not in place), None)
    if missing is not None:
        raise InputError(
            f"{chunks[0].path.parent}: no scores for video '{missing}' of the index; "
            "delete the folder to estimate again"
        )
    chunk, row = np.array([place[name] for name in video_ids], dtype=np.int64).reshape(-1, 2).T
    return chunk, row


def describe(attributes: Mapping[str, object]) -> dict[str, str]:
    """Provenance as HDF5 attributes: JSON text, keys sorted."""
    return {key: json.dumps(value, sort_keys=True) for key, value in attributes.items()}
