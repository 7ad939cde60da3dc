"""The best 100,000 of 2,062,258 segments for each of 1,000 classes, from chunks on disk."""

import json
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from child import Cost, cost_of
from measure import ROOT, Row, run
from synthetic import FEATURES, MAX_FRAMES, SEGMENT_FRAMES

from segment_em.index import Index, Labels, Modality, RatedSegments
from segment_em.index_files import write_index
from segment_em.prediction_files import write_predictions

CHUNKS = {"few": 2, "many": 128}


def sizes(quick: bool) -> dict:
    if quick:
        return {"segments": 3000, "classes": 4, "top_segments": 100, "repeats": 5}
    return {"segments": 2_062_258, "classes": 1000, "top_segments": 100_000, "repeats": 5}


def measured(quick: bool) -> list[Row]:
    size = sizes(quick)
    with tempfile.TemporaryDirectory() as folder:
        costs = {
            name: [job(files, Path(folder), size) for _ in range(size["repeats"])]
            for name, files in chunked(Path(folder), size)
        }
    return [row for name, cost in costs.items() for row in rows(name, cost)]


def rows(name: str, costs: list[Cost]) -> list[Row]:
    what = f"submission from {CHUNKS[name]} chunks"
    taken = statistics.median(cost.cpu_seconds for cost in costs)
    peak = max(cost.peak_bytes for cost in costs) / 1e9
    return [
        Row(f"{what}, time", "CPU seconds", taken, judged="figure", at_most=90),
        Row(f"{what}, peak memory", "GB", peak, judged="figure", at_most=2),
    ]


def job(files: list[Path], folder: Path, size: dict) -> Cost:
    """The whole job, as the rule calls it."""
    index, *predictions = files
    settings = json.dumps({"top_segments": size["top_segments"]})
    return cost_of(
        [
            *(sys.executable, ROOT / "workflow_scripts/submit.py", "--config", settings),
            *("--index", index, "--predictions", *predictions),
            *("--out", folder / "submission.csv"),
        ],
        folder / "log",
    )


def chunked(folder: Path, size: dict) -> Iterator[tuple[str, list[Path]]]:
    """Name, and index and prediction files, of each way to chunk the same scores."""
    videos = -(-size["segments"] // (MAX_FRAMES // SEGMENT_FRAMES))
    frames = np.full(videos, MAX_FRAMES)
    frames[-1] -= SEGMENT_FRAMES * (videos * (MAX_FRAMES // SEGMENT_FRAMES) - size["segments"])
    ids = np.array([f"v{number:06d}" for number in range(videos)])
    index = folder / "index.h5"
    write_index(index, an_index(ids, frames), {})
    for name, chunks in CHUNKS.items():
        files = []
        for number, part in enumerate(np.array_split(np.arange(videos), min(chunks, videos))):
            files.append(folder / f"{name}-{number}.h5")
            write_chunk(files[-1], ids[part], frames[part], size["classes"], number)
        yield name, [index, *files]
        for file in files:
            file.unlink()


def write_chunk(path: Path, ids: np.ndarray, frames: np.ndarray, classes: int, seed: int) -> None:
    """Random scores of the videos; most near 0, as a model's are."""
    random = np.random.default_rng(seed)
    parts = (
        np.square(random.random((-(-count // SEGMENT_FRAMES), classes), np.float32))
        for count in frames.tolist()
    )
    write_predictions(path, parts, ids, frames, np.arange(classes), SEGMENT_FRAMES, {})


def an_index(ids: np.ndarray, frames: np.ndarray) -> Index:
    """An index of videos in a file that no submission opens."""
    videos, zeros = len(ids), np.zeros(len(ids), np.int64)
    offset = np.arange(videos, dtype=np.int64)
    modalities = {
        name: Modality(
            width, "uint8", 1.0, 0.0, zeros.astype(np.int32), offset, zeros + width, frames
        )
        for name, width in FEATURES.items()
    }
    none = np.zeros(0, np.int64)
    indptr = np.zeros(videos + 1, np.int64)
    return Index(
        ["absent.tfrecord"],
        np.array([1 << 40]),
        ids,
        modalities,
        Labels(indptr, none),
        RatedSegments(indptr, none, none, none.astype(bool), zeros),
        zeros,
        zeros.astype(np.uint32),
    )


if __name__ == "__main__":
    run(measured, __doc__, sizes)
