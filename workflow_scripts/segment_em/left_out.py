"""What of the data no job will use, told from the index before anything is trained."""

# V videos, R ratings

from collections.abc import Iterator, Mapping

import numpy as np

from segment_em.index import Index, columns_of

SHOWN = 10


def left_out(splits: Mapping[str, Index], class_ids: np.ndarray, max_frames: int) -> list[str]:
    """One line for each thing that is cut, unknown or contradictory, with how much and the remedy.

    splits: {train, segments, test: its index}. class_ids: int [C], those that are localised.
    """
    found = []
    for name, index in splits.items():
        found += _cut(name, index, max_frames)
        found += _unlisted(name, index, class_ids)
        found += _contradictory(name, index)
    return found


def rating_of_segment(index: Index, max_frames: int, segment_frames: int) -> np.ndarray:
    """bool [R]: whether the rated segment exists in the video as it is read, cut at max_frames."""
    frames_V = np.minimum(index.first.frames, max_frames).astype(np.int64)
    segments_V = -(-frames_V // segment_frames)
    return index.ratings.start_second // segment_frames < segments_V[index.rated_rows()]


def _cut(name: str, index: Index, max_frames: int) -> Iterator[str]:
    frames_V = index.first.frames
    longer = int((frames_V > max_frames).sum())
    if longer:
        start_R, video_R = index.ratings.start_second, index.rated_rows()
        lost = int(((start_R >= max_frames) & (start_R < frames_V[video_R])).sum())
        ratings = f", with {lost} of {len(start_R)} ratings" if lost else ""
        yield (
            f"data.{name}: {longer} of {len(index)} videos are longer than data.max_frames "
            f"({max_frames}), the longest {frames_V.max()} frames: what follows is neither learnt "
            f"nor localised{ratings}: raise data.max_frames"
        )


def _unlisted(name: str, index: Index, class_ids: np.ndarray) -> Iterator[str]:
    unknown_R = columns_of(class_ids, index.ratings.class_id) < 0
    if unknown_R.any():
        ids = np.unique(index.ratings.class_id[unknown_R])
        shown = ", ".join(map(str, ids[:SHOWN])) + (", ..." if len(ids) > SHOWN else "")
        yield (
            f"data.{name}: {unknown_R.sum()} of {len(unknown_R)} ratings are of {len(ids)} classes "
            f"that data.segment_classes does not list ({shown}): they are not used: list them, or "
            "leave it so"
        )


def _contradictory(name: str, index: Index) -> Iterator[str]:
    both = int(index.ratings.contradictory.sum())
    if both:
        yield (
            f"data.{name}: {both} times a segment and class has both answers: neither is used: "
            "give one, such as the majority's"
        )
