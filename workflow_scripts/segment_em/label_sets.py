"""From teacher's scores to a label set: thresholds by class, and what they leave of each class.

Numpy only; reads chunk by chunk, so memory does not grow with the corpus.
"""

# C classes, N distinct scores

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from segment_em import estimators, thresholds
from segment_em.calibration import Calibration
from segment_em.errors import InputError
from segment_em.labels import Chunk, check_entries, read_chunks

log = logging.getLogger(__name__)


class Looked(NamedTuple):
    """What a first pass over all chunks finds.

    class_ids: int64 [C]. segments: how many. best: the highest score, not calibrated. histogram_CN:
    int64 [C, thresholds.BINS], scores of the segments of videos that carry the class.
    """

    class_ids: np.ndarray
    segments: int
    best: float
    histogram_CN: np.ndarray


def label_set(
    paths: Iterable[str | Path],
    estimation: str,
    rule: str,
    options: Mapping[str, float],
    calibration: Calibration | None,
    floor: float,
) -> pd.DataFrame:
    """What one estimator under one threshold rule makes of the teacher's scores, a row a class.

    Columns: class; threshold_others and threshold (in videos that do not carry the class, and in
    those that do); videos (that carry it); videos_with_positive (of those that carry
    it); positives (segments labelled); score_sum (of the labelled segments' scores, calibrated if
    there is a calibration); segments (of the corpus, the same in each row).
    floor: below which no scores of other videos are stored, for a warning.
    Raises InputError if no segment of any class is positive: there would be nothing to learn.
    """
    paths = list(paths)
    looked = _looked_through(paths, calibration)
    threshold_C2 = thresholds.apply(rule, looked.histogram_CN, dict(options))
    keep = estimators.load(estimation)
    counts = sum(_counts(chunk, keep, threshold_C2, calibration) for chunk in read_chunks(paths))
    table = pd.DataFrame({"class": looked.class_ids})
    table["threshold_others"], table["threshold"] = threshold_C2.T
    for name, count in zip(("videos", "videos_with_positive", "positives"), counts, strict=False):
        table[name] = count.astype(np.int64)
    table["score_sum"] = counts[3]
    table["segments"] = looked.segments
    if not table["positives"].any():
        remedy = f"look at thresholds/{rule}.py and estimators/{estimation}.py"
        if "delta" in options:
            remedy = "lower em.threshold.delta, or let em.threshold.rule be one with a share"
        raise InputError(
            f"E-step ({estimation}): no segment passes the threshold (rule {rule}, "
            f"{dict(options)}); the teacher's highest score is {looked.best:.3f}; {remedy}"
        )
    _report(table, estimation)
    if calibration is None and _keeps_others(keep):
        _warn_of_floor(table, estimation, floor)
    return table


def _looked_through(paths: Sequence[str | Path], calibration: Calibration | None) -> Looked:
    """Raises InputError as labels.check_entries."""
    segments, best, histogram = 0, 0.0, None
    for chunk in read_chunks(paths):
        check_entries(chunk)
        if histogram is None:
            histogram = np.zeros(len(chunk.class_ids) * thresholds.BINS, dtype=np.int64)
        segments += len(chunk.scores.indptr) - 1
        best = max(best, float(np.max(chunk.scores.scores, initial=0)))
        found = chunk.judged(calibration)
        bin_number = found.scores[found.in_video_labels].view(np.uint16)
        flat = found.column[found.in_video_labels] * thresholds.BINS + bin_number
        bins, counts = np.unique(flat, return_counts=True)
        histogram[bins] += counts
    class_ids = np.array(chunk.class_ids)
    return Looked(class_ids, segments, best, histogram.reshape(len(class_ids), thresholds.BINS))


def _counts(
    chunk: Chunk, keep: estimators.Keep, threshold_C2: np.ndarray, calibration: Calibration | None
) -> np.ndarray:
    """float64 [4, C]: videos that carry each class, those of them with a positive, positives, and
    the sum of the positives' scores. Sums of float16 are exact in float64, whatever the chunks.
    """
    classes = len(threshold_C2)
    found = chunk.judged(calibration)
    column, carried = found.column, found.in_video_labels
    kept = found.kept(keep, threshold_C2)
    _, video = chunk.owners(np.arange(len(column)))

    def videos(chosen: np.ndarray) -> np.ndarray:
        pairs = np.unique(video[chosen] * classes + column[chosen])
        return np.bincount(pairs % classes, minlength=classes)

    positives = np.bincount(column[kept], minlength=classes)
    sums = np.bincount(column[kept], found.scores[kept].astype(np.float64), minlength=classes)
    return np.stack([videos(carried), videos(carried & kept), positives, sums])


def _keeps_others(keep: estimators.Keep) -> bool:
    """Whether an estimator labels anything that the video does not carry."""
    return bool(keep(np.ones(1, np.float32), np.zeros(1), np.zeros(1, bool))[0])


def _warn_of_floor(table: pd.DataFrame, estimation: str, floor: float) -> None:
    lower = table[(table["threshold_others"] < floor) & (table["videos"] > 0)]
    if len(lower):
        log.warning(
            "warning: %s: %d of %d classes have thresholds outside their videos (from %.3g on) "
            "below em.keep.floor (%g), under which no scores are stored there: lower it, or labels "
            "are missing",
            estimation,
            len(lower),
            int((table["videos"] > 0).sum()),
            lower["threshold_others"].min(),
            floor,
        )


def _report(table: pd.DataFrame, estimation: str) -> None:
    positives = table["positives"]
    log.info(
        "%s: %d positive labels on %d segments; by class: median %d, least %d",
        estimation,
        positives.sum(),
        table["segments"].iloc[0],
        positives.median(),
        positives.min(),
    )
    starved = table[(positives == 0) & (table["videos"] > 0)]
    if len(starved):
        log.warning(
            "warning: %s: %d of %d classes that videos carry have no positive segment: %s",
            estimation,
            len(starved),
            int((table["videos"] > 0).sum()),
            ", ".join(map(str, starved["class"].head(20))),
        )
