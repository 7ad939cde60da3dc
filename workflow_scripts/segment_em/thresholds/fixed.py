"""The paper's rule: one δ for every class (eqs. 18 and 19; section 6.1 sets 0.9)."""

# C classes, N distinct scores

import numpy as np


def thresholds(histogram_CN: np.ndarray, *, delta: float) -> np.ndarray:
    """float64 [C, 2], all equal to delta in [0, 1]. histogram_CN: int [C, BINS], only its shape."""
    return np.full((len(histogram_CN), 2), delta, dtype=np.float64)
