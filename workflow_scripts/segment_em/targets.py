"""What a batch is trained on, from three sources, in one sparse form (numpy only).

Each source has `entries(rows) -> Entries` for videos given by their rows in the index. Those that
a fresh model is trained on have `prior() -> float64 [C]` too, the frequency of each class, at which
the classifier's bias starts.
"""

from typing import NamedTuple

import numpy as np

from segment_em.index import Index, columns_of, indptr_of, spans


class Entries(NamedTuple):
    """Labels of some clips, one array entry a label; all arrays have the same length.

    clip: int64, position in the batch. segment: int64, 0 for a label of the whole video.
    column: int64, class column. value: float32 in [0, 1]. weight: float32, how much it counts in
    the loss.
    """

    clip: np.ndarray
    segment: np.ndarray
    column: np.ndarray
    value: np.ndarray
    weight: np.ndarray


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
        one = np.ones(len(clip), np.float32)
        return Entries(clip, np.zeros_like(clip), column, one, one)

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
        spare_video_labels: bool,
    ) -> None:
        """segment_counts: int64 [V], segments of each video; ratings past them are left out.

        spare_video_labels: list also, with value and weight 0, the classes that the video carries
        and nobody rated, in each segment with a rating: of what is not listed there, one may then
        say that it is probably absent.
        """
        located = index.located_ratings(class_ids, segment_counts, segment_frames)
        usable = located.usable
        found = np.stack([located.video, located.segment, located.column])[:, usable]
        spared = self._spared(index, class_ids, found) if spare_video_labels else found[:, :0]
        value = np.concatenate([index.ratings.positive[usable], np.zeros(spared.shape[1])])
        weight = np.repeat([1, 0], [found.shape[1], spared.shape[1]])
        self._arrange(np.concatenate([found, spared], axis=1), value, weight, len(index))

    def _spared(self, index: Index, class_ids: np.ndarray, found: np.ndarray) -> np.ndarray:
        """int64 [3, n], video, segment and column: labels of the videos of rated segments."""
        video, segment = np.unique(found[:2], axis=1)
        position, owner = spans(index.labels.indptr, video)
        column = columns_of(class_ids, index.labels.indices[position])
        known = column >= 0
        owner, column = owner[known], column[known]
        pairs = np.stack([video[owner], segment[owner], column])
        rated = set(map(tuple, found.T.tolist()))
        return pairs[:, [tuple(pair) not in rated for pair in pairs.T.tolist()]]

    def _arrange(
        self, found: np.ndarray, value: np.ndarray, weight: np.ndarray, videos: int
    ) -> None:
        order = np.lexsort(found[::-1])
        video, self.segment, self.column = found[:, order]
        self.value, self.weight = (array[order].astype(np.float32) for array in (value, weight))
        self.indptr = indptr_of(np.bincount(video, minlength=videos))

    def rated_videos(self) -> np.ndarray:
        """Rows of the videos with at least one usable rating, int64, ascending."""
        return np.flatnonzero(np.diff(self.indptr))

    def entries(self, rows: np.ndarray) -> Entries:
        """Value 1 or 0 for each rating; what is not listed is unknown, not negative."""
        position, clip = spans(self.indptr, rows)
        arrays = (self.segment, self.column, self.value, self.weight)
        return Entries(clip, *(array[position] for array in arrays))
