"""Small records with known content."""

import numpy as np

from segment_em.records import Ratings, encode_example, write_records

FEATURES = {"rgb": 8, "audio": 4}
# frames of rgb, frames of audio, labels, ratings (start, class, score)
VIDEOS = {
    "a": (12, 12, [3, 8], [(0, 3, 1), (5, 8, 0), (10, 20, 1)]),
    "b": (7, 6, [20], [(0, 20, 1), (5, 3, 0), (15, 20, 1)]),
    "c": (0, 0, [3], []),
    "d": (5, 5, [], [(0, 99, 1)]),
    "e": (31, 31, [3, 99], [(25, 3, 1), (30, 3, 0)]),
}


# Eleven more, enough for batch norms and for batches that do not divide
MORE_VIDEOS = {
    name: (7 * n % 23 + 3, 7 * n % 23 + 3, [[3], [8, 20], [20]][n % 3], [(0, 3, n % 2), (0, 8, 1)])
    for n, name in enumerate("ghijklmnopq")
}


def video_frames(name):
    """The stored bytes of a video, the same at each call."""
    random = np.random.default_rng(ord(name))
    counts = (VIDEOS | MORE_VIDEOS)[name][:2]
    return {
        modality: random.integers(0, 256, (count, width), np.uint8)
        for (modality, width), count in zip(FEATURES.items(), counts, strict=True)
    }


def write_small_records(path, videos):
    """A record file with VIDEOS or MORE_VIDEOS."""
    payloads = []
    for name, (_, _, labels, ratings) in videos.items():
        columns = np.array(ratings).reshape(-1, 3).T
        rated = Ratings(
            columns[0].astype(np.int64),
            columns[1].astype(np.int64),
            columns[2].astype(np.float32),
        )
        payloads.append(encode_example(name, np.array(labels, np.int64), video_frames(name), rated))
    write_records(path, payloads)
