"""Eq. 18: a label is estimated only where the video carries it."""

import numpy as np


def keep(scores: np.ndarray, thresholds: np.ndarray, in_video_labels: np.ndarray) -> np.ndarray:
    """bool [n]: score above its class's threshold, and the class among the video's labels.

    scores, thresholds: float [n] in [0, 1]. in_video_labels: bool [n].
    """
    return (scores > thresholds) & in_video_labels
