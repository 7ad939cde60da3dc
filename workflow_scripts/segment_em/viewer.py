"""What the timeline viewer shows: scores, ratings, labels and truth of some videos, packed.

S segments of a video, C classes, K classes of a video that are shown, M scorers
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segment_em.index import Index, columns_of
from segment_em.prediction_files import Predictions, read_predictions
from segment_em.shown_videos import rating_errors
from segment_em.terms import PARTS
from segment_em.truth import Truth

ENSEMBLE = "ensemble"


@dataclass(frozen=True)
class Part:
    """The shown videos of one part. scores: {scorer: its chunk}, the ensemble among them.

    truth: None where it is not known. errors: {video id: mean distance from its ratings, or nan}.
    """

    name: str
    index: Index
    scores: Mapping[str, Predictions]
    truth: Truth | None
    errors: Mapping[str, float]


def read_part(
    name: str,
    index: Index,
    score_paths: Mapping[str, str | Path],
    truth_path: str | Path | None,
) -> Part:
    """score_paths: by scorer, as replay.replay wrote them, all of the same videos of the index."""
    scores = {scorer: read_predictions(path) for scorer, path in score_paths.items()}
    index = index.take(np.isin(index.video_ids, scores[ENSEMBLE].video_ids))
    errors = rating_errors(index, [score_paths[ENSEMBLE]])
    truth = Truth(truth_path) if truth_path else None
    return Part(
        name, index, scores, truth, dict(zip(index.video_ids.tolist(), errors, strict=True))
    )


def viewer_data(parts: Sequence[Part], classes_a_video: int, threshold: float) -> dict[str, Any]:
    """Everything the viewer needs, for JSON.

    classes_a_video: classes that are shown of a video at most, the highest scores first, but
    always those that it is rated for or labelled with, or that truly occur. threshold: of
    localisation.

    "scorers": names. "segment_seconds". "videos": for each video id, part, seconds, labels (class
    columns), classes (columns shown, K), ratings ([column, segment, 0 or 1] in one row), truth
    ([column, start, end in seconds] in one row, or null) and error (or null). "scores": base64 of
    uint8, video after video [M, K, S]; a byte is 255 times the score, on the score's own side of
    the threshold.
    """
    packed: list[np.ndarray] = []
    videos = []
    for part in parts:
        row_of = {name: row for row, name in enumerate(part.index.video_ids.tolist())}
        for position, name in enumerate(part.scores[ENSEMBLE].video_ids.tolist()):
            video, scores_MKS = _video(part, row_of[name], position, classes_a_video)
            videos.append(video)
            packed.append(_bytes(scores_MKS, threshold).ravel())
    every = np.concatenate([np.zeros(0, np.uint8), *packed])
    first = parts[0].scores[ENSEMBLE]
    return {
        "scorers": list(parts[0].scores),
        "segment_seconds": first.segment_frames,
        "videos": videos,
        "scores": base64.b64encode(every.tobytes()).decode("ascii"),
    }


def _video(
    part: Part, row: int, position: int, classes_a_video: int
) -> tuple[dict[str, Any], np.ndarray]:
    ensemble = part.scores[ENSEMBLE]
    class_ids = ensemble.class_ids
    name = str(ensemble.video_ids[position])
    frames = int(ensemble.frames[position])
    first, stop = ensemble.video_indptr[position : position + 2]
    known = part.index.take([row])
    labels = _known(class_ids, known.labels.indices)
    ratings = _ratings(known, ensemble, int(stop - first))
    truth = _truth(part.truth, name, class_ids, frames)
    wanted = {*labels, *ratings[::3], *(truth or [])[::3]}
    best_C = ensemble.scores[first:stop].max(axis=0, initial=0.0)
    columns = _shown_columns(best_C, wanted, classes_a_video)
    scores_MKS = np.stack(
        [chunk.scores[first:stop][:, columns].T for chunk in part.scores.values()]
    )
    error = part.errors[name]
    video = {
        "id": name,
        "part": PARTS.index(part.name),
        "seconds": frames,
        "labels": labels,
        "classes": columns,
        "ratings": ratings,
        "truth": truth,
        "error": None if np.isnan(error) else round(error, 4),
    }
    return video, scores_MKS


def _bytes(scores: np.ndarray, threshold: float) -> np.ndarray:
    """uint8: 255 times the scores; rounding takes none across the threshold."""
    rounded = np.rint(scores * 255)
    first_over = np.searchsorted(np.arange(256) / 255, threshold)
    over, under = np.maximum(rounded, first_over), np.minimum(rounded, first_over - 1)
    return np.where(scores >= threshold, over, under).astype(np.uint8)


def _known(class_ids: np.ndarray, ids: np.ndarray) -> list[int]:
    column = columns_of(class_ids, ids)
    return column[column >= 0].tolist()


def _ratings(video: Index, chunk: Predictions, segments: int) -> list[int]:
    """video: an index of it alone."""
    found = video.located_ratings(chunk.class_ids, np.array([segments]), chunk.segment_frames)
    columns = (found.column, found.segment, video.ratings.positive.astype(int))
    return np.stack(columns, axis=1)[found.usable].ravel().tolist()


def _truth(truth: Truth | None, name: str, class_ids: np.ndarray, frames: int) -> list[int] | None:
    if truth is None:
        return None
    found = truth.occurrences(name)
    column = columns_of(class_ids, found.class_id)
    usable = (column >= 0) & (found.start_frame < frames)
    ends = np.minimum(found.end_frame[usable], frames)
    return np.stack([column[usable], found.start_frame[usable], ends], axis=1).ravel().tolist()


def _shown_columns(best_C: np.ndarray, wanted: set[int], limit: int) -> list[int]:
    """Columns, the highest score first: those wanted, filled up with the highest scores."""
    order = np.argsort(-best_C, kind="stable").tolist()
    others = [column for column in order if column not in wanted][: max(0, limit - len(wanted))]
    chosen = wanted | set(others)
    return [column for column in order if column in chosen]
