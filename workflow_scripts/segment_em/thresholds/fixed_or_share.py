"""The paper's δ joined with the best share of each class, so that no class starves.

A segment of a video that carries the class passes above δ, or if it is among the best of its
class. In other videos δ alone decides: nothing says that the class occurs there at all.
"""

# C classes, N distinct scores

import numpy as np

from segment_em.thresholds import below_best


def thresholds(histogram_CN: np.ndarray, *, delta: float, share: float) -> np.ndarray:
    """float64 [C, 2]: delta in videos that do not carry the class; in those that do, the lower of
    delta and the score just below the k-th best, k = share of the class's segments.

    histogram_CN: int [C, BINS], see the package. delta in [0, 1]; share in (0, 1].
    """
    carried_C = np.minimum(delta, below_best(histogram_CN, share))
    return np.stack([np.full(len(histogram_CN), delta), carried_C], axis=1)
