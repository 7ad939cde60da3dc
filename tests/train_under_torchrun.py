"""What each process runs in test_processes.py: every small model on an index, then stop and resume.

Arguments: the index, and a folder for what each process saw and ended with. Alone, without
torchrun, it gives the reference.
"""

import contextlib
import json
import math
import signal
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import small_models
import torch
from small_models import SMALL, small_model

from segment_em import poolings, processes, training
from segment_em.compute import prepare
from segment_em.dataset import Clips, Dequantise
from segment_em.errors import StoppedError
from segment_em.frames import FrameReader
from segment_em.index_files import read_index
from segment_em.targets import Ratings, VideoLabels
from segment_em.training_state import StateFile

CLASS_IDS = np.array([3, 8, 20])
# Eleven videos in batches of five: with two processes and more, one has none of the last batch.
ROWS = np.arange(11)
PLAN = replace(small_models.PLAN, average_epochs=1, videos=5, learning_rate=0.01, clip_norm=0.1)


def objectives(index):
    counts = Clips(FrameReader(index, 25), 5, None, False).segment_counts()
    ratings = Ratings(index, CLASS_IDS, counts, 5, False)
    yield (
        "video",
        training.video_objective(5, 3, poolings.load("mean")),
        VideoLabels(index, CLASS_IDS),
    )
    yield "rated", training.rated_objective(0.0), ratings
    yield "estimated", training.estimated_objective(5), ratings


def train(index, model, objective, source, state, stop_at=None):
    """The losses of all steps' epochs, and the videos that this process saw in each step."""
    clips, seen = Clips(FrameReader(index, 25), 5, source, False), []

    def watched(logits_BSC, batch):
        seen.append(batch.rows.tolist())
        if len(seen) == stop_at and processes.rank() == processes.count() - 1:
            signal.raise_signal(signal.SIGTERM)  # one process alone
        return objective(logits_BSC, batch)

    cpu = torch.device("cpu")
    losses = training.train(model, clips, ROWS, watched, Dequantise.of(index), PLAN, cpu, state)
    return losses, seen


def same(one, other):
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def all_losses(index, folder):
    """{model and objective: losses, videos by step, weights}, without dropout."""
    found = {}
    for architecture, options in SMALL.items():
        without = {"dropout": 0.0} if "dropout" in options else {}
        for name, objective, source in objectives(index):
            model, state = small_model(architecture, **without), StateFile(folder, "", math.inf)
            losses, seen = train(index, model, objective, source, state)
            weights = {key: tensor.tolist() for key, tensor in model.state_dict().items()}
            found[f"{architecture} {name}"] = {"losses": losses, "seen": seen, "weights": weights}
    return found


def stopped_and_resumed(index, folder):
    """{model: whether its weights are those of a run that was not stopped}, with dropout."""
    found = {}
    _, objective, source = next(objectives(index))
    for architecture in SMALL:
        whole, again = small_model(architecture), small_model(architecture)
        train(index, whole, objective, source, StateFile(folder / "whole", "", math.inf))
        state = StateFile(folder / architecture, "", math.inf)
        with contextlib.suppress(StoppedError):
            train(index, small_model(architecture), objective, source, state, stop_at=4)
        _, seen = train(index, again, objective, source, state)
        processes.wait()  # all have read it
        if processes.rank() == 0:
            state.remove()
        found[architecture] = len(seen) == 5 and same(whole, again)
    return found


def main():
    index, folder = read_index([sys.argv[1]]), Path(sys.argv[2])
    processes.join(gpus=0)
    prepare(threads=1, gpus=0)
    found = {"losses": all_losses(index, folder), "resumed": stopped_and_resumed(index, folder)}
    (folder / f"{processes.rank()}-of-{processes.count()}.json").write_text(json.dumps(found))
    processes.leave()


if __name__ == "__main__":
    main()
