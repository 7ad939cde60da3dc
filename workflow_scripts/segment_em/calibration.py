"""Calibration of a teacher: what its scores mean, judged by the human ratings held out.

A score becomes sigmoid(slope * log-odds of the score + offset). The ratings are a biased sample:
people rated segments that a machine had proposed as likely, so that about half of them are
positive, where of all segments few are. A calibrated score is therefore the probability that a
rater would agree where the class was proposed, not the frequency of the class. It makes teachers
comparable with each other and with δ; it does not estimate how often a class occurs.

R ratings, C classes
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from segment_em.errors import InputError
from segment_em.files import write_json
from segment_em.provenance import write_how

log = logging.getLogger(__name__)

# Scores are stored as float16: of 0 and 1 only so much is known, and lower scores stay apart.
SMALLEST, LARGEST = 2.0**-24, 1 - 2.0**-12
# The standard deviation, in log-odds, that classes' offsets are expected to have: by it an offset
# is shrunk, which matters where there are few ratings. One is a factor of e in the odds.
CLASS_SPREAD = 1.0
STEPS = 100
CONVERGED = 1e-10


class ScoredRatings(NamedTuple):
    """A teacher's scores of what people rated; three arrays in parallel, an entry a rating.

    score_R: float32 in [0, 1], nan past the video's end. class_R: int64, class ids. positive_R:
    bool.
    """

    score_R: np.ndarray
    class_R: np.ndarray
    positive_R: np.ndarray


@dataclass(frozen=True)
class Calibration:
    """slope: above 0, so that the order of a class's scores stays. offset: of the model.

    offsets: {class id: its own}, of classes that have one.
    """

    slope: float
    offset: float
    offsets: Mapping[int, float]

    def apply(self, scores: np.ndarray, column: np.ndarray, class_ids: np.ndarray) -> np.ndarray:
        """float16 [n] in [0, 1]: calibrated scores. scores: float [n]; column: int [n], classes."""
        odds = self.slope * log_odds(scores) + self._offset_of(class_ids)[column]
        return probability(odds).astype(np.float16)

    def _offset_of(self, class_ids: np.ndarray) -> np.ndarray:
        """float64 [C]. Called for each chunk, so without a loop over classes."""
        own_ids, own_offsets = self._own
        offset_C = np.full(len(class_ids), self.offset, np.float64)
        if len(own_ids):
            place_C = np.searchsorted(own_ids, class_ids).clip(max=len(own_ids) - 1)
            has_own_C = own_ids[place_C] == class_ids
            offset_C[has_own_C] = own_offsets[place_C[has_own_C]]
        return offset_C

    @cached_property
    def _own(self) -> tuple[np.ndarray, np.ndarray]:
        """The classes that have an offset of their own, ascending, and these."""
        ids = np.array(sorted(self.offsets), np.int64)
        return ids, np.array([self.offsets[int(name)] for name in ids], np.float64)


def log_odds(scores: np.ndarray) -> np.ndarray:
    """float64 [n], finite."""
    clipped = np.asarray(scores, np.float64).clip(SMALLEST, LARGEST)
    return np.log(clipped) - np.log1p(-clipped)


def probability(odds: np.ndarray) -> np.ndarray:
    """float64 [n] in [0, 1] of log-odds."""
    with np.errstate(over="ignore"):  # steep slopes: 1 / (1 + inf) is the 0 that it should be
        return 1 / (1 + np.exp(-odds))


def platt(odds_R: np.ndarray, positive_R: np.ndarray) -> tuple[float, float]:
    """Slope and offset by maximum likelihood, with Platt's targets.

    J. Platt: Probabilistic outputs for support vector machines, 1999: the targets are
    (P + 1) / (P + 2) and 1 / (N + 2) for P positive and N negative ratings, so that scores that
    separate them have a finite slope. Newton's method. Where the slope would not be above 0, or the
    scores are all equal (the teacher ranks the ratings no better than chance), it is 1, and a
    warning says so.
    """
    positives, negatives = positive_R.sum(), (~positive_R).sum()
    target_R = np.where(positive_R, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    both = np.stack([odds_R, np.ones(len(odds_R))], axis=1)
    slope, offset = _newton(both, target_R, np.zeros(len(odds_R)), precision=0.0)
    # Equal scores determine no slope; the one found may be so small that all others become equal.
    if slope > 0 and np.ptp(odds_R) > 0:
        return float(slope), float(offset)
    log.warning("warning: calibration: the teacher's scores do not rise with the ratings")
    (offset,) = _newton(both[:, 1:], target_R, odds_R, precision=0.0)
    return 1.0, float(offset)


def fit(rated: ScoredRatings, kind: str) -> Calibration:
    """The calibration of a teacher by what people rated.

    kind: "model" (one slope and offset for all classes), or "class" (an offset for each besides,
    with a normal prior around the model's of standard deviation CLASS_SPREAD: the fewer ratings a
    class has, the nearer it stays). Raises InputError without a rating of either answer.
    """
    known = ~np.isnan(rated.score_R)
    odds_R, positive_R = log_odds(rated.score_R[known]), rated.positive_R[known]
    if positive_R.all() or not positive_R.any():
        raise InputError(
            f"calibration: {positive_R.sum()} of {len(positive_R)} ratings are positive; "
            "both answers are needed: rate more segments, or set em.calibration: none"
        )
    slope, offset = platt(odds_R, positive_R)
    offsets = {}
    if kind == "class":
        model_R, class_R = slope * odds_R + offset, rated.class_R[known]
        for class_id in np.unique(class_R):
            one = class_R == class_id
            target_R = positive_R[one].astype(float)
            own = _newton(np.ones((one.sum(), 1)), target_R, model_R[one], CLASS_SPREAD**-2)
            offsets[int(class_id)] = offset + float(own[0])
    return Calibration(slope, offset, offsets)


def calibrate(rated: ScoredRatings, kind: str, out: str | Path, stamp: Mapping[str, Any]) -> None:
    """Write a calibration as JSON: slope, offset, and the offset of each class that has its own."""
    found = fit(rated, kind)
    log.info("calibration: slope %.3f, offset %.3f", found.slope, found.offset)
    told = {"kind": kind, "slope": found.slope, "offset": found.offset, "offsets": found.offsets}
    write_json(out, told | {"stamp": dict(stamp)})
    write_how(out, stamp)


def read(path: str | Path) -> Calibration:
    """Read a calibration. Raises InputError if the file is none."""
    try:
        told = json.loads(Path(path).read_text(encoding="utf-8"))
        offsets = {int(name): float(offset) for name, offset in told["offsets"].items()}
        return Calibration(float(told["slope"]), float(told["offset"]), offsets)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: not a calibration ({error!r}); delete it to make it anew"
        ) from None


def _newton(
    inputs: np.ndarray, target_R: np.ndarray, fixed_R: np.ndarray, precision: float
) -> np.ndarray:
    """Coefficients [k] of a logistic regression on `inputs` [R, k] beside the log-odds `fixed_R`.

    precision: of the normal prior around 0. Steps that do not lower the loss are halved.
    """

    def loss(coefficients: np.ndarray) -> float:
        odds_R = fixed_R + inputs @ coefficients
        prior = precision * np.square(coefficients).sum() / 2
        return float((np.logaddexp(0, odds_R) - target_R * odds_R).sum() + prior)

    found = np.zeros(inputs.shape[1])
    for _ in range(STEPS):
        p_R = probability(fixed_R + inputs @ found)
        gradient = inputs.T @ (p_R - target_R) + precision * found
        # A little on the diagonal: equal scores leave the slope undetermined.
        curvature = (inputs.T * (p_R * (1 - p_R))) @ inputs
        curvature += (precision + CONVERGED) * np.eye(len(found))
        step = np.linalg.solve(curvature, gradient)
        while loss(found - step) > loss(found) and np.abs(step).max() > CONVERGED:
            step = step / 2
        found = found - step
        if np.abs(step).max() <= CONVERGED:
            break
    return found
