"""Training curves as TensorBoard event files: loss, learning rate and gradient norm by step.

They are circumstances, like a log: no result depends on them, and the workflow does not know
them. The points travel in the training state, and each attempt at a job writes all of them anew.
So a job that was stopped and went on leaves each step once, and one that failed leaves its curve.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from tensorboardX import SummaryWriter

POINTS = 1000  # at most, of a job: enough for a screen, and nothing beside the weights
STEP, EPOCH = 0.0, 1.0  # kinds of points
NAMES = {STEP: ("step/loss", "step/learning_rate", "step/gradient_norm"), EPOCH: ("epoch/loss",)}
SECONDS_TO_DISK = 10


class Curves:
    """The curves of one training job. Without a folder they are not kept."""

    def __init__(self, folder: str | Path | None, steps: int) -> None:
        """folder: emptied and written to. steps: of the whole job; every so many get a point."""
        self.every = -(-steps // POINTS)
        self.points: list[tuple[float, ...]] = []  # kind, number, then the values of NAMES[kind]
        self.writer = None
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
            self.writer = SummaryWriter(str(folder), flush_secs=SECONDS_TO_DISK)

    def step(self, number: int, loss: float, learning_rate: float, norm: float) -> None:
        """number: from 0 through all epochs. norm: of the gradient, before it is clipped."""
        if number % self.every == 0:
            self._add((STEP, number, loss, learning_rate, norm))

    def epoch(self, number: int, loss: float) -> None:
        """number: from 1. loss: mean over the epoch's videos."""
        self._add((EPOCH, number, loss))

    def captured(self) -> dict[str, torch.Tensor]:
        """What a resumed job has to know: float64 [points, 5], 0 where a kind has no value."""
        rows = [(*point, *[0.0] * (5 - len(point))) for point in self.points]
        return {"curves": torch.tensor(rows, dtype=torch.float64).reshape(-1, 5)}

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Write again what `captured` gave, before anything else is added."""
        for kind, number, *values in tensors["curves"].tolist():
            self._add((kind, number, *values[: len(NAMES[kind])]))

    def close(self) -> None:
        """Write what is still in memory."""
        if self.writer is not None:
            self.writer.close()

    def _add(self, point: Sequence[float]) -> None:
        kind, number, *values = point
        self.points.append(tuple(point))
        if self.writer is not None:
            for name, value in zip(NAMES[kind], values, strict=True):
                self.writer.add_scalar(name, value, int(number))
