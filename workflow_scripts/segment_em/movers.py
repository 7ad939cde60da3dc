"""Which rated segments are behind a gain or a loss of a class's average precision.

R ratings of one class
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from segment_em.ratings_table import RatingScores

COLUMNS = [
    "class", "video_id", "start", "positive",
    "place_before", "place_after", "score_before", "score_after",
]  # fmt: skip


def movers(
    before: RatingScores,
    after: RatingScores,
    names: tuple[str, str],
    change: Mapping[int, float],
    most: int,
) -> pd.DataFrame:
    """The rated segments that moved most in the direction in which their class's AP went.

    before, after: over the same ratings. names: of the scorer in each. change: {class id: AP after
    minus before}; classes without a change have no rows. most: segments a class at most.
    A segment's place is its rank among the rated segments of its class, from 1. A positive moves
    for the better when it rises, a negative when it falls. Columns as COLUMNS, a class's segments
    by how far they moved, the farthest first.
    """
    parts = []
    for class_id, difference in change.items():
        row_R = np.flatnonzero(before.classes == class_id)
        if difference and not np.isnan(difference):
            parts.append(_of_class(before, after, names, row_R, difference > 0, most))
    return pd.concat([pd.DataFrame(columns=COLUMNS), *parts], ignore_index=True)


def _of_class(
    before: RatingScores,
    after: RatingScores,
    names: tuple[str, str],
    row_R: np.ndarray,
    gained: bool,
    most: int,
) -> pd.DataFrame:
    place_R, later_R = _places(before.ranks[names[0]][row_R]), _places(after.ranks[names[1]][row_R])
    positive_R = before.positive[row_R]
    better_R = np.where(positive_R, place_R - later_R, later_R - place_R)
    moved_R = better_R if gained else -better_R
    chosen = np.argsort(-moved_R, kind="stable")[:most]
    chosen = chosen[moved_R[chosen] > 0]
    row = row_R[chosen]
    columns = (
        before.classes[row], before.video_ids[row], before.starts[row],
        positive_R[chosen].astype(int), place_R[chosen], later_R[chosen],
        before.scores[names[0]][row], after.scores[names[1]][row],
    )  # fmt: skip
    return pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)))


def _places(rank_R: np.ndarray) -> np.ndarray:
    """From 1 for the best; what is not retrieved shares the place behind all others."""
    retrieved_R = rank_R >= 0
    place_R = np.full(len(rank_R), np.count_nonzero(retrieved_R) + 1)
    order = np.flatnonzero(retrieved_R)[np.argsort(rank_R[retrieved_R], kind="stable")]
    place_R[order] = np.arange(1, len(order) + 1)
    return place_R
