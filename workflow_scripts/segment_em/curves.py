"""Training curves as TensorBoard event files: loss, learning rate and gradient norm by step.

They are circumstances, like a log: no result depends on them, and the workflow does not know
them. The points travel in the training state, and each attempt at a job writes all of them anew.
So a job that was stopped and went on leaves each step once, and one that failed leaves its curve.
"""

import time
from collections.abc import Sequence
from pathlib import Path

import torch
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.summary import scalar

from segment_em.files import refusals_told
from segment_em.framing import framed

POINTS = 1000  # at most, of a job: enough for a screen, and nothing beside the weights
STEP, EPOCH = 0.0, 1.0  # kinds of points
NAMES = {STEP: ("step/loss", "step/learning_rate", "step/gradient_norm"), EPOCH: ("epoch/loss",)}
SECONDS_TO_DISK = 10
FILE = "events.out.tfevents.0"


class Curves:
    """The curves of one training job. Without a folder they are not kept.

    The file is written here and not by tensorboardX's writer: that one writes in a thread, which
    dies where the disk is full, and then training waits for it forever.
    """

    def __init__(self, folder: str | Path | None, steps: int) -> None:
        """folder: of the file, begun anew. steps: of the whole job; every n-th gets a point."""
        self.every = -(-steps // POINTS)
        self.points: list[tuple[float, ...]] = []  # kind, number, then the values of NAMES[kind]
        self.folder = None if folder is None else Path(folder)
        self.unwritten: list[Event] = []
        self.written = time.monotonic()
        if self.folder is not None:
            with refusals_told(self.folder / FILE):
                (self.folder / FILE).unlink(missing_ok=True)
            self.unwritten.append(Event(file_version="brain.Event:2", wall_time=time.time()))

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

    def flush(self) -> None:
        """Write what is still in memory. Raises InputError where the disk does not take it."""
        if self.folder is None or not self.unwritten:
            return
        path = self.folder / FILE
        events, self.unwritten = self.unwritten, []
        with refusals_told(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "ab") as file:
                file.write(b"".join(framed(event.SerializeToString()) for event in events))
        self.written = time.monotonic()

    def _add(self, point: Sequence[float]) -> None:
        kind, number, *values = point
        self.points.append(tuple(point))
        if self.folder is None:
            return
        now = time.time()
        self.unwritten += [
            Event(step=int(number), wall_time=now, summary=scalar(name, value))
            for name, value in zip(NAMES[kind], values, strict=True)
        ]
        if time.monotonic() - self.written >= SECONDS_TO_DISK:
            self.flush()
