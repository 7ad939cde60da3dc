"""Thresholds by class, so that a given share of the segments of its videos become positive.

One δ starves rare classes and means different things to differently calibrated teachers
(docs/log.md). Here each class keeps its best scores, however high they are. In a video that does
not carry the class a segment must score like the very best of those that do: most videos carry
few of the classes, and at one threshold for all they would drown the others in false positives.
A δ below 1 labels besides whatever the teacher is that sure of.
"""

# C classes, N distinct scores

import numpy as np

from segment_em.thresholds import below_best


def thresholds(
    histogram_CN: np.ndarray, *, share: float, other_share: float, delta: float
) -> np.ndarray:
    """float64 [C, 2]: the lower of delta and the score just below the k-th best of the class.

    histogram_CN: int [C, BINS], see the package. share, in (0, 1]: k in videos that carry the
    class is this share of their segments, one at least. other_share, in (0, 1]: likewise for the
    other videos, with the same scores to compare with. delta, in [0, 1]: 1 is above every score.
    A class without videos gets delta.
    """
    limits_C2 = [below_best(histogram_CN, part) for part in (other_share, share)]
    return np.minimum(np.stack(limits_C2, axis=1), delta)
