"""The stages that learn from what people said, from files to a file: pretraining and fine-tuning.

A stage builds the objects (videos, labels, model, plan) and hands them to training. What the M-step
shares with pretraining is here too; what it alone needs is in maximisation.py, so that an edit
there repeats no pretraining.
"""

# C classes

import logging
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from segment_em import poolings, processes, provenance
from segment_em.checkpoint import Specification, load_weights, require_fit, save_weights
from segment_em.class_lists import read_class_list
from segment_em.compute import conditions, prepare
from segment_em.dataset import Clips, Dequantise, SourceWithPrior
from segment_em.errors import InputError
from segment_em.frames import FrameReader
from segment_em.index import Index
from segment_em.index_files import read_index
from segment_em.models import narrow, set_prior, widen
from segment_em.monitor import UNINFORMED
from segment_em.provenance import TrainingJob
from segment_em.targets import Ratings, VideoLabels
from segment_em.training import (
    Objective,
    Plan,
    rated_objective,
    train,
    video_objective,
)
from segment_em.training_state import StateFile

log = logging.getLogger(__name__)

# A batch of fewer videos than that says little of the corpus, to batch norms least of all.
FEW_VIDEOS = 8


@dataclass(frozen=True)
class Training:
    """The settings of one training job, as the workflow hands them over.

    features: [modality, width] pairs in order. batch: segments for a frame-level model, videos
    for a sequence model; at most, as a stage takes smaller ones where it would have fewer than
    least_steps steps.
    """

    architecture: str
    options: dict[str, Any]
    features: list[tuple[str, int]]
    max_frames: int
    segment_frames: int
    learning_rate: float
    batch: int
    epochs: int
    least_steps: int
    average_epochs: int
    decay: str
    clip_norm: float
    precision: str
    seed: int

    def plan(self, frame_level: bool, videos: int, job: TrainingJob) -> Plan:
        """The training plan; a frame-level model's batch of segments is turned into videos.

        videos: how many there are to train on. The threads that read ahead are divided among its
        processes, at least one each if any.
        """
        segments_a_video = self.max_frames // self.segment_frames
        most = max(1, self.batch // segments_a_video) if frame_level else self.batch
        if frame_level and most < FEW_VIDEOS:
            log.warning(
                "warning: a batch of %d segments is %d videos of data.max_frames (%d): raise the "
                "model's training.batch, or lower data.max_frames where no video is that long",
                *(self.batch, most, self.max_frames),
            )
        a_batch = most
        if self.least_steps:
            a_batch = max(1, min(most, self.epochs * videos // self.least_steps))
        if a_batch < most:
            log.info(
                "batches of %d videos, not of %d, for training.least_steps (%d)",
                *(a_batch, most, self.least_steps),
            )
        return Plan(
            epochs=self.epochs,
            average_epochs=self.average_epochs,
            videos=a_batch,
            learning_rate=self.learning_rate,
            decay=self.decay,
            clip_norm=self.clip_norm,
            precision=self.precision,
            seed=self.seed,
            workers=-(-job.workers // processes.count()),
            compile=job.compile,
        )


def pretrain(
    settings: Training,
    video_loss: str,
    index_paths: Sequence[str | Path],
    classes_path: str | Path,
    out: str | Path,
    job: TrainingJob,
) -> None:
    """Algorithm 1, line 2: train a fresh model on video labels (eqs. 15 and 16).

    video_loss: the name of its pooling.
    """
    device = prepared(job)  # before the pooling is tried: see compute.prepare
    index, class_ids = read_index(index_paths), np.array(read_class_list(classes_path))
    source = VideoLabels(index, class_ids)
    if not source.prior().any():
        raise InputError(
            f"{classes_path}: no video of the train split carries any of these {len(class_ids)} "
            f"classes; labels there are such as {index.labels.indices[:5].tolist()}; give the "
            "class list that belongs to the records (data.segment_classes)"
        )
    pooling = poolings.load(video_loss)
    objective = video_objective(settings.segment_frames, len(class_ids), pooling)
    train_fresh(settings, index, class_ids, source, objective, out, job, device, pooling.outputs)


def finetune(
    settings: Training,
    validation_fraction: float | None,
    unrated_negatives: float,
    weights: str | Path,
    index_paths: Sequence[str | Path],
    out: str | Path,
    job: TrainingJob,
) -> None:
    """Algorithm 1, lines 3 and 9: go on with a pretrained model on the human ratings (eq. 17).

    validation_fraction: of the rated videos, left out; None: all are taken. unrated_negatives: see
    training.rated_objective.
    """
    device = prepared(job)
    model, specification = load_weights(weights)
    index = read_index(index_paths)
    if validation_fraction is not None:
        index = index.for_tuning(validation_fraction)
    require_fit(weights, specification, index, settings.segment_frames)
    reader = FrameReader(index, settings.max_frames)
    counts = Clips(reader, settings.segment_frames, None, False).segment_counts()
    class_ids = np.array(specification.class_ids)
    spare = unrated_negatives > 0
    source = Ratings(index, class_ids, counts, settings.segment_frames, spare)
    rows = source.rated_videos()
    if not len(rows):
        raise InputError("fine-tuning: no rated segment of these classes; check data.segments")
    alone = model.frame_level and not model.context
    clips = Clips(reader, settings.segment_frames, source, alone)
    objective = rated_objective(unrated_negatives)
    _train(settings, model, specification, clips, rows, objective, out, job, device)


def train_fresh(
    settings: Training,
    index: Index,
    class_ids: np.ndarray,
    source: SourceWithPrior,
    objective: Objective,
    out: str | Path,
    job: TrainingJob,
    device: torch.device,
    outputs: int = 1,
) -> None:
    """Train a new model and write its weights.

    device: of `prepared`. outputs: of the classifier for each class while it trains; the first is
    the class's. Raises InputError if no video has frames.
    """
    specification = Specification(
        settings.architecture,
        settings.options,
        settings.features,
        class_ids.tolist(),
        settings.segment_frames,
    )
    torch.manual_seed(settings.seed)
    model = specification.build()
    prior_C = torch.from_numpy(source.prior())
    set_prior(model, prior_C)
    if outputs > 1:
        widen(model, outputs)
    clips = Clips(FrameReader(index, settings.max_frames), settings.segment_frames, source, False)
    rows = np.flatnonzero(clips.frame_counts > 0)
    if not len(rows):
        raise InputError("training: no video with frames; check data.train")
    uninformed = float(torch.special.entr(torch.stack([prior_C, 1 - prior_C])).sum(0).mean())
    _train(settings, model, specification, clips, rows, objective, out, job, device, uninformed)


def prepared(job: TrainingJob) -> torch.device:
    """The device of this process of a job that trains; to be called before a tensor is made."""
    processes.join(job.gpus)
    if job.compile and processes.count() > 1:
        # The compiler ended such jobs with SIGABRT where batch norms sum over processes.
        raise InputError("compute.compile works with one GPU per job; set compute.gpu to 1")
    # The one that PyTorch looks for.
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    if job.compile and not shutil.which(compiler):
        raise InputError(
            f"compute.compile needs a C++ compiler, and {compiler} is not here: install it, name "
            "another in the variable CXX, or set compute.compile to false"
        )
    return prepare(job.threads, job.gpus)


def _train(
    settings: Training,
    model: nn.Module,
    specification: Specification,
    clips: Clips,
    rows: np.ndarray,
    objective: Objective,
    out: str | Path,
    job: TrainingJob,
    device: torch.device,
    uninformed: float = UNINFORMED,
) -> None:
    """Train, write the weights, and remove the state that a resumed job would have needed."""
    stamp = job.stamp()
    same = {"work": stamp, "compile": job.compile, **conditions(device, job.threads)}
    state = StateFile(out, provenance.digest(same), job.state_minutes)
    plan = settings.plan(model.frame_level, len(rows), job)
    dequantise = Dequantise.of(clips.reader.index)
    events = Path(out).parent / "events" / Path(out).stem
    losses = train(
        *(model, clips, rows, objective, dequantise, plan, device, state, events, uninformed)
    )
    narrow(model, len(specification.class_ids))
    if processes.rank() == 0:
        stamp |= {"epoch_losses": losses, "final_loss": losses[-1]}
        save_weights(out, model, specification, stamp, device.type)
        state.remove()
    processes.leave()
