"""The whole E-step over a chunk, from the first read to the renamed file, in one thread.

With a Transformer beside its bare forward pass over batches that are in memory as float32; with
the logistic model beside reading the same batches.
"""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import paper
import torch
from measure import Row, compared, run, seconds, side_by_side
from synthetic import MAX_FRAMES, SEGMENT_FRAMES, SHORTEST_OF_YT8M, frame_counts, write_indexed

from segment_em.compute import prepare
from segment_em.dataset import Clips, Dequantise, in_order, load
from segment_em.estimation import estimate
from segment_em.frames import FrameReader
from segment_em.index_files import read_index
from segment_em.provenance import Job
from segment_em.scoring import Inference

BATCH = 64
SETTINGS = Inference(MAX_FRAMES, SEGMENT_FRAMES, "float32", BATCH)
FLOOR, TOP = 0.05, 20


def sizes(quick: bool) -> dict:
    videos = {"transformer_early": 64, "logistic": 512}
    return {"videos": dict.fromkeys(videos, 4) if quick else videos, "batch": BATCH, "threads": 1}


def measured(quick: bool) -> Iterator[Row]:
    prepare(threads=1, gpus=0)
    for name, videos in sizes(quick)["videos"].items():
        with tempfile.TemporaryDirectory() as folder:
            yield row(name, videos, Path(folder), quick)


def row(name: str, videos: int, folder: Path, quick: bool) -> Row:
    _, index = write_indexed(folder, frame_counts(videos, SHORTEST_OF_YT8M))
    weights = folder / "teacher.safetensors"
    teacher = paper.write_weights(weights, name, small=quick)
    job = Job({}, [weights, index], threads=1, workers=0, gpus=0)

    def whole() -> None:
        estimate(weights, index, FLOOR, TOP, folder / "pseudo_labels.h5", SETTINGS, job)

    against, bare = (
        ("reading the same batches", reading(index))
        if name == "logistic"
        else ("the bare forward pass over batches in memory", forward(teacher.eval(), index))
    )
    ours, theirs = side_by_side([lambda: seconds(whole), lambda: seconds(bare)], repeats=5)
    what = f"E-step job, {name}"
    return compared(what, "videos/s", videos, ours, against, theirs, at_least=0.9)


def batches(index: Path) -> tuple[Clips, list[np.ndarray]]:
    clips = Clips(FrameReader(read_index([index]), MAX_FRAMES), SEGMENT_FRAMES, None, False)
    return clips, in_order(np.arange(len(clips.reader.index)), BATCH)


def reading(index: Path) -> Callable[[], None]:
    clips, order = batches(index)

    def work() -> None:
        for _ in load(clips, order, workers=0, pin=False):
            pass

    return work


def forward(teacher: torch.nn.Module, index: Path) -> Callable[[], None]:
    clips, order = batches(index)
    dequantise = Dequantise.of(clips.reader.index)
    inputs = [(dequantise(batch), batch.mask) for batch in load(clips, order, 0, pin=False)]

    @torch.inference_mode()
    def work() -> None:
        for features, mask_BT in inputs:
            teacher(features, mask_BT)

    return work


if __name__ == "__main__":
    run(measured, __doc__, sizes)
