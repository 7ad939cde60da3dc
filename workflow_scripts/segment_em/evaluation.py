"""How well trained models score rated segments: mAP as JSON, and each rating's score as CSV."""

# N segments, C classes

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segment_em import ensemble, ratings_table
from segment_em.errors import InputError
from segment_em.files import scratch, write_json
from segment_em.index import Index, indptr_of
from segment_em.index_files import read_index
from segment_em.metrics import Evaluation, Rated, evaluate
from segment_em.provenance import Job, write_how
from segment_em.scoring import Inference, Scorer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Measure:
    """How segments are scored: the metric's cut, and the bootstrap over videos."""

    top_segments: int
    replicates: int
    seed: int


@dataclass(frozen=True)
class Evaluated:
    """One scorer's mAP, with the ratings that it was taken over.

    score_R: float32 [R], nan where the scores do not hold the segment. starts: int64 [R], the first
    second of each rated segment. class_ids: int64 [C]. device: that scored, as in provenance.
    """

    evaluation: Evaluation
    score_R: np.ndarray
    rated: Rated
    starts: np.ndarray
    class_ids: np.ndarray
    device: str


def evaluate_models(
    scorers: Mapping[str, str | Path],
    index_paths: Sequence[str | Path],
    validation_fraction: float | None,
    out: str | Path,
    ratings_out: str | Path,
    settings: Inference,
    measure: Measure,
    job: Job,
) -> None:
    """mAP of models and ensembles on the rated videos, and their scores of each rated segment.

    scorers: {name: weights or members.json}. validation_fraction: score the validation part of
    the rated videos, by what was not fine-tuned on them; None: all videos of the index, as for the
    test set. `out` is JSON, {"results": {name: {"scorer": its file} | result}, "stamp"}, see
    _result; "map" is null where nothing is rated. `ratings_out`: see ratings_table.
    Raises InputError if the scorers have different classes, or validation nothing to measure.
    """
    index = read_index(index_paths)
    held_out = validation_fraction is not None
    if held_out:
        index = index.for_validation(validation_fraction)
    evaluated = {
        name: _evaluated(Scorer(ensemble.read(path, held_out), index, settings, job), measure, out)
        for name, path in scorers.items()
    }
    _check_classes(scorers, evaluated)
    results = {
        name: {"scorer": str(scorers[name])} | _result(found, index)
        for name, found in evaluated.items()
    }
    if held_out and any(r["map"] is None for r in results.values()):
        raise InputError(
            f"validation: {len(index)} videos without a positive rating of these classes; raise "
            "data.validation_fraction or rate more segments"
        )
    stamp, device = job.stamp(), next(iter(evaluated.values())).device
    ratings_table.write(ratings_out, _ratings(evaluated, index))
    write_how(ratings_out, stamp, device)
    write_json(out, {"results": results, "stamp": stamp})
    write_how(out, stamp, device)


def _evaluated(scorer: Scorer, measure: Measure, out: str | Path) -> Evaluated:
    counts = scorer.segment_counts()
    rated, starts = ratings_of_rows(
        scorer.index, counts, scorer.class_ids, scorer.settings.segment_frames
    )
    # On disk, since the test set of YouTube-8M has 2 M segments x 1,000 classes: 8 GB.
    # Where nothing is rated, as in the challenge's test set, there is nothing to rank.
    segments = int(counts.sum()) if len(rated.row) else 0
    classes = len(scorer.class_ids)
    shape = (max(1, segments), classes)  # nothing cannot be mapped
    with scratch(out, math.prod(shape) * np.dtype(np.float32).itemsize) as file:
        scores_NC = np.memmap(file, np.float32, "r+", shape=shape)[:segments]
        first = 0
        for _, part in scorer.parts() if segments else ():
            scores_NC[first : first + len(part)] = part
            first += len(part)
        started = time.monotonic()
        result = evaluate(scores_NC, rated, measure.top_segments, measure.replicates, measure.seed)
        log.info("ranked: %.1f s", time.monotonic() - started)
        score_R = np.full(len(rated.row), np.nan, np.float32)
        held = rated.row >= 0
        score_R[held] = scores_NC[rated.row[held], rated.column[held]]
    return Evaluated(result, score_R, rated, starts, scorer.class_ids, scorer.device.type)


def ratings_of_rows(
    index: Index, counts: np.ndarray, class_ids: np.ndarray, segment_frames: int
) -> tuple[Rated, np.ndarray]:
    """The index's ratings of known classes as rows and columns of a score matrix, and their starts.

    counts: int64 [V], segments of each video. A rating past the end of its video has row -1.
    Starts are seconds, int64 [R].
    """
    ratings, found = index.ratings, index.located_ratings(class_ids, counts, segment_frames)
    row = np.where(found.exists, indptr_of(counts)[found.video] + found.segment, -1)
    known = found.column >= 0
    columns = (row, found.column, ratings.positive, found.video, ratings.start_second)
    *rated, starts = (column[known] for column in columns)
    return Rated(*rated), starts.astype(np.int64)


def _check_classes(scorers: Mapping[str, str | Path], evaluated: Mapping[str, Evaluated]) -> None:
    first, *others = evaluated
    for name in others:
        if not np.array_equal(evaluated[name].class_ids, evaluated[first].class_ids):
            raise InputError(
                f"{scorers[name]}: other classes than {scorers[first]}; evaluate them apart"
            )


def _ratings(evaluated: Mapping[str, Evaluated], index: Index) -> ratings_table.RatingScores:
    """What each scorer gave to the same ratings."""
    first = next(iter(evaluated.values()))
    return ratings_table.RatingScores(
        index.video_ids[first.rated.video],
        first.starts,
        first.class_ids[first.rated.column],
        first.rated.positive,
        {name: found.score_R for name, found in evaluated.items()},
        {name: found.evaluation.rank_R for name, found in evaluated.items()},
    )


def _result(evaluated: Evaluated, index: Index) -> dict[str, Any]:
    """Means over the classes and their spread, counts, "ap": {class id: AP or null}."""
    evaluation, class_ids = evaluated.evaluation, evaluated.class_ids
    return {
        "map": _number(evaluation.map),
        "map_sd": _number(evaluation.map_sd),
        "weighted_map": _number(evaluation.weighted_map),
        "weighted_map_sd": _number(evaluation.weighted_map_sd),
        "videos": len(index),
        "ratings": int(evaluation.rated_C.sum()),
        "positives": int(evaluation.positives_C.sum()),
        "ap": {str(name): _number(ap) for name, ap in zip(class_ids, evaluation.ap_C, strict=True)},
    }


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
