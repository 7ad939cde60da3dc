"""What a batch is trained on, from three sources, in one sparse form (numpy only).

Each source has `entries(rows) -> Entries` for videos given by their rows in the index, and
`prior() -> float64 [C]`, the frequency of each class, at which the classifier's bias starts.
"""

from typing import NamedTuple

import numpy as np

from segment_em.index import Index, columns_of


class Entries(NamedTuple):
    """Labels of some clips, one array entry a label; all arrays have the same length.

    clip: int64, position in the batch. segment: int64, 0 for a label of the whole video.
    column: int64, class column. value: float32 in [0, 1].
    """

    clip: np.ndarray
    segment: np.ndarray
    column: np.ndarray
    value: np.ndarray


def spans(indptr: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions of all CSR entries of `rows`, and for each the number of its row in `rows`."""
    starts, stops = indptr[rows], indptr[rows + 1]
    lengths = stops - starts
    owner = np.repeat(np.arange(len(rows)), lengths)
    first = np.repeat(starts - np.concatenate([[0], lengths.cumsum()[:-1]]), lengths)
    return first + np.arange(lengths.sum()), owner


class VideoLabels:
    """The video-level labels that are among the model's classes."""

    def __init__(self, index: Index, class_ids: np.ndarray) -> None:
        self.indptr = index.labels.indptr
        self.columns = columns_of(class_ids, index.labels.indices)
        self.videos, self.classes = len(index), len(class_ids)

    def entries(self, rows: np.ndarray) -> Entries:
        """Value 1 for each label of each video; segment is 0."""
        position, clip = spans(self.indptr, rows)
        column = self.columns[position]
        clip, column = clip[column >= 0], column[column >= 0]
        return Entries(clip, np.zeros_like(clip), column, np.ones(len(clip), np.float32))

    def prior(self) -> np.ndarray:
        """Share of the videos that carry each class, float64 [C]."""
        known = self.columns[self.columns >= 0]
        return np.bincount(known, minlength=self.classes) / max(1, self.videos)


class Ratings:
    """The human ratings of segments that exist and of classes that the model has."""

    def __init__(
        self,
        index: Index,
        class_ids: np.ndarray,
        segment_counts: np.ndarray,
        segment_frames: int,
    ) -> None:
        """segment_counts: int64 [V], segments of each video; ratings past them are left out."""
        ratings = index.ratings
        video = np.repeat(np.arange(len(index)), np.diff(ratings.indptr))
        segment = ratings.start_second.astype(np.int64) // segment_frames
        column = columns_of(class_ids, ratings.class_id)
        usable = (column >= 0) & (segment < segment_counts[video])
        self.video, self.segment = video[usable], segment[usable]
        self.column, self.positive = column[usable], ratings.positive[usable]
        counts = np.bincount(self.video, minlength=len(index))
        self.indptr = np.concatenate([[0], counts.cumsum()])
        self.classes = len(class_ids)

    def rated_videos(self) -> np.ndarray:
        """Rows of the videos with at least one usable rating, int64, ascending."""
        return np.flatnonzero(np.diff(self.indptr))

    def entries(self, rows: np.ndarray) -> Entries:
        """Value 1 or 0 for each rating; what is not listed is unknown, not negative."""
        position, clip = spans(self.indptr, rows)
        value = self.positive[position].astype(np.float32)
        return Entries(clip, self.segment[position], self.column[position], value)

    def prior(self) -> np.ndarray:
        """Share of positive ratings by class, 0.5 for a class without any, float64 [C]."""
        rated = np.bincount(self.column, minlength=self.classes)
        positive = np.bincount(self.column[self.positive], minlength=self.classes)
        return np.where(rated > 0, positive / np.maximum(1, rated), 0.5)
