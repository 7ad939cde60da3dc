"""Thresholds by class, so that a given share of the segments of its videos become positive.

One δ starves rare classes and means different things to differently calibrated teachers
(docs/log.md). Here each class keeps its best scores, however high they are. In a video that does
not carry the class a segment must score like the very best of those that do: most videos carry
few of the classes, and at one threshold for all they would drown the others in false positives.
"""

# C classes, N distinct scores

import numpy as np

from segment_em.thresholds import below_best


def thresholds(histogram_CN: np.ndarray, *, share: float, other_share: float) -> np.ndarray:
    """float64 [C, 2]: the score just below the k-th best of the class.

    histogram_CN: int [C, BINS], see the package. share, in (0, 1]: k in videos that carry the
    class is this share of their segments, one at least. other_share, in (0, 1]: likewise for the
    other videos, with the same scores to compare with. A class without videos gets 1, above every
    score.
    """
    return np.stack([below_best(histogram_CN, part) for part in (other_share, share)], axis=1)
