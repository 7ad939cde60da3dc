"""Records of the official widths with random bytes: speed does not depend on what they say."""

from collections.abc import Iterator
from pathlib import Path

import measure  # noqa: F401  (makes segment_em importable)
import numpy as np

from segment_em.index_files import write_index
from segment_em.indexing import build_index
from segment_em.records import Ratings, encode_example, write_records

FEATURES = {"rgb": 1024, "audio": 128}
SEGMENT_FRAMES, MAX_FRAMES, CLASSES = 5, 300, 1000
# Uniform from there to 300: 213 frames and 245 KB a video, and the 230 frames of YouTube-8M.
SHORTEST_OF_245_KB, SHORTEST_OF_YT8M = 126, 160


def frame_counts(videos: int, shortest: int, seed: int = 0) -> np.ndarray:
    """int64 [V], uniform from `shortest` to 300."""
    return np.random.default_rng(seed).integers(shortest, MAX_FRAMES + 1, videos)


def payloads(
    counts: np.ndarray, seed: int = 0, prefix: str = "v", rated: bool = True
) -> Iterator[bytes]:
    """One SequenceExample a count of frames: three labels, and two ratings if it is rated."""
    random = np.random.default_rng(seed)
    ratings = Ratings(np.array([0, 5]), np.array([1, 2]), np.array([1, 0], np.float32))
    for number, frames in enumerate(counts):
        arrays = {
            name: random.integers(0, 256, (frames, width), np.uint8)
            for name, width in FEATURES.items()
        }
        labels = np.sort(random.choice(CLASSES, 3, replace=False))
        yield encode_example(f"{prefix}{number:06d}", labels, arrays, ratings if rated else None)


def write_videos(path: Path, counts: np.ndarray, **options) -> Path:
    """A record file of videos with these counts of frames."""
    write_records(path, payloads(counts, **options))
    return path


def write_indexed(folder: Path, counts: np.ndarray) -> tuple[Path, Path]:
    """Record file and its index file."""
    records = write_videos(folder / "videos.tfrecord", counts)
    path = folder / "index.h5"
    write_index(path, build_index([records], FEATURES, SEGMENT_FRAMES), {})
    return records, path
