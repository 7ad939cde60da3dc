"""The challenge's metric, mAP@100,000, a steadier mean of it, and their spread over the videos.

N segments, C classes, R ratings, E ratings of one class, B bootstrap replicates, V rated videos
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from segment_em.errors import InputError

# How AP is averaged over the classes that have a rated positive: all alike, or each by its rated
# positives ("weighted" in scikit-learn). With two of them a class's AP is mostly chance, and still
# counts in the first as with forty.
CRITERIA = ("map", "weighted_map")
# Rows that are ranked at a time: few enough that a column of them sorts in the nearest cache, many
# enough that the work for each slab and class (a few microseconds) does not count.
SLAB_ROWS = 10_000
# Rows that are transposed at a time: they fit the cache, which makes the copy three times as fast.
TRANSPOSED_ROWS = 500


class Rated(NamedTuple):
    """What people said about segments: four arrays in parallel, one entry a rating.

    row: int64 [R], row of the segment in the scores; -1 for a segment that the scores do not hold
        (past the video's end), which can be a positive but is never retrieved.
    column: int64 [R], the class as a column of the scores.
    positive: bool [R], whether the class occurs in the segment.
    video: int64 [R], any number that tells the videos apart: the bootstrap resamples videos.
    """

    row: np.ndarray
    column: np.ndarray
    positive: np.ndarray
    video: np.ndarray


@dataclass(frozen=True)
class Evaluation:
    """mAP of one model's scores.

    ap_C: float64 [C] in [0, 1], nan for a class without rated positives.
    positives_C, rated_C: int64 [C], rated positives and ratings of each class.
    map: mean of ap_C over the classes with a rated positive; nan if there are none.
    weighted_map: the same, each class by its rated positives.
    map_sd, weighted_map_sd: their standard deviations when the rated videos are drawn again; nan as
        above.
    rank_R: int64 [R], from rank_rated.
    """

    ap_C: np.ndarray
    positives_C: np.ndarray
    rated_C: np.ndarray
    map: float
    map_sd: float
    weighted_map: float
    weighted_map_sd: float
    rank_R: np.ndarray


def average_precision(hits: np.ndarray, positives: int) -> float:
    """Average precision at k of one class (the challenge's definition).

    hits: bool [n], whether each rated segment is a positive, in ranked order, after the cut to k.
    positives: all rated positives of the class, retrieved or not.
    Returns the sum of the precision at each hit over `positives`, in [0, 1]. Raises ValueError if
    positives is 0.
    """
    if positives == 0:
        raise ValueError("average precision is not defined without positives")
    rank_of_hit = np.flatnonzero(hits) + 1
    return float((np.arange(1, len(rank_of_hit) + 1) / rank_of_hit).sum() / positives)


def evaluate(
    scores_NC: np.ndarray, rated: Rated, top_k: int, replicates: int, seed: int
) -> Evaluation:
    """mAP@top_k of the scores over what is rated, by each criterion, and bootstrap deviations.

    Each class is ranked by score, best first, equal scores by row; cut to top_k; then the unrated
    segments are dropped (https://www.kaggle.com/c/youtube8m-2019/overview/evaluation).
    scores_NC, rated: as rank_rated takes them. replicates, seed: as bootstrap_map takes them.
    """
    classes = scores_NC.shape[1]
    rank_R = rank_rated(scores_NC, rated, top_k)
    rated_C = np.bincount(rated.column, minlength=classes)
    positives_C = np.bincount(rated.column[rated.positive], minlength=classes)
    ap_C = np.full(classes, np.nan)
    for column, retrieved_E in _retrieved_by_class(rank_R, rated, classes):
        if positives_C[column]:
            ap_C[column] = average_precision(rated.positive[retrieved_E], positives_C[column])
    drawn = _bootstrap_ap(rank_R, rated, classes, replicates, seed)
    means = {}
    for criterion in CRITERIA:
        means[criterion] = float(_mean(ap_C[:, None], positives_C[:, None], criterion)[0])
        means[f"{criterion}_sd"] = _standard_deviation(_mean(*drawn, criterion))
    return Evaluation(ap_C, positives_C, rated_C, **means, rank_R=rank_R)


def rank_rated(scores_NC: np.ndarray, rated: Rated, top_k: int) -> np.ndarray:
    """Rank of each rated segment among all segments of its class.

    scores_NC: float32 or float16 [N, C], higher is better; any array with a shape, a dtype and
        slices of rows (a memory map, an HDF5 data set). Its rows are read twice in sequence, a
        slab at a time, and nothing else of it is held.
    Returns int64 [R]: 0 for the best, equal scores ranked by row; -1 for what is not retrieved,
    that is not among the best top_k or not in the scores. Raises InputError where a score is nan.
    """
    _check_rated(rated, *scores_NC.shape)
    score_R = _scores_of(scores_NC, rated)
    order_R = np.lexsort((rated.row, -score_R, rated.column))  # by class, then as ranked
    order_R = order_R[rated.row[order_R] >= 0]
    row_R, column_R, score_R = rated.row[order_R], rated.column[order_R], score_R[order_R]

    ahead_R = np.zeros(len(order_R), np.int64)
    bounds_C = np.searchsorted(column_R, np.arange(scores_NC.shape[1] + 1)).tolist()
    # In each class the better ranked come first, so those that may yet be retrieved do.
    stop_C = bounds_C[1:]
    for start, slab_NC in _slabs(scores_NC):
        _refuse_nan(slab_NC, start)
        for column, scores_N in enumerate(_transposed(slab_NC)):
            open_E = slice(bounds_C[column], stop_C[column])
            if open_E.start == open_E.stop:
                continue
            _count_ahead(ahead_R[open_E], scores_N, start, row_R[open_E], score_R[open_E])
            stop_C[column] = open_E.start + int(ahead_R[open_E].searchsorted(top_k))
    rank_R = np.full(len(rated.row), -1, np.int64)
    rank_R[order_R] = np.where(ahead_R < top_k, ahead_R, -1)
    return rank_R


def bootstrap_map(
    rank_R: np.ndarray,
    rated: Rated,
    classes: int,
    replicates: int,
    seed: int,
    criterion: str,
) -> np.ndarray:
    """mAP in bootstrap replicates: as many rated videos are drawn again, with replacement.

    The ranks stay as they are; all ratings of a video drawn w times count w times, at one rank. A
    class without a positive among the videos drawn is left out of that replicate's mean.
    rank_R: from rank_rated. criterion: of CRITERIA. Returns float64 [B], nan for a replicate
    without positives.
    The draws depend on the seed and the rated videos alone, so the replicates of two models that
    were rated alike are pairs: their difference is the paired bootstrap.
    """
    return _mean(*_bootstrap_ap(rank_R, rated, classes, replicates, seed), criterion)


def _bootstrap_ap(
    rank_R: np.ndarray, rated: Rated, classes: int, replicates: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """AP, nan without positives, and positives of each class in each replicate: two [C, B]."""
    video_numbers, video_R = np.unique(rated.video, return_inverse=True)
    weight_VB = _draw_videos(len(video_numbers), replicates, seed)
    ap_CB = np.full((classes, replicates), np.nan)
    positives_CB = np.zeros((classes, replicates), np.int64)
    for column, retrieved_E in _retrieved_by_class(rank_R, rated, classes):
        positive_R = rated.positive & (rated.column == column)
        positives_CB[column] = weight_VB[video_R[positive_R]].sum(axis=0)
        ap_CB[column] = _weighted_average_precision(
            rated.positive[retrieved_E], weight_VB[video_R[retrieved_E]], positives_CB[column]
        )
    return ap_CB, positives_CB


def _check_rated(rated: Rated, segments: int, classes: int) -> None:
    assert len({len(array) for array in rated}) == 1
    assert np.all((rated.row >= -1) & (rated.row < segments))
    assert np.all((rated.column >= 0) & (rated.column < classes))
    assert rated.positive.dtype == bool
    in_scores = rated.row >= 0
    pairs = rated.row[in_scores] * classes + rated.column[in_scores]
    found, counts = np.unique(pairs, return_counts=True)
    if (counts > 1).any():
        row, column = divmod(int(found[counts > 1][0]), classes)
        raise InputError(
            f"ratings: segment {row} is rated twice for column {column}: each would count, so give "
            "one rating a segment and class (an index merges equal ones, leaves out both of others)"
        )


def _slabs(scores_NC: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    # float16 widens exactly; a wider type would lose digits here, and with them the order.
    assert scores_NC.dtype in (np.float32, np.float16)
    for start in range(0, scores_NC.shape[0], SLAB_ROWS):
        yield start, np.asarray(scores_NC[start : start + SLAB_ROWS], np.float32)


def _refuse_nan(slab_NC: np.ndarray, start: int) -> None:
    # The minimum is nan if any score is: one fast pass.
    if slab_NC.size and np.isnan(slab_NC.min()):
        row, column = np.argwhere(np.isnan(slab_NC))[0]
        raise InputError(
            f"scores: segment {start + row}, column {column} is nan, so that it has no rank: "
            f"predict again with a model whose training did not diverge"
        )


def _transposed(slab_NC: np.ndarray) -> np.ndarray:
    slab_CN = np.empty(slab_NC.shape[::-1], np.float32)
    for start in range(0, len(slab_NC), TRANSPOSED_ROWS):
        rows = slice(start, start + TRANSPOSED_ROWS)
        slab_CN[:, rows] = slab_NC[rows].T
    return slab_CN


def _scores_of(scores_NC: np.ndarray, rated: Rated) -> np.ndarray:
    """Scores of the rated segments, float32 [R]; 0 for those that the scores do not hold."""
    by_row = np.argsort(rated.row, kind="stable")
    score_R = np.zeros(len(rated.row), np.float32)
    for start, slab_NC in _slabs(scores_NC):
        first, last = np.searchsorted(rated.row[by_row], [start, start + len(slab_NC)])
        here = by_row[first:last]
        score_R[here] = slab_NC[rated.row[here] - start, rated.column[here]]
    return score_R


def _count_ahead(
    ahead_E: np.ndarray, scores_N: np.ndarray, start: int, row_E: np.ndarray, score_E: np.ndarray
) -> None:
    """Add to ahead_E how many segments of a slab rank ahead of each rated segment of one class.

    scores_N: the class's scores of the segments from row `start` on. score_E: falling, not empty.
    """
    later_E = row_E >= start + len(scores_N)  # equal scores in the slab rank ahead of these
    for entry in np.flatnonzero((row_E >= start) != later_E):  # the rated segments of the slab
        ahead_E[entry] += np.count_nonzero(scores_N[: row_E[entry] - start] == score_E[entry])
    # What ranks behind all of them is most of it, once those past top_k are no longer looked at.
    reached_N = scores_N[scores_N >= score_E[-1]]
    reached_N.sort()
    below_E = reached_N.searchsorted(score_E, "left")
    not_above_E = reached_N.searchsorted(score_E, "right")
    ahead_E += len(reached_N) - np.where(later_E, below_E, not_above_E)


def _retrieved_by_class(
    rank_R: np.ndarray, rated: Rated, classes: int
) -> Iterator[tuple[int, np.ndarray]]:
    """For each column the ratings of retrieved segments, best first, as indices into R."""
    order_R = np.lexsort((rank_R, rated.column))
    order_R = order_R[rank_R[order_R] >= 0]
    bounds = np.searchsorted(rated.column[order_R], np.arange(classes + 1))
    for column in range(classes):
        yield column, order_R[bounds[column] : bounds[column + 1]]


def _draw_videos(videos: int, replicates: int, seed: int) -> np.ndarray:
    """How often each video is drawn, int32 [V, B], from one random stream a seed."""
    random = np.random.default_rng(seed)
    weight_VB = np.empty((videos, replicates), np.int32)
    for replicate in range(replicates):
        drawn = random.integers(videos, size=videos)
        weight_VB[:, replicate] = np.bincount(drawn, minlength=videos)
    return weight_VB


def _weighted_average_precision(
    hits_E: np.ndarray, weight_EB: np.ndarray, positives_B: np.ndarray
) -> np.ndarray:
    """average_precision with each rated segment counted weight_EB times; nan without positives."""
    hit_weight_EB = weight_EB * hits_E[:, None]
    seen_EB = np.maximum(np.cumsum(weight_EB, axis=0), 1)  # 0 only where nothing is hit yet
    precision_EB = np.cumsum(hit_weight_EB, axis=0) / seen_EB
    total_B = (hit_weight_EB * precision_EB).sum(axis=0)
    return np.divide(total_B, positives_B, out=np.full(len(total_B), np.nan), where=positives_B > 0)


def _mean(ap_CB: np.ndarray, positives_CB: np.ndarray, criterion: str) -> np.ndarray:
    """Mean over the classes whose AP is defined, float64 [B]; nan where there are none."""
    weight_CB = ~np.isnan(ap_CB) * {"map": 1, "weighted_map": positives_CB}[criterion]
    weight_B = weight_CB.sum(axis=0)
    total_B = np.nansum(ap_CB * weight_CB, axis=0)
    return np.divide(total_B, weight_B, out=np.full(len(total_B), np.nan), where=weight_B > 0)


def _standard_deviation(map_B: np.ndarray) -> float:
    defined_B = map_B[~np.isnan(map_B)]
    return float(defined_B.std(ddof=1)) if len(defined_B) > 1 else float("nan")
