"""From prediction chunks to the files that people use: submission.csv and localisations.csv."""

# V videos, N segments of a chunk, C classes

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from segment_em import hdf5
from segment_em.class_lists import read_vocabulary
from segment_em.errors import InputError
from segment_em.index import indptr_of
from segment_em.index_files import read_index
from segment_em.localisation import Intervals, merge, rows_of, write_localisations
from segment_em.prediction_files import Predictions, read_all_predictions
from segment_em.submission import TopSegments, write_submission

log = logging.getLogger(__name__)

SHOWN = 10
VIDEOS_AT_ONCE = 128  # merging takes three bytes a score: 23 MB with 1,000 classes


class Order:
    """The order of all videos and segments of the test set, however they were chunked.

    Equal scores are ranked by it, so that the result does not depend on the chunks.
    """

    def __init__(self, index_paths: Sequence[str | Path], chunks: Sequence[Predictions]) -> None:
        """Raises InputError where predictions and index do not hold the same videos."""
        self.video_ids = read_index(index_paths).video_ids
        self.number = {name: number for number, name in enumerate(self.video_ids)}
        if sorted(self.number) != sorted(name for chunk in chunks for name in chunk.video_ids):
            raise InputError(
                "predictions and index hold different videos; delete the predictions to make anew"
            )
        self.counts = np.zeros(len(self.video_ids), np.int64)
        for chunk in chunks:
            self.counts[self.videos(chunk)] = np.diff(chunk.video_indptr)
        self.first = indptr_of(self.counts)

    def videos(self, chunk: Predictions) -> np.ndarray:
        """Number of each video of the chunk in the whole order, int64 [V]."""
        return np.array([self.number[name] for name in chunk.video_ids], dtype=np.int64)

    def rows(self, chunk: Predictions) -> np.ndarray:
        """Number of each segment of the chunk in the whole order, int64 [N]."""
        counts = np.diff(chunk.video_indptr)
        within = np.arange(counts.sum()) - np.repeat(chunk.video_indptr[:-1], counts)
        return np.repeat(self.first[self.videos(chunk)], counts) + within


def submit(
    index_paths: Sequence[str | Path],
    prediction_paths: Sequence[str | Path],
    top_segments: int,
    out: str | Path,
) -> None:
    """Write the best `top_segments` of each class, see submission.write_submission."""
    chunks = read_all_predictions(prediction_paths)
    order = Order(index_paths, chunks)
    class_ids = chunks[0].class_ids
    top = TopSegments(len(class_ids), top_segments)
    for chunk in chunks:
        row_N = order.rows(chunk)
        for rows, scores in chunk.slabs():
            top.add(scores, row_N[rows])
    segment = np.arange(order.counts.sum()) - np.repeat(order.first[:-1], order.counts)
    starts = segment * chunks[0].segment_frames
    names = np.repeat(order.video_ids, order.counts)
    write_submission(out, class_ids.tolist(), top, names, starts)


def localise(
    index_paths: Sequence[str | Path],
    prediction_paths: Sequence[str | Path],
    vocabulary_path: str | Path | None,
    threshold: float,
    out: str | Path,
) -> None:
    """Write what occurs when, see localisation.merge, in the order of the index.

    Says how much that is, and warns of classes that no segment scores high enough for.
    """
    chunks = read_all_predictions(prediction_paths)
    order, class_ids = Order(index_paths, chunks), chunks[0].class_ids
    names = read_vocabulary(vocabulary_path) if vocabulary_path else {}
    parts, best_C = [], np.zeros(len(class_ids), np.float32)
    for chunk in chunks:
        for found, highest_C in _intervals(chunk, threshold):
            parts.append(found._replace(video=order.videos(chunk)[found.video]))
            np.maximum(best_C, highest_C, out=best_C)
    joined = Intervals(*map(np.concatenate, zip(*parts, strict=True)))
    # A stable sort: within a video the rows stay ordered by start and class.
    by_video = np.argsort(joined.video, kind="stable")
    intervals = Intervals(*(array[by_video] for array in joined))
    write_localisations(out, rows_of(intervals, order.video_ids, class_ids, names))
    log.info("%d intervals in %d videos", len(intervals.video), len(order.video_ids))
    _warn_of_missing(class_ids, best_C, threshold)


def _warn_of_missing(class_ids: np.ndarray, best_C: np.ndarray, threshold: float) -> None:
    missing = np.flatnonzero(best_C < threshold)
    if len(missing):
        highest = missing[np.argsort(-best_C[missing], kind="stable")][:SHOWN]
        shown = ", ".join(f"{class_ids[c]} at most {best_C[c]:.2g}" for c in highest)
        log.warning(
            "warning: no segment has %d of %d classes (%s%s): they score below "
            "localisation.threshold (%g) everywhere; lower it, if they should be found",
            *(len(missing), len(class_ids), shown, ", ..." if len(missing) > SHOWN else ""),
            threshold,
        )


def _intervals(chunk: Predictions, threshold: float) -> Iterator[tuple[Intervals, np.ndarray]]:
    """The intervals of a chunk and the best score of each class, float [C], of some videos a time.

    Once if there are none.
    """
    for first in range(0, max(1, len(chunk.frames)), VIDEOS_AT_ONCE):
        frames_V = chunk.frames[first : first + VIDEOS_AT_ONCE]
        start, stop = chunk.video_indptr[[first, first + len(frames_V)]]
        scores_NC = chunk.scores[start:stop]
        found = merge(scores_NC, frames_V, chunk.segment_frames, threshold)
        yield found._replace(video=found.video + first), scores_NC.max(axis=0, initial=0)
        hdf5.release(chunk.scores)
