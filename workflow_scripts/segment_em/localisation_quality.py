"""How well the localisations fit the truth, where it is known: by threshold, on every test segment.

mAP looks at the segments that people rated, of which about half are positive; here all count.
"""

# S segments of a video, C classes, K thresholds

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from segment_em.prediction_files import Predictions, read_predictions
from segment_em.truth import Truth

THRESHOLDS = np.arange(1, 20) / 20


def judge(
    prediction_paths: Iterable[str | Path], truth_path: str | Path, max_frames: int
) -> pd.DataFrame:
    """Count pairs of a segment and a class, a row for each of THRESHOLDS.

    truth_path: of the test split. max_frames: where videos are cut.
    Columns: threshold; found, pairs that score at least that; correct, those of them in which the
    class fills at least half of the segment; true, all such pairs; precision, correct / found,
    empty where nothing is found; recall, correct / true, empty where nothing is true.
    Reads chunk by chunk. Raises InputError as read_predictions and Truth.
    """
    truth = Truth(truth_path)
    limits_K = THRESHOLDS.astype(np.float32)  # as scores are, and as localisation.merge compares
    found_K1, correct_K1, true = np.zeros(len(THRESHOLDS) + 1), np.zeros(len(THRESHOLDS) + 1), 0
    for path in prediction_paths:
        chunk = read_predictions(path)
        for name, scores_SC in _videos(chunk):
            true_SC = truth.segments(name, chunk.class_ids, chunk.segment_frames, max_frames)
            passed_SC = np.searchsorted(limits_K, scores_SC, side="right")
            found_K1 += np.bincount(passed_SC.ravel(), minlength=len(found_K1))
            correct_K1 += np.bincount(passed_SC[true_SC], minlength=len(found_K1))
            true += int(true_SC.sum())
    found_K, correct_K = (_at_least(counts_K1) for counts_K1 in (found_K1, correct_K1))
    table = pd.DataFrame({"threshold": THRESHOLDS, "found": found_K, "correct": correct_K})
    table["true"] = true
    table["precision"] = table["correct"] / table["found"].where(table["found"] > 0)
    table["recall"] = table["correct"] / table["true"].where(table["true"] > 0)
    return table


def _videos(chunk: Predictions) -> Iterator[tuple[str, np.ndarray]]:
    """Each video's id and its scores, float32 [S, C]."""
    for row, name in enumerate(chunk.video_ids):
        first, stop = chunk.video_indptr[row : row + 2]
        yield name, chunk.scores[first:stop]


def _at_least(counts_K1: np.ndarray) -> np.ndarray:
    """int64 [K]: from how many pairs pass just so many thresholds, how many pass each."""
    return counts_K1[::-1].cumsum()[::-1][1:].astype(np.int64)
