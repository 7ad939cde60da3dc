"""On a GPU: share of its peak that a training step uses, and share of it spent waiting for input.

The paper's models in bfloat16 on clips of 300 frames: the Transformer on batches of 512 videos,
NeXtVLAD on 4,800 segments. Operations are those of flops.py; the peak is the maker's figure for
dense bfloat16. Under ten minutes, without a network.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import flops
import numpy as np
import paper
import torch
import yaml
from measure import ROOT, Row, run
from steps import a_batch, step_of
from synthetic import FEATURES, MAX_FRAMES, SEGMENT_FRAMES, write_indexed
from torch._dynamo.exc import TorchDynamoException

from segment_em.compute import prepare
from segment_em.dataset import Batch, Clips, load, on_device, shuffled
from segment_em.frames import FrameReader
from segment_em.index_files import read_index
from segment_em.targets import VideoLabels

# FLOP/s of dense bfloat16 products, by a part of the device's name (PCIe cards have less).
PEAKS = {"H100 80GB HBM3": 989e12, "H200 NVL": 835e12, "H200": 989e12, "A100": 312e12}
NO_GPU = "no GPU on this machine"
VIDEOS = {"transformer_early": 512, "nextvlad": 80}  # 80 videos of 60 segments
COMPUTE = yaml.safe_load((ROOT / "configs/yt8m.yaml").read_text())["compute"]
WARM_UP = 3


def sizes(quick: bool) -> dict:
    if quick:
        return {"videos": dict.fromkeys(VIDEOS, 2), "indexed": 4, "steps": 6, "workers": 2}
    return {"videos": VIDEOS, "indexed": 2048, "steps": 30, "workers": COMPUTE["loader_workers"]}


def measured(quick: bool) -> Iterator[Row]:
    if torch.cuda.is_available():
        device = prepare(COMPUTE["threads"], gpus=1)
        for name in VIDEOS:
            yield from rows(name, device, torch.cuda.get_device_name(), quick)
    else:
        for name in VIDEOS:
            yield from unmeasured(name, NO_GPU)


def unmeasured(name: str, why: str) -> list[Row]:
    return [
        Row(f"{name}, {what}", "", judged="figure", why=why, **bound)
        for what, bound in bounds(name).items()
    ]


def bounds(name: str) -> dict[str, dict[str, float]]:
    """What is measured of a model, and what is asked of it."""
    asked = name == "transformer_early"
    return {
        "share of the GPU's peak": {"at_least": 0.45} if asked else {},
        "training": {},
        "share of a step spent waiting for input": {"at_most": 0.05} if asked else {},
        "share of the GPU's peak with torch.compile": {},
        "training with torch.compile": {},
    }


def rows(name: str, device: torch.device, device_name: str, quick: bool) -> Iterator[Row]:
    """One model's rows. device_name: decides the peak; without a known one there is no share."""
    size = sizes(quick)
    videos = size["videos"][name]
    share, training, waiting, share_compiled, training_compiled = bounds(name)
    model = paper.model(name, FEATURES, paper.CLASSES, small=quick)
    batch = a_batch(np.full(videos, MAX_FRAMES), FEATURES, paper.CLASSES).to(device)
    work = step_operations(name, videos, quick)
    step = step_of(model, paper.CLASSES, device, "bfloat16")
    taken = step_seconds(step, batch, device, size["steps"])
    yield share_of_peak(name, share, work / taken, device_name)
    yield Row(f"{name}, {training}", "videos/s", videos / taken)
    waited = share_waiting(step, videos, device, size)
    yield Row(f"{name}, {waiting}", "", waited, judged="figure", **bounds(name)[waiting])
    compiled = torch.compile(model, dynamic=True)  # as training.train
    step = step_of(compiled, paper.CLASSES, device, "bfloat16")
    try:
        taken = step_seconds(step, batch, device, size["steps"])
    except TorchDynamoException as problem:  # without a C compiler, for one
        why = f"torch.compile: {str(problem).strip().splitlines()[0]}"
        yield from unmeasured(name, why)[-2:]
        return
    yield share_of_peak(name, share_compiled, work / taken, device_name)
    yield Row(f"{name}, {training_compiled}", "videos/s", videos / taken)


def step_operations(name: str, videos: int, quick: bool) -> float:
    architecture, options = paper.options(name, small=quick)
    return videos * flops.step(architecture, options, FEATURES, paper.CLASSES, MAX_FRAMES)


def share_of_peak(name: str, what: str, rate: float, device_name: str) -> Row:
    """rate: operations a second."""
    peak = next((peak for part, peak in PEAKS.items() if part in device_name), None)
    if peak is None:
        return Row(f"{name}, {what}", "", why=f"the peak of {device_name} is not in the table")
    against = f"{peak / 1e12:.0f} TFLOP/s, {device_name}"
    return Row(f"{name}, {what}", "", rate / peak, against, judged="figure", **bounds(name)[what])


def step_seconds(
    step: Callable[[Batch], None], batch: Batch, device: torch.device, steps: int
) -> float:
    """Median wall-clock seconds of a step on a batch that is on the device."""
    taken = []
    for _ in range(steps):
        started = time.perf_counter()
        step(batch)
        if device.type == "cuda":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken[WARM_UP:])


def share_waiting(
    step: Callable[[Batch], None], videos: int, device: torch.device, size: dict
) -> float:
    """Share of the time in which the training loop waits for its loader, page-cached records."""
    with tempfile.TemporaryDirectory() as folder:
        _, index = write_indexed(Path(folder), np.full(size["indexed"], MAX_FRAMES))
        split = read_index([index])
        labels = VideoLabels(split, np.arange(paper.CLASSES))
        clips = Clips(FrameReader(split, MAX_FRAMES), SEGMENT_FRAMES, labels, False)
        rows = np.arange(size["indexed"])
        epochs = -(-size["steps"] * videos // len(rows))
        lengths = clips.frame_counts
        order = [b for epoch in range(epochs) for b in shuffled(rows, lengths, videos, 0, epoch)]
        loaded = load(clips, order, size["workers"], pin=device.type == "cuda")
        batches = on_device(loaded, device)
        waited, started = [], 0.0
        for number in range(len(order)):
            if number == WARM_UP:
                started = time.perf_counter()
            asked = time.perf_counter()
            batch = next(batches)
            waited.append(time.perf_counter() - asked)
            step(batch)
        if device.type == "cuda":
            torch.cuda.synchronize()
        return sum(waited[WARM_UP:]) / (time.perf_counter() - started)


if __name__ == "__main__":
    run(measured, __doc__, sizes)
