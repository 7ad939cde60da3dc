"""The one training loop: pretraining, the M-step and fine-tuning, on CPU and GPU.

It receives the model, the clips and the objective, and builds none of them.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from segment_em.compute import autocast
from segment_em.dataset import Batch, Clips, Dequantise, load, shuffled
from segment_em.errors import InputError
from segment_em.losses import segment_loss, video_loss

log = logging.getLogger(__name__)

SECONDS_BETWEEN_PROGRESS = 5.0

# logits_BSC, batch -> scalar loss
Objective = Callable[[torch.Tensor, Batch], torch.Tensor]


@dataclass(frozen=True)
class Plan:
    """How to train. epochs: passes over the videos. videos: clips a batch.

    learning_rate: Adam's, at the start; decay: "constant", or "linear" to zero at the last step.
    clip_norm: largest gradient norm. precision: see compute.autocast. workers: loader processes,
    which change nothing but the speed.
    """

    epochs: int
    videos: int
    learning_rate: float
    decay: str
    clip_norm: float
    precision: str
    seed: int
    workers: int


def video_objective(segment_frames: int, classes: int, pooling: str) -> Objective:
    """Eqs. 15 and 16: pooled segment scores against the labels of the video."""

    def loss(logits_BSC: torch.Tensor, batch: Batch) -> torch.Tensor:
        mask_BS = batch.segment_mask(segment_frames)
        return video_loss(logits_BSC, mask_BS, batch.video_targets(classes), pooling)

    return loss


def rated_objective() -> Objective:
    """Eq. 17: only the segments and classes that a human rated count."""

    def loss(logits_BSC: torch.Tensor, batch: Batch) -> torch.Tensor:
        targets_BSC, rated_BSC = batch.segment_targets(*logits_BSC.shape[1:])
        return segment_loss(logits_BSC, targets_BSC, rated_BSC)

    return loss


def estimated_objective(segment_frames: int) -> Objective:
    """Eq. 17 on pseudo-labels: no label is missing, so only padding is masked (section 5.4)."""

    def loss(logits_BSC: torch.Tensor, batch: Batch) -> torch.Tensor:
        targets_BSC, _ = batch.segment_targets(*logits_BSC.shape[1:])
        mask_BS1 = batch.segment_mask(segment_frames)[..., None]
        return segment_loss(logits_BSC, targets_BSC, mask_BS1.expand_as(targets_BSC).float())

    return loss


def train(
    model: nn.Module,
    clips: Clips,
    rows: np.ndarray,
    objective: Objective,
    dequantise: Dequantise,
    plan: Plan,
    device: torch.device,
) -> list[float]:
    """Train the model in place; return the mean loss of each epoch.

    rows: int64, the videos to train on. Raises InputError if the loss or a gradient stops being
    finite, naming step, learning rate and videos.
    """
    model.to(device).train()
    steps_an_epoch = -(-len(rows) // plan.videos)
    optimiser = torch.optim.Adam(model.parameters(), plan.learning_rate, fused=True)
    schedule = _schedule(optimiser, plan, plan.epochs * steps_an_epoch)
    # Dropout must not depend on what was drawn before, when the weights were initialised.
    torch.manual_seed(plan.seed)
    progress = _Progress(plan, len(rows))
    for epoch in range(plan.epochs):
        batches = shuffled(rows, plan.videos, plan.seed, epoch)
        for batch in load(clips, batches, plan.workers, pin=device.type == "cuda"):
            batch = batch.to(device)
            optimiser.zero_grad(set_to_none=True)
            with autocast(device, plan.precision):
                logits_BSC = model(dequantise(batch), batch.mask)
            loss = objective(logits_BSC.float(), batch)
            loss.backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), plan.clip_norm)
            _check_finite(loss, norm, optimiser, epoch, batch, clips)
            optimiser.step()
            schedule.step()
            progress.step(epoch, float(loss.detach()), len(batch.rows))
    return progress.epoch_losses()


def _schedule(
    optimiser: torch.optim.Optimizer, plan: Plan, steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    factor = {"constant": lambda step: 1.0, "linear": lambda step: max(0.0, 1.0 - step / steps)}
    return torch.optim.lr_scheduler.LambdaLR(optimiser, factor[plan.decay])


def _check_finite(
    loss: torch.Tensor,
    norm: torch.Tensor,
    optimiser: torch.optim.Optimizer,
    epoch: int,
    batch: Batch,
    clips: Clips,
) -> None:
    if torch.isfinite(loss) and torch.isfinite(norm):
        return
    names = ", ".join(str(name) for name in clips.reader.index.video_ids[batch.rows[:5]])
    raise InputError(
        f"training: loss {loss.item():g}, gradient norm {norm.item():g} in epoch {epoch + 1} at "
        f"learning rate {optimiser.param_groups[0]['lr']:g}, batch of videos {names}, ...; "
        "lower the learning rate or the clip norm"
    )


class _Progress:
    """Losses by epoch, and a log line every few seconds."""

    def __init__(self, plan: Plan, videos: int) -> None:
        self.plan, self.videos = plan, videos
        self.sums = np.zeros((plan.epochs, 2))
        self.started = self.last = time.monotonic()

    def step(self, epoch: int, loss: float, videos: int) -> None:
        self.sums[epoch] += loss * videos, videos
        now = time.monotonic()
        epoch_done = self.sums[epoch, 1] >= self.videos
        if now - self.last < SECONDS_BETWEEN_PROGRESS and not (
            epoch_done and epoch + 1 == self.plan.epochs
        ):
            return
        self.last = now
        done, rate = self.sums[:, 1].sum(), self.sums[:, 1].sum() / (now - self.started)
        log.info(
            "epoch %d of %d: loss %.5f, %.0f videos/s, %.0f s left",
            epoch + 1,
            self.plan.epochs,
            self.sums[epoch, 0] / self.sums[epoch, 1],
            rate,
            (self.videos * self.plan.epochs - done) / rate,
        )

    def epoch_losses(self) -> list[float]:
        return [float(total / count) for total, count in self.sums]
