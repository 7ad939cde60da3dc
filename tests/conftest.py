"""What several tests need: small records with known content."""

import numpy as np
import pytest

from segment_em.index import build_index
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


def video_frames(name):
    """The stored bytes of a video of VIDEOS, the same at each call."""
    random = np.random.default_rng(ord(name))
    counts = VIDEOS[name][:2]
    return {
        modality: random.integers(0, 256, (count, width), np.uint8)
        for (modality, width), count in zip(FEATURES.items(), counts, strict=True)
    }


@pytest.fixture
def record_path(tmp_path):
    """A record file with VIDEOS."""
    payloads = []
    for name, (_, _, labels, ratings) in VIDEOS.items():
        columns = np.array(ratings).reshape(-1, 3).T
        rated = Ratings(
            columns[0].astype(np.int64),
            columns[1].astype(np.int64),
            columns[2].astype(np.float32),
        )
        payloads.append(encode_example(name, np.array(labels, np.int64), video_frames(name), rated))
    path = tmp_path / "train0000.tfrecord"
    write_records(path, payloads)
    return path


@pytest.fixture
def small_index(record_path):
    """The index of VIDEOS, in their order; segments of five frames."""
    return build_index([record_path], FEATURES, 5)
