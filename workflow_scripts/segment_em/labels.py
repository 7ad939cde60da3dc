"""From the E-step's files (pseudo_label_files.py) to the labels of a batch of the M-step."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from segment_em import hdf5
from segment_em.calibration import Calibration
from segment_em.errors import InputError
from segment_em.estimators import Keep
from segment_em.index import indptr_of, spans
from segment_em.pseudo_label_files import ARRAYS, ENCODING_TYPE, ENCODING_VERSION, SegmentScores
from segment_em.targets import Entries


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
    """One file: arrays mapped from disk, see pseudo_label_files.write_pseudo_labels."""

    path: Path
    scores: SegmentScores
    video_ids: np.ndarray
    video_indptr: np.ndarray
    class_ids: np.ndarray

    def owners(self, entries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """int64 [n] each: the segment of stored scores, in the chunk, and the video of that.

        entries: int64 [n], the places of the scores.
        """
        segment = np.searchsorted(self.scores.indptr, entries, side="right") - 1
        return segment, np.searchsorted(self.video_indptr, segment, side="right") - 1

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


def require_classes(chunk: Chunk, class_ids: np.ndarray) -> None:
    """Raise InputError unless a label set is of the chunk's classes. class_ids: int64, its own."""
    hdf5.require(
        np.array_equal(chunk.class_ids, class_ids),
        f"{chunk.path}: {len(chunk.class_ids)} classes that are not the {len(class_ids)} "
        "of the label set; delete the label set to make it anew",
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
        segment_counts: np.ndarray,
        rule: LabelRule,
        class_ids: np.ndarray,
        prior_C: np.ndarray,
    ) -> None:
        """video_ids: of the index that rows refer to. segment_counts: int64 [V], of its videos.

        class_ids: int64 [C], those of the label set. prior_C: mean label of the segments.
        """
        paths = list(paths)
        folder = Path(paths[0]).parent
        found, stored_ids, stored_counts = [], [], []
        for chunk in read_chunks(paths):
            require_classes(chunk, class_ids)
            check_entries(chunk)
            found.append(_listed(chunk, rule))
            stored_ids += chunk.video_ids.tolist()
            stored_counts += np.diff(chunk.video_indptr).tolist()
        columns = [list(column) for column in zip(*found, strict=True)]
        found.clear()
        counts, self.segment, self.column, self.value, self.weight = map(_emptied, columns)
        self.indptr = indptr_of(counts)
        self.place = _places(stored_ids, video_ids, folder)
        _require_counts(np.array(stored_counts)[self.place], segment_counts, video_ids, folder)
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
    segment, video = chunk.owners(chosen)
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


def _require_counts(
    stored: np.ndarray, counts: np.ndarray, video_ids: np.ndarray, folder: Path
) -> None:
    """Raise InputError unless each video has as many segments as the teacher scored of it."""
    wrong = np.flatnonzero(stored != counts)
    if len(wrong):
        row = wrong[0]
        raise InputError(
            f"{folder}: scores of {stored[row]} segments of video '{video_ids[row]}', which is "
            f"read as {counts[row]} (data.max_frames, data.segment_frames); delete the folder to "
            "estimate again"
        )
