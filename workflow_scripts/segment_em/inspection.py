"""What an E-step did: how much each estimation labels, where they agree, and what is true.

n stored scores of a chunk, N segments, C classes, E estimations
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from segment_em import calibration, estimators, label_set_files
from segment_em.labels import Chunk, Judged, read_chunks, require_classes
from segment_em.truth import Truth

COLUMNS = ["class", "estimation", "positives", "agreed", "any", "correct", "true"]


def inspect(
    pseudo_label_paths: Sequence[str | Path],
    label_sets: Mapping[str, str | Path],
    calibration_path: str | Path | None,
    truth_path: str | Path | None,
    segment_frames: int,
    max_frames: int,
) -> pd.DataFrame:
    """Count the labels of one E-step, a row for each class and estimation.

    label_sets: {estimation: its CSV}. calibration_path: of the scores, where they have one.
    truth_path: of the train split, where it is known.
    Columns: class; estimation; positives, segments that it labels; agreed, those of them that
    every other estimation labels too; any, segments that at least one labels; correct, positives
    in which the class truly occurs; true, segments of the corpus in which it does. The last two
    are empty where no truth is known. Reads chunk by chunk: memory does not grow with the corpus.
    """
    tables = {name: label_set_files.read(path) for name, path in label_sets.items()}
    calibrated = calibration.read(calibration_path) if calibration_path else None
    truth = Truth(truth_path) if truth_path else None
    counts_4EC, true_C = 0, 0
    for chunk in read_chunks(pseudo_label_paths):
        for table in tables.values():
            require_classes(chunk, table["class"])
        true_NC = _true_segments(chunk, truth, segment_frames, max_frames)
        found = chunk.judged(calibrated)
        segment_n, _ = chunk.owners(np.arange(len(found.column)))
        counts_4EC = counts_4EC + _counts(found, segment_n, tables, true_NC)
        true_C = true_C + true_NC.sum(axis=0)
    rows = []
    for number, name in enumerate(tables):
        for column, class_id in enumerate(chunk.class_ids.tolist()):
            positives, agreed, either, correct = counts_4EC[:, number, column].tolist()
            known = (correct, int(true_C[column])) if truth else (None, None)
            rows.append((class_id, name, positives, agreed, either, *known))
    return pd.DataFrame(rows, columns=COLUMNS).astype({"correct": "Int64", "true": "Int64"})


def _true_segments(
    chunk: Chunk, truth: Truth | None, segment_frames: int, max_frames: int
) -> np.ndarray:
    """bool [N, C]; all False where no truth is known."""
    if truth is None:
        return np.zeros((1, len(chunk.class_ids)), bool)
    empty = np.zeros((0, len(chunk.class_ids)), bool)
    parts = (
        truth.segments(name, chunk.class_ids, segment_frames, max_frames)
        for name in chunk.video_ids
    )
    return np.concatenate([empty, *parts])


def _counts(
    found: Judged, segment_n: np.ndarray, tables: Mapping[str, np.ndarray], true_NC: np.ndarray
) -> np.ndarray:
    """int64 [4, E, C]: positives, agreed, any, correct of each estimation."""
    kept_En = np.array(
        [
            found.kept(estimators.load(name), label_set_files.thresholds(table))
            for name, table in tables.items()
        ]
    )
    # Without a truth there is one row of it, and nothing in it is true.
    true_n = true_NC[segment_n % len(true_NC), found.column]
    chosen_4En = [
        kept_En,
        np.broadcast_to(kept_En.all(axis=0), kept_En.shape),
        np.broadcast_to(kept_En.any(axis=0), kept_En.shape),
        kept_En & true_n,
    ]
    return np.array(
        [
            [np.bincount(found.column[n], minlength=true_NC.shape[1]) for n in chosen_En]
            for chosen_En in chosen_4En
        ]
    )
