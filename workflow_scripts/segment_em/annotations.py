"""Labels and ratings as they were stored, brought into the order and form of the index.

Shapes: V videos. Lists of differing length, one a video, are kept as CSR, see index.py.
"""

import numpy as np

from segment_em.errors import InputError
from segment_em.index import Labels, RatedSegments, indptr_of


def rated_segments(
    path: str, ids: np.ndarray, raw: tuple[np.ndarray, ...], segment_frames: int
) -> RatedSegments:
    """Ratings by start and class: equal ones merged, contradictory ones left out and counted.

    raw: indptr, start_second, class_id, score (CSR) as stored.
    """
    indptr, start_second, class_id, score = raw
    video = np.repeat(np.arange(len(ids)), np.diff(indptr))
    for wrong, problem in (
        (start_second % segment_frames != 0, f"start is no multiple of {segment_frames} seconds"),
        ((score != 0) & (score != 1), "score is neither 0 nor 1"),
    ):
        if wrong.any():
            entry = int(wrong.argmax())
            raise InputError(
                f"{path}: video {str(ids[video[entry]])!r}: rating of class {class_id[entry]} from "
                f"second {start_second[entry]}, score {score[entry]}: its {problem}: correct it"
            )
    order = np.lexsort((class_id, start_second, video))
    keys = np.stack([video, start_second, class_id])[:, order]
    begin = _starts(keys)
    video, start_second, class_id = keys[:, begin]
    positives = np.add.reduceat(score[order], begin) if len(begin) else score
    entries = np.diff(np.append(begin, len(order)))
    agreed = (positives == 0) | (positives == entries)
    return RatedSegments(
        indptr_of(np.bincount(video[agreed], minlength=len(ids))),
        start_second[agreed],
        class_id[agreed],
        positives[agreed] > 0,
        np.bincount(video[~agreed], minlength=len(ids)),
    )


def unlabelled(videos: int) -> tuple[np.ndarray, np.ndarray]:
    """What distinct_labels takes, where nothing is labelled."""
    return np.zeros(videos + 1, np.int64), np.zeros(0, np.int64)


def unrated(videos: int) -> tuple[np.ndarray, ...]:
    """What rated_segments takes, where nothing is rated."""
    nothing = np.zeros(0, np.int64)
    return np.zeros(videos + 1, np.int64), nothing, nothing, np.zeros(0, np.float32)


def _starts(keys: np.ndarray) -> np.ndarray:
    """Where runs of equal columns begin. keys: int [k, n]."""
    changes = (keys[:, 1:] != keys[:, :-1]).any(axis=0)
    return np.flatnonzero(np.concatenate([np.ones(min(keys.shape[1], 1), bool), changes]))


def distinct_labels(indptr: np.ndarray, class_id: np.ndarray) -> Labels:
    """Labels of videos, ascending, each once. indptr: int64 [V + 1]; class_id: int64 [n]."""
    video = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    keys = np.stack([video, class_id])[:, np.lexsort((class_id, video))]
    video, class_id = keys[:, _starts(keys)]
    return Labels(indptr_of(np.bincount(video, minlength=len(indptr) - 1)), class_id)
