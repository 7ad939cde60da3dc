"""Which videos the report shows: all where they are few, else the worst and a fair sample.

V videos
"""

import csv
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from segment_em.files import replacing
from segment_em.index import Index
from segment_em.index_files import read_index
from segment_em.prediction_files import Predictions, read_predictions
from segment_em.terms import PARTS

COLUMNS = ["part", "video_id"]


def choose(
    test_index: Sequence[str | Path],
    prediction_paths: Sequence[str | Path],
    segments_index: Sequence[str | Path],
    validation_fraction: float,
    limits: Mapping[str, int],
    out: str | Path,
) -> None:
    """Write which videos of the test set and of the validation part are shown, as CSV.

    limits: {part: videos at most}. Half of a part that is larger are the videos whose ratings the
    ensemble meets worst (test only: nothing has scored the others yet), the rest are drawn by a
    hash of their id, so that the choice stays when videos are added.
    """
    test, rated = read_index(test_index), read_index(segments_index)
    errors = {"test": rating_errors(test, prediction_paths)}
    ids = {
        "test": test.video_ids,
        "validation": rated.for_validation(validation_fraction).video_ids,
    }
    rows = []
    for part in PARTS:
        error_V = errors.get(part, np.full(len(ids[part]), np.nan))
        rows += [(part, name) for name in _chosen(ids[part], error_V, limits[part])]
    with replacing(out) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([COLUMNS, *rows])


def read_shown(path: str | Path) -> dict[str, list[str]]:
    """{part: ids} as `choose` wrote them; every part is there."""
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {part: [row["video_id"] for row in rows if row["part"] == part] for part in PARTS}


def rating_errors(index: Index, prediction_paths: Sequence[str | Path]) -> np.ndarray:
    """float64 [V]: mean distance of the scores from what raters said (0 or 1); nan if unrated."""
    row_of = {name: row for row, name in enumerate(index.video_ids.tolist())}
    error_V = np.full(len(index), np.nan)
    for path in prediction_paths:
        chunk = read_predictions(path)
        rows = np.array([row_of[name] for name in chunk.video_ids], np.int64)
        error_V[rows] = _rating_errors(index.take(rows), chunk)
    return error_V


def _rating_errors(videos: Index, chunk: Predictions) -> np.ndarray:
    """videos: an index of those of the chunk, in its order."""
    counts_V = np.diff(chunk.video_indptr)
    found = videos.located_ratings(chunk.class_ids, counts_V, chunk.segment_frames)
    video, segment, column = (
        part[found.usable] for part in (found.video, found.segment, found.column)
    )
    scores = np.asarray(chunk.scores[chunk.video_indptr[video] + segment, column], np.float64)
    error = np.abs(scores - videos.ratings.positive[found.usable])
    sums_V = np.bincount(video, weights=error, minlength=len(videos))
    ratings_V = np.bincount(video, minlength=len(videos))
    return np.where(ratings_V > 0, sums_V / np.maximum(1, ratings_V), np.nan)


def _chosen(ids: np.ndarray, error_V: np.ndarray, limit: int) -> list[str]:
    """At most `limit` of the videos, in the order of the index."""
    if len(ids) <= limit:
        return ids.tolist()
    worst = np.argsort(-np.nan_to_num(error_V, nan=-1.0), kind="stable")[: limit // 2]
    worst = worst[~np.isnan(error_V[worst])]
    hashes = [hashlib.sha256(str(name).encode()).digest() for name in ids]
    taken = set(worst.tolist())
    others = [row for row in sorted(range(len(ids)), key=hashes.__getitem__) if row not in taken]
    rows = np.sort([*worst, *others[: limit - len(worst)]])
    return ids[rows.astype(int)].tolist()
