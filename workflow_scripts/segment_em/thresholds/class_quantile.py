"""Thresholds by class, so that a given share of the segments of its videos become positive.

One δ starves rare classes and means different things to differently calibrated teachers
(docs/log.md). Here each class keeps its best scores, however high they are. In a video that does
not carry the class a segment must score like the very best of those that do: most videos carry
few of the classes, and at one threshold for all they would drown the others in false positives.
"""

import numpy as np

from segment_em.thresholds import values_of_bins


def thresholds(histogram_CN: np.ndarray, *, share: float, other_share: float) -> np.ndarray:
    """float64 [C, 2]: the score just below the k-th best, k = share of the class's segments.

    histogram_CN: int [C, BINS], see the package. share, in (0, 1]: for videos that carry the
    class; at least one segment of each class that any video carries stays above the threshold.
    other_share, in (0, 1]: likewise for the other videos, with the same scores to compare with.
    A class without videos gets 1.0, which no score exceeds.
    """
    return np.stack([_below_best(histogram_CN, part) for part in (other_share, share)], axis=1)


def _below_best(histogram_CN: np.ndarray, share: float) -> np.ndarray:
    """float64 [C]: the greatest score that leaves `share` of the class's segments above it."""
    values_N = values_of_bins()
    total_C = histogram_CN.sum(axis=1)
    wanted_C = np.maximum(1, np.round(share * total_C))
    # Scores at or above bin n: a sum from the right.
    at_least_CN = histogram_CN[:, ::-1].cumsum(axis=1)[:, ::-1]
    kth_best_C = (at_least_CN >= wanted_C[:, None]).sum(axis=1) - 1
    # A label is a score above the threshold, so the threshold is the next score below the k-th.
    below_C = np.where(kth_best_C > 0, values_N[np.maximum(kth_best_C - 1, 0)], -1.0)
    return np.where(total_C > 0, below_C, 1.0)
