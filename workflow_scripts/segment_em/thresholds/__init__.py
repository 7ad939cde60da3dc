"""Threshold rules of the E-step, one a file: how sure the teacher has to be, by class.

A rule is a file with `thresholds(histogram_CN, **options) -> float64 [C, 2]`: for each class, the
threshold in videos that do not carry it and in those that do (index it with `in_video_labels`).
Its keyword-only arguments are the options that the configuration gives; it is found by its name.
An option `share` promises that share of the segments of each class's videos (preflight.py counts
on it).

The histogram counts, for each class, the teacher's float16 scores over all segments of the videos
that carry the class: bin n holds the scores whose bit pattern is n. For floats of one sign, order
of bit patterns is order of values, so quantiles taken from it are exact, and histograms of chunks
add up.
"""

# C classes, N distinct scores (bins)

import numpy as np

from segment_em.code_digest import load_plugin
from segment_em.errors import InputError

# The bit pattern of 1.0 in float16, plus one: the number of distinct scores in [0, 1].
BINS = int(np.float16(1.0).view(np.uint16)) + 1


def apply(rule: str, histogram_CN: np.ndarray, options: dict) -> np.ndarray:
    """Thresholds float64 [C, 2] by thresholds/<rule>.py.

    Raises InputError if the rule returns anything else.
    """
    module = load_plugin(f"thresholds.{rule}")
    found = np.asarray(module.thresholds(histogram_CN, **options))
    if found.shape != (len(histogram_CN), 2) or found.dtype.kind not in "fiu":
        raise InputError(
            f"{module.__name__}: thresholds must return two numbers for each of "
            f"{len(histogram_CN)} classes; it returned {found.dtype} of shape {list(found.shape)}"
        )
    if not np.isfinite(found).all():
        raise InputError(f"{module.__name__}: thresholds returned a number that is not finite")
    return found.astype(np.float64)


def values_of_bins() -> np.ndarray:
    """float64 [BINS]: the score that each bin stands for, ascending."""
    return np.arange(BINS, dtype=np.uint16).view(np.float16).astype(np.float64)


def below_best(histogram_CN: np.ndarray, share: float) -> np.ndarray:
    """float64 [C]: the greatest score that leaves `share` of the class's segments above it.

    At least one segment of each class that any video carries stays above it, and none of score 0
    beside better ones: a very sure teacher has many zeros. A class without videos gets 1.0, which
    no score exceeds. share: in (0, 1].
    """
    values_N = values_of_bins()
    total_C = histogram_CN.sum(axis=1)
    wanted_C = np.maximum(1, np.round(share * total_C))
    # Scores at or above bin n: a sum from the right.
    at_least_CN = histogram_CN[:, ::-1].cumsum(axis=1)[:, ::-1]
    kth_best_C = (at_least_CN >= wanted_C[:, None]).sum(axis=1) - 1
    # A label is a score above the threshold, so the threshold is the next score below the k-th.
    lowest_C = np.where(at_least_CN[:, 1] > 0, 0.0, -1.0)
    below_C = np.where(kth_best_C > 0, values_N[np.maximum(kth_best_C - 1, 0)], lowest_C)
    return np.where(total_C > 0, below_C, 1.0)
