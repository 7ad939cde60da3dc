"""What trained models say of videos: E-step, evaluation and prediction, from files to a file."""

import json
import logging
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from segment_em import labels, predictions
from segment_em.checkpoint import load_weights
from segment_em.compute import prepare
from segment_em.dataset import Clips
from segment_em.ensemble import members_of
from segment_em.errors import InputError
from segment_em.files import replacing
from segment_em.frames import FrameReader
from segment_em.index import Index, columns_of, in_validation, read_index
from segment_em.inference import segment_scores
from segment_em.metrics import Evaluation, Rated, evaluate
from segment_em.provenance import Job, write_how
from segment_em.stages import dequantiser
from segment_em.targets import spans

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Inference:
    """Settings of a job that scores videos. videos: clips a batch."""

    max_frames: int
    segment_frames: int
    precision: str
    videos: int


class Scorer:
    """One model, or the mean of several, over the videos of an index."""

    def __init__(self, path: str | Path, index: Index, settings: Inference, job: Job) -> None:
        """path: weights, or an ensemble.json (ensemble.members_of).

        Raises InputError if the models do not have the same classes, or other features.
        """
        self.index, self.settings, self.job = index, settings, job
        members = members_of(path)
        self.weights = [weight for _, weight in members]
        self.models, self.class_ids = _load_all([file for file, _ in members], index)
        reader = FrameReader(index, settings.max_frames)
        self.clips = Clips(reader, settings.segment_frames, None, False)
        self.device = prepare(job.threads, job.gpus)

    def segment_counts(self) -> np.ndarray:
        """int64 [V]: segments of each video."""
        return self.clips.segment_counts()

    def parts(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(rows, float32 [n, C]) of some videos after the others, in the order of the index."""
        return segment_scores(
            self.models,
            self.weights,
            self.clips,
            np.arange(len(self.index)),
            dequantiser(self.index),
            self.settings.videos,
            self.job.workers,
            self.settings.precision,
            self.device,
        )


def _load_all(weights: Sequence[str | Path], index: Index) -> tuple[list[nn.Module], np.ndarray]:
    loaded = [load_weights(path) for path in weights]
    first = loaded[0][1]
    widths = {name: part.width for name, part in index.modalities.items()}
    for path, (_, specification) in zip(weights, loaded, strict=True):
        if specification.class_ids != first.class_ids:
            raise InputError(f"{path}: other classes than {weights[0]}; train both on one list")
        if dict(specification.features) != widths:
            made_for = dict(specification.features)
            raise InputError(f"{path}: made for features {made_for}, not {widths}")
    return [model for model, _ in loaded], np.array(first.class_ids)


def estimate(
    teacher: str | Path,
    index_path: str | Path,
    floor: float,
    top: int,
    out: str | Path,
    settings: Inference,
    job: Job,
) -> None:
    """Algorithm 1, lines 5 and 6: the teacher's scores of one chunk, for both estimations.

    floor, top: which scores of classes that the video does not carry are stored, see
    labels.sparse_scores.
    """
    index = read_index([index_path])
    scorer = Scorer(teacher, index, settings, job)
    counts = scorer.segment_counts()
    parts = (
        labels.sparse_scores(scores, _carried(index, rows, counts, scorer.class_ids), floor, top)
        for rows, scores in scorer.parts()
    )
    scores, stamp = labels.joined([labels.empty(), *parts]), job.stamp()
    labels.write_pseudo_labels(
        out,
        scores,
        index.video_ids,
        np.concatenate([[0], counts.cumsum()]),
        scorer.class_ids,
        labels.describe(stamp),
    )
    write_how(out, stamp, scorer.device.type)


def _carried(
    index: Index, rows: np.ndarray, counts: np.ndarray, class_ids: np.ndarray
) -> np.ndarray:
    """bool [N, C]: for each segment of the videos, the labels of its video."""
    position, owner = spans(index.labels.indptr, rows)
    column = columns_of(class_ids, index.labels.indices[position])
    carried_BC = np.zeros((len(rows), len(class_ids)), dtype=bool)
    carried_BC[owner[column >= 0], column[column >= 0]] = True
    return np.repeat(carried_BC, counts[rows], axis=0)


def predict(
    ensemble: str | Path,
    index_path: str | Path,
    out: str | Path,
    settings: Inference,
    job: Job,
) -> None:
    """Algorithm 1, line 12: the ensemble's scores for one chunk of the test set."""
    index = read_index([index_path])
    scorer, stamp = Scorer(ensemble, index, settings, job), job.stamp()
    predictions.write_predictions(
        out,
        (scores for _, scores in scorer.parts()),
        index.video_ids,
        scorer.clips.frame_counts,
        scorer.class_ids,
        settings.segment_frames,
        labels.describe(stamp),
    )
    write_how(out, stamp, scorer.device.type)


@dataclass(frozen=True)
class Measure:
    """How segments are scored: the metric's cut, and the bootstrap over videos."""

    top_segments: int
    replicates: int
    seed: int


def evaluate_models(
    scorers: Mapping[str, str | Path],
    index_paths: Sequence[str | Path],
    validation_fraction: float | None,
    out: str | Path,
    settings: Inference,
    measure: Measure,
    job: Job,
) -> None:
    """mAP of models and ensembles on the rated videos; written as JSON.

    scorers: {name: weights or ensemble.json}. validation_fraction: score the validation part of
    the rated videos; None: all videos of the index, as for the test set. The JSON holds
    {name: {"scorer": its file} | result}, see _result; "map" is null where nothing is rated.
    """
    index = read_index(index_paths)
    if validation_fraction is not None:
        index = index.take(np.flatnonzero(in_validation(index.video_ids, validation_fraction)))
    results = {
        name: {"scorer": str(path)}
        | _result(_evaluated(Scorer(path, index, settings, job), measure, out), index)
        for name, path in scorers.items()
    }
    if validation_fraction is not None and any(r["map"] is None for r in results.values()):
        raise InputError(
            f"validation: {len(index)} videos without a positive rating of these classes; raise "
            "data.validation_fraction or rate more segments"
        )
    stamp = job.stamp()
    with replacing(out) as temporary:
        text = json.dumps({"results": results, "stamp": stamp}, indent=1, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")
    write_how(out, stamp, prepare(job.threads, job.gpus).type)


def _evaluated(scorer: Scorer, measure: Measure, out: str | Path) -> tuple[Evaluation, np.ndarray]:
    counts = scorer.segment_counts()
    rated = rated_segments(scorer.index, counts, scorer.class_ids, scorer.settings.segment_frames)
    # On disk, since the test set of YouTube-8M has 2 M segments x 1,000 classes: 8 GB.
    with tempfile.TemporaryDirectory(dir=Path(out).parent, prefix=".scores-") as folder:
        shape = (int(counts.sum()), len(scorer.class_ids))
        scores_NC = np.memmap(
            Path(folder) / "scores", np.float32, "w+", shape=(max(1, shape[0]), shape[1])
        )[: shape[0]]
        first = 0
        for _, part in scorer.parts():
            scores_NC[first : first + len(part)] = part
            first += len(part)
        started = time.monotonic()
        result = evaluate(scores_NC, rated, measure.top_segments, measure.replicates, measure.seed)
        log.info("ranked: %.1f s", time.monotonic() - started)
    return result, scorer.class_ids


def rated_segments(
    index: Index, counts: np.ndarray, class_ids: np.ndarray, segment_frames: int
) -> Rated:
    """The index's ratings of known classes as rows and columns of a score matrix.

    counts: int64 [V], segments of each video. A rating past the end of its video has row -1.
    """
    ratings = index.ratings
    first = np.concatenate([[0], counts.cumsum()])
    video = np.repeat(np.arange(len(index)), np.diff(ratings.indptr))
    segment = ratings.start_second.astype(np.int64) // segment_frames
    row = np.where(segment < counts[video], first[video] + segment, -1)
    column = columns_of(class_ids, ratings.class_id)
    known = column >= 0
    return Rated(row[known], column[known], ratings.positive[known], video[known])


def _result(evaluated: tuple[Evaluation, np.ndarray], index: Index) -> dict[str, Any]:
    """{"map", "map_sd", "videos", "ratings", "positives", "ap": {class id: AP or null}}."""
    evaluation, class_ids = evaluated
    return {
        "map": _number(evaluation.map),
        "map_sd": _number(evaluation.map_sd),
        "videos": len(index),
        "ratings": int(evaluation.rated_C.sum()),
        "positives": int(evaluation.positives_C.sum()),
        "ap": {str(name): _number(ap) for name, ap in zip(class_ids, evaluation.ap_C, strict=True)},
    }


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
