"""A training step of each architecture at the paper's size, beside its plain version, one thread.

Both dequantise the same bytes, and have the same loss (eqs. 15 and 16) and the same optimiser.
"""

from collections.abc import Callable, Iterator

import numpy as np
import paper
import torch
from measure import Row, compared, run, seconds, side_by_side
from plain_models import plain
from synthetic import FEATURES, MAX_FRAMES, SEGMENT_FRAMES, SHORTEST_OF_YT8M, frame_counts
from torch import nn

from segment_em import poolings
from segment_em.compute import autocast, prepare
from segment_em.dataset import Batch, Dequantise
from segment_em.indexing import QUANTISATION_RANGE
from segment_em.training import video_objective

AT_LEAST = {"transformer_early": 1.3, "transformer_late": 1.3, "nextvlad": 1.3}
LOW, HIGH = QUANTISATION_RANGE
RANGE = (HIGH - LOW) / 255, (HIGH - LOW) / 512 + LOW


def sizes(quick: bool) -> dict:
    classes, videos = (3, 2) if quick else (1000, 8)
    return {"videos": videos, "classes": classes, "features": widths(quick), "threads": 1}


def widths(quick: bool) -> dict[str, int]:
    return {"rgb": 12, "audio": 4} if quick else FEATURES


def measured(quick: bool) -> Iterator[Row]:
    prepare(threads=1, gpus=0)
    for name in paper.models():
        yield step(name, quick)


def step(name: str, quick: bool) -> Row:
    """One model's row."""
    size = sizes(quick)
    ours = paper.model(name, widths(quick), size["classes"], small=quick)
    theirs = plain(ours)
    batch = a_batch(frame_counts(size["videos"], SHORTEST_OF_YT8M), widths(quick), size["classes"])
    cpu = torch.device("cpu")
    steps = [step_of(model, size["classes"], cpu, "float32") for model in (ours, theirs)]
    timers = [lambda work=work: seconds(lambda: work(batch)) for work in steps]
    own, other = side_by_side(timers, repeats=5)
    against = "the plain version in benchmarks/plain_models.py"
    least = AT_LEAST.get(name, 1.0)
    what, unit = f"training step, {name}", "videos/s"
    return compared(what, unit, size["videos"], own, against, other, at_least=least)


def a_batch(frame_counts: np.ndarray, features: dict[str, int], classes: int) -> Batch:
    """Random bytes, padded to 300 frames; three labels a video."""
    videos, counts = len(frame_counts), torch.from_numpy(frame_counts)
    mask_BT = torch.arange(MAX_FRAMES) < counts[:, None]
    stored = {
        name: torch.randint(0, 256, (videos, MAX_FRAMES, width), dtype=torch.uint8)
        * mask_BT.unsqueeze(2)
        for name, width in features.items()
    }
    clip = torch.arange(videos).repeat_interleave(3)
    column = torch.randint(0, classes, (3 * videos,))
    ones = torch.ones(3 * videos)
    labels = clip, torch.zeros_like(clip), column, ones, ones  # value and weight
    return Batch(np.arange(videos), stored, dict.fromkeys(features, counts), mask_BT, labels)


def step_of(
    model: nn.Module, classes: int, device: torch.device, precision: str
) -> Callable[[Batch], None]:
    """What training.train does with a batch on the device."""
    dequantise = Dequantise(dict.fromkeys(FEATURES, RANGE))
    objective = video_objective(SEGMENT_FRAMES, classes, poolings.load("mean"))
    optimiser = torch.optim.Adam(model.to(device).train().parameters(), 1e-4, fused=True)

    def work(batch: Batch) -> None:
        optimiser.zero_grad(set_to_none=True)
        with autocast(device, precision):
            logits_BSC = model(dequantise(batch), batch.mask)
        objective(logits_BSC.float(), batch).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()

    return work


if __name__ == "__main__":
    run(measured, __doc__, sizes)
