"""What trained models say of the videos of an index."""

# B videos of a batch, C classes

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import nn

from segment_em.checkpoint import load_weights, require_fit
from segment_em.compute import prepare
from segment_em.dataset import Clips, Dequantise
from segment_em.ensemble import Ensemble
from segment_em.errors import InputError
from segment_em.frames import FrameReader
from segment_em.index import Index
from segment_em.inference import member_scores
from segment_em.provenance import Job


@dataclass(frozen=True)
class Inference:
    """Settings of a job that scores videos. videos: clips a batch."""

    max_frames: int
    segment_frames: int
    precision: str
    videos: int


class Scorer:
    """One model, or several joined, over the videos of an index."""

    def __init__(self, joined: Ensemble, index: Index, settings: Inference, job: Job) -> None:
        """Raises InputError if the models do not have the same classes, or other features."""
        self.index, self.settings, self.job = index, settings, job
        self.device = prepare(job.threads, job.gpus)
        self.ensemble = joined
        weights = [file for file, _ in joined.members]
        self.models, self.class_ids = _load_all(weights, index, settings.segment_frames)
        reader = FrameReader(index, settings.max_frames)
        self.clips = Clips(reader, settings.segment_frames, None, False)

    def segment_counts(self) -> np.ndarray:
        """int64 [V]: segments of each video."""
        return self.clips.segment_counts()

    def parts(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(rows, float32 [n, C]) of some videos after the others, in the order of the index."""
        for rows, members in self.members():
            yield rows, self.joined(rows, members)

    def joined(self, rows: np.ndarray, members: Sequence[np.ndarray]) -> np.ndarray:
        """float32 [n, C], finite: what the members say together of the videos in `rows`."""
        counts = self.segment_counts()[rows]
        scores_NC = self.ensemble.scores(members, counts)
        finite_N = np.isfinite(scores_NC).all(axis=1)
        if not finite_N.all():
            video = np.repeat(self.index.video_ids[rows], counts)[int(finite_N.argmin())]
            raise InputError(
                f"video '{video}': its scores are not finite; look for NaN or values out of all "
                "proportion in its features, or train the models again"
            )
        return scores_NC

    def members(self) -> Iterator[tuple[np.ndarray, list[np.ndarray]]]:
        """The same as `parts`, but the scores of each member by itself."""
        return member_scores(
            self.models,
            self.ensemble.shifts,
            self.clips,
            np.arange(len(self.index)),
            Dequantise.of(self.index),
            self.settings.videos,
            self.job.workers,
            self.settings.precision,
            self.device,
        )


def _load_all(
    weights: Sequence[str | Path], index: Index, segment_frames: int
) -> tuple[list[nn.Module], np.ndarray]:
    loaded = [load_weights(path) for path in weights]
    first = loaded[0][1]
    for path, (_, specification) in zip(weights, loaded, strict=True):
        if specification.class_ids != first.class_ids:
            raise InputError(f"{path}: other classes than {weights[0]}; train both on one list")
        require_fit(path, specification, index, segment_frames)
    return [model for model, _ in loaded], np.array(first.class_ids)
