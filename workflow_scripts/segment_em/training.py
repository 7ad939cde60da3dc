"""The one training loop: pretraining, the M-step and fine-tuning, on CPU and GPUs.

It receives the model, the clips and the objective, and builds none of them. Under torchrun each
process trains on its share of every batch, and their losses and gradients add up to those of one.
"""

# B clips, S segments, C classes

import logging
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from inspect import signature
from pathlib import Path

import numpy as np
import torch
from torch import nn

from segment_em import processes, training_state
from segment_em.averaging import Average
from segment_em.compute import GPU_IN_USE, autocast, memory_told
from segment_em.curves import Curves
from segment_em.dataset import Batch, Clips, Dequantise, load, on_device, shuffled
from segment_em.errors import StoppedError
from segment_em.losses import segment_loss, video_loss
from segment_em.models import check_logits
from segment_em.monitor import UNINFORMED, Monitor, Step
from segment_em.poolings import Pooling
from segment_em.training_state import Signals, StateFile

log = logging.getLogger(__name__)

# Before PyTorch 2.13 the option had another name, of which it warns since.
SYNC_BUFFERS = "forward_sync_buffers"
if SYNC_BUFFERS not in signature(nn.parallel.DistributedDataParallel.__init__).parameters:
    SYNC_BUFFERS = "broadcast_buffers"
# What Adam adds to the size of a gradient, where the loss is a sum over the classes as in the
# challenge's starter code. Ours is their mean, but for ratings: of a thousand classes a rare one's
# gradients would be of this size, and its weights would learn at a fraction of the rate.
ADAM_EPS = 1e-8
SMALLER_BATCH = "lower models.<name>.training.batch, or spread it over more GPUs (compute.gpu)"
# logits_BSC, batch -> scalar loss: this process's part of the mean over all of them
Objective = Callable[[torch.Tensor, Batch], torch.Tensor]


@dataclass(frozen=True)
class Plan:
    """How to train. epochs: passes over the videos. videos: clips a batch, of all processes.

    learning_rate: Adam's, at the start; decay: "constant", or "linear" to zero at the last step.
    clip_norm: largest gradient norm. precision: see compute.autocast. workers: threads that read
    ahead in each process, which change nothing but the speed. compile: by torch.compile, which
    changes results by rounding. average_epochs: see averaging.py.
    """

    epochs: int
    average_epochs: int
    videos: int
    learning_rate: float
    decay: str
    clip_norm: float
    precision: str
    seed: int
    workers: int
    compile: bool


def video_objective(segment_frames: int, classes: int, pooling: Pooling) -> Objective:
    """Eqs. 15 and 16: pooled segment scores against the labels of the video."""

    def loss(logits_BSC: torch.Tensor, batch: Batch) -> torch.Tensor:
        mask_BS = batch.segment_mask(segment_frames)
        return video_loss(logits_BSC, mask_BS, batch.video_targets(classes), pooling)

    return loss


def rated_objective(unrated_negatives: float) -> Objective:
    """Eq. 17: only the segments and classes that a human rated count.

    unrated_negatives: at least 0, as how many ratings the classes that nobody rated in a rated
    segment count together as absent from it, unless the targets list them (as they do what the
    video carries); 0: eq. 17.
    """

    def loss(logits_BSC: torch.Tensor, batch: Batch) -> torch.Tensor:
        targets_BSC, weights_BSC, listed_BSC = batch.segment_targets(*logits_BSC.shape[1:])
        if unrated_negatives:
            absent_BSC = ~listed_BSC & listed_BSC.any(dim=2, keepdim=True)
            share_BS1 = unrated_negatives / absent_BSC.sum(dim=2, keepdim=True).clamp(min=1)
            weights_BSC = weights_BSC + share_BS1 * absent_BSC
        return segment_loss(logits_BSC, targets_BSC, weights_BSC)

    return loss


def estimated_objective(segment_frames: int) -> Objective:
    """Eq. 17 on pseudo-labels: no label is missing, so only padding is masked (section 5.4).

    What is not listed is negative and counts 1; what is listed counts its weight.
    """

    def loss(logits_BSC: torch.Tensor, batch: Batch) -> torch.Tensor:
        targets_BSC, weights_BSC, listed_BSC = batch.segment_targets(*logits_BSC.shape[1:])
        mask_BS1 = batch.segment_mask(segment_frames)[..., None]
        weights_BSC = torch.where(listed_BSC, weights_BSC, 1.0) * mask_BS1
        return segment_loss(logits_BSC, targets_BSC, weights_BSC)

    return loss


@dataclass(frozen=True)
class Parts:
    """What a training state is of."""

    model: nn.Module
    optimiser: torch.optim.Optimizer
    monitor: Monitor
    average: Average
    device: torch.device

    def captured(self) -> dict[str, torch.Tensor]:
        """All that a resumed job has to know, but its place."""
        tensors = training_state.captured(self.model, self.optimiser, self.device)
        return tensors | self.monitor.captured() | self.average.captured()

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Go on from what `captured` gave; the generators come later (_batches)."""
        training_state.restore(tensors, self.model, self.optimiser)
        self.monitor.restore(tensors)
        self.average.restore(tensors)


@dataclass(frozen=True)
class Start:
    """Where training begins: epoch and step from 0, and the state that it goes on from, if any."""

    epoch: int
    step: int
    state: dict[str, torch.Tensor] | None


def train(
    model: nn.Module,
    clips: Clips,
    rows: np.ndarray,
    objective: Objective,
    dequantise: Dequantise,
    plan: Plan,
    device: torch.device,
    state: StateFile,
    events: Path | None = None,
    uninformed: float = UNINFORMED,
) -> list[float]:
    """Train the model in place; return the mean loss of each epoch.

    rows: int64, the videos to train on. state: goes on from it if it holds one; the caller removes
    it. events: folder of the curves (curves.py); None: they are not written. uninformed: the loss
    of a model that looks at nothing, by which a loss is judged to be high.
    Under torchrun every process calls this with the same arguments and gets the same result.
    Raises InputError if training goes wrong (see monitor.py), naming step, learning rate and
    videos; StoppedError, with the state kept, if SIGTERM or SIGINT arrives.
    """
    started = time.monotonic()
    with memory_told(GPU_IN_USE):
        model.to(device).train()
    eps = ADAM_EPS / model.classifier.out_features
    optimiser = torch.optim.Adam(model.parameters(), plan.learning_rate, eps=eps, fused=True)
    video_ids = clips.reader.index.video_ids
    steps_an_epoch = -(-len(rows) // plan.videos)
    curves = Curves(events if processes.rank() == 0 else None, plan.epochs * steps_an_epoch)
    monitor = Monitor(plan.epochs, len(rows), video_ids, device, state.kept, curves, uninformed)
    # Dropout must not depend on what was drawn before, when the weights were initialised.
    torch.manual_seed(plan.seed + processes.rank())
    average = Average(model, plan.average_epochs)
    parts = Parts(model, optimiser, monitor, average, device)
    start = _start(state, parts)
    done = start.epoch * steps_an_epoch + start.step
    schedule = _schedule(optimiser, plan, plan.epochs * steps_an_epoch, done)
    network = _network(model, plan, device)
    with closing(monitor), Signals() as signals, memory_told(SMALLER_BATCH):
        for epoch, number, batch_rows, batch in _batches(clips, rows, plan, device, start):
            overall = epoch * steps_an_epoch + number
            step = Step(epoch, number, overall, batch_rows, schedule.get_last_lr()[0])
            optimiser.zero_grad(set_to_none=True)
            with autocast(device, plan.precision):
                logits_BSC = network(dequantise(batch), batch.mask)
            mask_BS = batch.segment_mask(clips.segment_frames)
            check_logits(model, logits_BSC, mask_BS)
            loss = objective(logits_BSC, batch)
            # The losses of the processes add up, but their gradients are averaged.
            (loss * processes.count()).backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), plan.clip_norm)
            monitor.scores(logits_BSC, mask_BS)
            monitor.step(step, processes.total(loss.detach()), norm)
            optimiser.step()
            schedule.step()
            if number + 1 == steps_an_epoch:
                monitor.end_epoch(step)
                average.end_epoch(model, epochs_left=plan.epochs - 1 - epoch)
            _keep(state, signals, step, parts)
    average.load_into(model)
    log.info("trained: %.1f s", time.monotonic() - started)
    return monitor.epoch_losses()


def _start(state: StateFile, parts: Parts) -> Start:
    found = state.load()
    (missing,) = processes.highest(found is None)
    if found is None or missing:
        return Start(0, 0, None)
    parts.restore(found)
    epoch, step = found["position"].tolist()
    log.info("going on after step %d of epoch %d, from %s", step, epoch + 1, state.path)
    return Start(epoch, step, found)


def _network(model: nn.Module, plan: Plan, device: torch.device) -> nn.Module:
    """The model as it is called: distributed where there are several processes, or compiled."""
    if processes.count() > 1:
        return nn.parallel.DistributedDataParallel(
            model,
            device_ids=[device] if device.type == "cuda" else None,
            **{SYNC_BUFFERS: False},  # batch norms hold the statistics of all processes
            # It would regroup gradients after the first step, and a resumed job's first step is
            # another: with three processes or more, sums would then differ in their last bits.
            find_unused_parameters=True,
        )
    if not plan.compile:
        return model
    # Clips and frames differ from batch to batch. By itself the compiler would draw other numbers
    # for dropout, as if the seed were another.
    return torch.compile(model, dynamic=True, options={"fallback_random": True})


def _batches(
    clips: Clips, rows: np.ndarray, plan: Plan, device: torch.device, start: Start
) -> Iterator[tuple[int, int, np.ndarray, Batch]]:
    """Epoch, step, the videos of the batch, and this process's share of them, on the device.

    Batches before `start` are skipped unread.
    """
    for epoch in range(start.epoch, plan.epochs):
        skipped = start.step if epoch == start.epoch else 0
        order = shuffled(rows, clips.frame_counts, plan.videos, plan.seed, epoch)[skipped:]
        shares = [batch[processes.rank() :: processes.count()] for batch in order]
        loaded = load(clips, shares, plan.workers, pin=device.type == "cuda")
        if start.state and epoch == start.epoch:
            training_state.restore_generators(start.state, device)
        places = zip(range(skipped, skipped + len(order)), order, strict=True)
        for (number, batch_rows), batch in zip(places, on_device(loaded, device), strict=True):
            yield epoch, number, batch_rows, batch


def _keep(state: StateFile, signals: Signals, step: Step, parts: Parts) -> None:
    """Write the state after a step if it is time, or if a signal came: then raise StoppedError."""
    # The one that writes knows when it last did.
    due = processes.rank() == 0 and state.due()
    signal_number, due = processes.highest(signals.received, due)
    if not (signal_number or due):
        return
    parts.monitor.check()
    tensors = parts.captured()
    parts.monitor.check_state(step, tensors)
    if processes.rank() == 0:
        state.save(tensors | {"position": torch.tensor([step.epoch, step.number + 1])})
    processes.wait()  # until it is written
    if signal_number:
        place = f"step {step.number + 1} of epoch {step.epoch + 1}"
        raise StoppedError(
            signal_number,
            f"stopped by {signal.Signals(signal_number).name} after {place}; the same command "
            f"goes on from {state.path}",
        )


def _schedule(
    optimiser: torch.optim.Optimizer, plan: Plan, steps: int, done: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """The learning rate of each step. done: steps of an earlier attempt."""
    factor = {
        "constant": lambda step: 1.0,
        "linear": lambda step: max(0.0, 1.0 - (done + step) / steps),
    }
    return torch.optim.lr_scheduler.LambdaLR(optimiser, factor[plan.decay])
