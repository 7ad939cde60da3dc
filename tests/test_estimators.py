"""Eqs. 18 and 19 by hand."""

import numpy as np

from segment_em import estimators

SCORES = np.array([0.95, 0.95, 0.90, 0.10])
THRESHOLDS = np.full(4, 0.9)
CARRIED = np.array([True, False, True, True])


def test_video_prior_keeps_scores_above_delta_of_classes_that_the_video_carries():
    kept = estimators.load("video_prior")(SCORES, THRESHOLDS, CARRIED)
    assert kept.tolist() == [True, False, False, False]


def test_label_corrected_keeps_scores_above_delta_of_any_class():
    kept = estimators.load("label_corrected")(SCORES, THRESHOLDS, CARRIED)
    assert kept.tolist() == [True, True, False, False]
