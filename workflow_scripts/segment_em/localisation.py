"""What occurs when: neighbouring segments of one class merged into intervals.

V videos, N segments of those videos, C classes, L intervals
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from segment_em.files import quoted, replacing
from segment_em.index import segments_of

SLAB = 100_000  # intervals that are Python objects at once: ten times the size of the arrays


class Intervals(NamedTuple):
    """Arrays in parallel, one entry an interval, ordered by video, then start, then column.

    video: int64 [L], position among the videos; start, end: int64 [L] in seconds, end excluded;
    column: int64 [L], the class; score: float32 [L], mean over the interval's segments.
    """

    video: np.ndarray
    start: np.ndarray
    end: np.ndarray
    column: np.ndarray
    score: np.ndarray


class Localisation(NamedTuple):
    """A row of localisations.csv: class `class_id`, called `name`, occurs in [start, end) s."""

    video_id: str
    start: int
    end: int
    class_id: int
    name: str
    score: float


def merge(
    scores_NC: np.ndarray, frames_V: np.ndarray, segment_frames: int, threshold: float
) -> Intervals:
    """Merge runs of neighbouring segments of a video that score at least `threshold`.

    scores_NC: float [N, C], the segments of all videos one after the other, video v having
        ceil(frames_V[v] / segment_frames) of them. frames_V: int64 [V], at one frame a second.
    An interval ends with its last segment, or with the video where that is earlier.
    """
    segments_V = segments_of(frames_V, segment_frames)
    assert segments_V.sum() == len(scores_NC)
    video_N = np.repeat(np.arange(len(frames_V)), segments_V)
    segment_N = np.arange(len(video_N)) - np.repeat(np.cumsum(segments_V) - segments_V, segments_V)

    above_CN = np.ascontiguousarray((scores_NC >= threshold).T)
    first_CN, last_CN = _ends_of_runs(above_CN, segment_N == 0)
    column_L, first_L = np.nonzero(first_CN)
    last_L = np.nonzero(last_CN)[1]  # the k-th run's end, since both go by column, then row
    video_L = video_N[first_L]
    start_L = segment_N[first_L] * segment_frames
    end_L = np.minimum((segment_N[last_L] + 1) * segment_frames, frames_V[video_L])
    score_L = _means_of_runs(scores_NC.T[above_CN], last_L - first_L + 1)
    order = np.lexsort((column_L, start_L, video_L))
    return Intervals(*(array[order] for array in (video_L, start_L, end_L, column_L, score_L)))


def rows_of(
    intervals: Intervals,
    video_ids: Sequence[str],
    class_ids: Sequence[int],
    names: Mapping[int, str],
) -> Iterator[Localisation]:
    """Say which video and class each interval is about; a class without a name is called "".

    video_ids: by position. class_ids: one a column. names: by class id.
    """
    for first in range(0, len(intervals.video), SLAB):
        slab = (array[first : first + SLAB].tolist() for array in intervals)
        for video, start, end, column, score in zip(*slab, strict=True):
            class_id = int(class_ids[column])
            name = names.get(class_id, "")
            yield Localisation(video_ids[video], start, end, class_id, name, score)


def write_localisations(path: str | Path, rows: Iterable[Localisation]) -> None:
    """Write video_id,start,end,class,name,score as CSV in UTF-8, a row a line, quoted as RFC 4180.

    Scores have six significant digits.
    """
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        file.write("video_id,start,end,class,name,score\n")
        for row in rows:
            video_id, name = quoted(row.video_id), quoted(row.name)
            file.write(f"{video_id},{row.start},{row.end},{row.class_id},{name},{row.score:.6g}\n")


def _ends_of_runs(above_CN: np.ndarray, opens_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mark the first and the last segment of each run; opens_N: the first segment of a video."""
    closes_N = np.roll(opens_N, -1)
    first_CN, last_CN = above_CN.copy(), above_CN.copy()
    first_CN[:, 1:] &= ~above_CN[:, :-1] | opens_N[1:]
    last_CN[:, :-1] &= ~above_CN[:, 1:] | closes_N[:-1]
    return first_CN, last_CN


def _means_of_runs(scores: np.ndarray, length_L: np.ndarray) -> np.ndarray:
    """Means of consecutive runs of the given lengths, which together make up `scores`."""
    if len(length_L) == 0:  # reduceat wants at least one run
        return np.zeros(0, np.float32)
    begins_L = np.cumsum(length_L) - length_L
    return (np.add.reduceat(scores.astype(np.float64), begins_L) / length_L).astype(np.float32)
