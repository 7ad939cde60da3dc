"""Small records with known content."""

import numpy as np

FEATURES = {"rgb": 8, "audio": 4}
# frames of rgb, frames of audio, labels, ratings (start, class, score)
VIDEOS = {
    "a": (12, 12, [3, 8], [(0, 3, 1), (5, 8, 0), (10, 20, 1)]),
    "b": (7, 6, [20], [(0, 20, 1), (5, 3, 0), (15, 20, 1)]),
    "c": (0, 0, [3], []),
    "d": (5, 5, [], [(0, 99, 1)]),
    "e": (31, 31, [3, 99], [(25, 3, 1), (30, 3, 0)]),
}


def video_frames(name):
    """The stored bytes of a video of VIDEOS, the same at each call."""
    random = np.random.default_rng(ord(name))
    counts = VIDEOS[name][:2]
    return {
        modality: random.integers(0, 256, (count, width), np.uint8)
        for (modality, width), count in zip(FEATURES.items(), counts, strict=True)
    }
