"""What of the data no job will use, told from the index before anything is trained."""

# V videos, R ratings

from collections.abc import Collection, Iterator, Mapping
from itertools import islice

import numpy as np

from segment_em.index import Index, columns_of

SHOWN = 10
# Shares from which on it is hardly chance: of YouTube-8M's ratings .5 % start past the end, and its
# two modalities differ by a frame.
MANY = 0.2
FRAMES_APART = 0.1


def left_out(splits: Mapping[str, Index], class_ids: np.ndarray, max_frames: int) -> list[str]:
    """One line for each thing that is cut, unknown or contradictory, with how much and the remedy.

    splits: {train, segments, test: its index}. class_ids: int [C], those that are localised.
    """
    found = []
    for name, index in splits.items():
        found += _without_frames(name, index)
        found += _cut(name, index, max_frames)
        found += _past_the_end(name, index)
        found += frames_apart(f"data.{name}", index)
        found += _unlisted(name, index, class_ids)
        found += _contradictory(name, index)
    found += _files_without("train", splits, "label", "all count as showing none of the classes")
    found += _files_without("segments", splits, "rating", "they teach nothing")
    return found


def listed(names: Collection[object]) -> str:
    """The first of them, as text."""
    return ", ".join(map(str, islice(names, SHOWN))) + (", ..." if len(names) > SHOWN else "")


def _without_frames(name: str, index: Index) -> Iterator[str]:
    empty = np.flatnonzero(index.first.frames == 0)
    if len(empty):
        yield (
            f"data.{name}: {len(empty)} of {len(index)} videos have no frames "
            f"({listed(index.video_ids[empty])}): nothing is learnt from them or localised in "
            "them: extract their features again, or leave them out"
        )


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


def _past_the_end(name: str, index: Index) -> Iterator[str]:
    start_R, frames_V = index.ratings.start_second, index.first.frames
    late = int((start_R >= frames_V[index.rated_rows()]).sum())
    if late > MANY * len(start_R):
        yield (
            f"data.{name}: {late} of {len(start_R)} ratings start past the end of their video: "
            "fine-tuning leaves them out, and the metric counts a positive one as missed: give "
            "starts in seconds"
        )


def frames_apart(place: str, index: Index) -> Iterator[str]:
    """A line for each modality that has far more or fewer frames than the first, in many videos."""
    first, *others = index.modalities
    frames_V = index.first.frames.astype(np.int64)
    for other in others:
        apart_V = np.abs(index.modalities[other].frames - frames_V)
        wrong = int((apart_V > np.maximum(1, FRAMES_APART * frames_V)).sum())
        if wrong > MANY * len(index):
            yield (
                f"{place}: {wrong} of {len(index)} videos have more or fewer frames of {other} "
                f"than of {first}: what is past the end of {first} is not read, and what is "
                "missing counts as zeros: give one frame a second of each"
            )


def _files_without(
    name: str, splits: Mapping[str, Index], what: str, consequence: str
) -> Iterator[str]:
    """Files of which no video has a label or rating, in a split where they are what is learnt."""
    if name not in splits:
        return
    index = splits[name]
    entries = index.labels if what == "label" else index.ratings
    videos_F, entries_F = (
        np.bincount(index.first.file, weights=weights, minlength=len(index.files))
        for weights in (None, np.diff(entries.indptr))
    )
    empty = np.flatnonzero((videos_F > 0) & (entries_F == 0))
    if len(empty):
        videos, first = videos_F[empty].sum(), index.files[empty[0]]
        yield (
            f"data.{name}: {len(empty)} of {len(index.files)} files have no {what} for any of "
            f"their {videos} videos ({first} the first): {consequence}: write {what}s into them, "
            "or leave them out"
        )


def _unlisted(name: str, index: Index, class_ids: np.ndarray) -> Iterator[str]:
    unknown_R = columns_of(class_ids, index.ratings.class_id) < 0
    if unknown_R.any():
        ids = np.unique(index.ratings.class_id[unknown_R])
        yield (
            f"data.{name}: {unknown_R.sum()} of {len(unknown_R)} ratings are of {len(ids)} classes "
            f"that data.segment_classes does not list ({listed(ids)}): they are not used: list "
            "them, or leave it so"
        )


def _contradictory(name: str, index: Index) -> Iterator[str]:
    both = int(index.ratings.contradictory.sum())
    if both:
        yield (
            f"data.{name}: {both} times a segment and class has both answers: neither is used: "
            "give one, such as the majority's"
        )
