"""Eq. 19: every score above the threshold, since video labels may be missing."""

import numpy as np


def keep(scores: np.ndarray, thresholds: np.ndarray, in_video_labels: np.ndarray) -> np.ndarray:
    """bool [n]: score above its class's threshold, whatever the video's labels say.

    scores, thresholds: float [n] in [0, 1]. in_video_labels: bool [n], not used.
    """
    return scores > thresholds
