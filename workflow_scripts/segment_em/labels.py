"""Pseudo-labels on disk: the teacher's scores of segments, sparse, one HDF5 file a chunk.

The layout is stated in docs/format.md. Like the index, a file is written whole and its arrays are
contiguous, so that readers map them into memory.
"""

# N segments, C classes, K segments that have more classes than are stored of one

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from segment_em import hdf5
from segment_em.calibration import Calibration
from segment_em.errors import InputError
from segment_em.estimators import Keep
from segment_em.hdf5_writing import replacing_hdf5
from segment_em.index import indptr_of, spans
from segment_em.targets import Entries

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

    scores_NC: float32 [segments, classes]. labels_NC: bool, the video's labels, likewise.
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

    attributes: what is recorded about how the file came to be. Raises InputError on NaN scores.
    """
    if not np.isfinite(scores.scores).all():
        raise InputError(f"{path}: the teacher gave scores that are not finite; train it again")
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


class Judged(NamedTuple):
    """Some entries as a threshold sees them.

    column: int64 [n]. scores: float16 [n] in [0, 1]. in_video_labels: bool [n].
    """

    column: np.ndarray
    scores: np.ndarray
    in_video_labels: np.ndarray

    def kept(self, keep: Keep, threshold_C2: np.ndarray) -> np.ndarray:
        """bool [n]: what an estimator keeps. threshold_C2: see the package thresholds.

        Raises InputError if the estimator returns anything else.
        """
        threshold = threshold_C2[self.column, self.in_video_labels.astype(int)]
        kept = keep(self.scores.astype(np.float32), threshold, self.in_video_labels)
        # Numbers 0 and 1 would be taken for the places of two entries.
        is_mask = isinstance(kept, np.ndarray) and kept.dtype == bool
        if not is_mask or kept.shape != threshold.shape:
            raise InputError(
                f"{keep.__module__}: keep must return an array of bool of the same length as the "
                f"{len(threshold)} scores; it returned {_described(kept)}"
            )
        return kept


def _described(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {list(value.shape)}"
    return type(value).__name__


@dataclass(frozen=True)
class Chunk:
    """One file: arrays mapped from disk, see write_pseudo_labels."""

    path: Path
    scores: SegmentScores
    video_ids: np.ndarray
    video_indptr: np.ndarray
    class_ids: np.ndarray

    def judged(self, calibration: Calibration | None) -> Judged:
        """All entries, calibrated if there is a calibration: here and nowhere else."""
        column = np.asarray(self.scores.indices, dtype=np.int64)
        scores = np.asarray(self.scores.scores)
        if calibration is not None:
            scores = calibration.apply(scores, column, self.class_ids)
        return Judged(column, scores, np.asarray(self.scores.in_video_labels))


def read_chunk(path: str | Path) -> Chunk:
    """Open a chunk of pseudo-labels. Raises InputError on a foreign, newer or damaged file.

    What reads through a chunk should call `check_entries`: here only the sizes are looked at.
    """
    name = str(path)
    with hdf5.opened(path) as file:
        hdf5.require_encoding(path, file, ENCODING_TYPE, ENCODING_VERSION)
        video_ids = np.array(hdf5.strings(name, file, "videos/id", hdf5.DELETE), object)
        indptr, videos = (
            hdf5.mapped(name, file, key, np.int64, (size,))
            for key, size in (("indptr", -1), ("videos/indptr", len(video_ids) + 1))
        )
        hdf5.require(len(indptr) > 0, f"{path}: indptr is empty: {hdf5.DELETE}")
        entries = int(indptr[-1])
        hdf5.require_indptr(name, "indptr", indptr, entries, hdf5.DELETE)
        hdf5.require_indptr(name, "videos/indptr", videos, len(indptr) - 1, hdf5.DELETE)
        arrays = [
            hdf5.mapped(name, file, key, ARRAYS[key], (entries,))
            for key in SegmentScores._fields[1:]
        ]
        class_ids = hdf5.mapped(name, file, "classes", np.int64, (-1,))
    return Chunk(Path(path), SegmentScores(indptr, *arrays), video_ids, videos, class_ids)


def read_chunks(paths: Iterable[str | Path]) -> Iterator[Chunk]:
    """The chunks of one corpus, each opened when its turn comes: a chunk holds seven descriptors.

    Raises InputError as read_chunk, or if classes differ.
    """
    first = None
    for path in paths:
        chunk = read_chunk(path)
        first = first or (path, np.array(chunk.class_ids))
        hdf5.require(
            np.array_equal(chunk.class_ids, first[1]),
            f"{path}: {len(chunk.class_ids)} classes that are not the {len(first[1])} of "
            f"{first[0]}: {hdf5.DELETE}",
        )
        yield chunk


def check_entries(chunk: Chunk) -> None:
    """Raise InputError unless scores, spreads and columns are within their ranges."""
    indices = chunk.scores.indices
    if not len(indices):
        return
    for name, most in (("scores", 1), ("spread", 0.5)):
        values = getattr(chunk.scores, name)
        low, high = float(values.min()), float(values.max())  # nan if any is
        hdf5.require(
            low >= 0 and high <= most,
            f"{chunk.path}: {name} from {low} to {high}, expected 0 to {most}: {hdf5.DELETE}",
        )
    low, high, classes = int(indices.min()), int(indices.max()), len(chunk.class_ids)
    hdf5.require(
        low >= 0 and high < classes,
        f"{chunk.path}: columns from {low} to {high}, expected 0 to {classes - 1}: {hdf5.DELETE}",
    )


@dataclass(frozen=True)
class LabelRule:
    """How stored scores become labels.

    keep: the estimator's. threshold_C2: see the package thresholds. calibration: of the scores, or
    None. soft: a kept label is worth the (calibrated) score, not 1. agreement: a stored entry
    counts 1 - 2 * spread in the loss, so that teachers who agree count 1 and teachers of whom half
    say 0 and half 1 count 0; what is not stored, which all hold for unlikely, counts 1.
    """

    keep: Keep
    threshold_C2: np.ndarray
    calibration: Calibration | None
    soft: bool
    agreement: bool


class PseudoLabels:
    """The M-step's label set: the teacher's scores under one estimator and its thresholds.

    It holds what the estimator keeps: the files are read once and closed, since to fetch a few
    bytes a video from them at each step would make training wait for the disk.
    """

    def __init__(
        self,
        paths: Iterable[str | Path],
        video_ids: np.ndarray,
        rule: LabelRule,
        class_ids: np.ndarray,
        prior_C: np.ndarray,
    ) -> None:
        """video_ids: of the index that rows refer to.

        class_ids: int64 [C], those of the label set. prior_C: mean label of the segments.
        """
        paths = list(paths)
        found, stored_ids = [], []
        for chunk in read_chunks(paths):
            hdf5.require(
                np.array_equal(chunk.class_ids, class_ids),
                f"{chunk.path}: {len(chunk.class_ids)} classes that are not the {len(class_ids)} "
                "of the label set; delete the label set to make it anew",
            )
            check_entries(chunk)
            found.append(_listed(chunk, rule))
            stored_ids += chunk.video_ids.tolist()
        columns = [list(column) for column in zip(*found, strict=True)]
        found.clear()
        counts, self.segment, self.column, self.value, self.weight = map(_emptied, columns)
        self.indptr = indptr_of(counts)
        self.place = _places(stored_ids, video_ids, Path(paths[0]).parent)
        self._prior_C = prior_C

    def entries(self, rows: np.ndarray) -> Entries:
        """The labels that the estimator keeps; all other segments are negative.

        With agreement, also what is stored and not kept, at value 0, for its weight.
        """
        position, clip = spans(self.indptr, self.place[rows])
        wanted = {"segment": np.int64, "column": np.int64, "value": "f4", "weight": "f4"}
        return Entries(clip, *(getattr(self, n)[position].astype(t) for n, t in wanted.items()))

    def prior(self) -> np.ndarray:
        """The mean label by class, float64 [C]: of hard labels, the share of positive segments."""
        return self._prior_C


def _listed(chunk: Chunk, rule: LabelRule) -> tuple[np.ndarray, ...]:
    """What a chunk says of its videos, and only what a batch needs of it.

    int64 [V]: how many entries each video has; and, an entry each, int32 segment in its video,
    int32 column, float16 value and float32 weight.
    """
    found = chunk.judged(rule.calibration)
    kept = found.kept(rule.keep, rule.threshold_C2)
    chosen = np.arange(len(kept)) if rule.agreement else np.flatnonzero(kept)
    segment = np.searchsorted(chunk.scores.indptr, chosen, side="right") - 1
    video = np.searchsorted(chunk.video_indptr, segment, side="right") - 1
    value = np.where(kept[chosen], found.scores[chosen] if rule.soft else np.float16(1), 0)
    weight = np.ones(len(chosen), np.float32)
    if rule.agreement:
        weight -= 2 * chunk.scores.spread[chosen].astype(np.float32)
    return (
        np.bincount(video, minlength=len(chunk.video_ids)),
        (segment - chunk.video_indptr[video]).astype(np.int32),
        found.column[chosen].astype(np.int32),
        value.astype(np.float16),
        weight,
    )


def _emptied(parts: list[np.ndarray]) -> np.ndarray:
    """The parts as one array, of which none is left beside it."""
    whole = np.concatenate(parts)
    parts.clear()
    return whole


def _places(stored_ids: list[str], video_ids: np.ndarray, folder: Path) -> np.ndarray:
    """int64 [V]: where each video stands among those stored. Raises InputError if one does not."""
    place = {name: number for number, name in enumerate(stored_ids)}
    missing = next((name for name in video_ids if name not in place), None)
    if missing is not None:
        raise InputError(
            f"{folder}: no scores for video '{missing}' of the index; delete the folder to "
            "estimate again"
        )
    return np.array([place[name] for name in video_ids], np.int64)
