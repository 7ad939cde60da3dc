"""The segments behind a change of AP, by hand."""

import numpy as np

from segment_em.movers import movers
from segment_em.ratings_table import RatingScores


def ratings(scores, ranks):
    """Four ratings of class 5 (two positives, two negatives) and one of class 9."""
    return RatingScores(
        np.array(["a", "b", "c", "d", "e"]),
        np.array([0, 5, 10, 15, 20]),
        np.array([5, 5, 5, 5, 9]),
        np.array([True, True, False, False, True]),
        {"m": np.array(scores, np.float32)},
        {"m": np.array(ranks)},
    )


BEFORE = ratings([0.1, 0.5, 0.9, 0.8, 0.5], [70, 30, 2, 10, 0])  # places c d b a
AFTER = ratings([0.9, 0.4, 0.1, 0.8, 0.5], [1, 30, 80, 7, 0])  # places a d b c


def test_a_gain_is_told_by_positives_that_rose_and_negatives_that_fell():
    found = movers(BEFORE, AFTER, ("m", "m"), {5: 0.4, 9: 0.0}, 10)
    assert found["video_id"].tolist() == ["a", "c"]
    assert found["place_before"].tolist() == [4, 1]
    assert found["place_after"].tolist() == [1, 4]
    assert found["positive"].tolist() == [1, 0]
    assert found["class"].tolist() == [5, 5]


def test_a_loss_is_told_by_the_opposite():
    found = movers(AFTER, BEFORE, ("m", "m"), {5: -0.4}, 1)
    assert found["video_id"].tolist() == ["a"]


def test_a_segment_that_was_not_retrieved_has_the_last_place():
    after = ratings([np.nan, 0.5, 0.9, 0.8, 0.5], [-1, 30, 2, 10, 0])
    found = movers(AFTER, after, ("m", "m"), {5: -0.4}, 10).set_index("video_id")
    assert found.loc["a", "place_after"] == 4
    assert np.isnan(found.loc["a", "score_after"])


def test_a_class_without_ap_or_without_a_change_has_no_segments():
    assert movers(BEFORE, AFTER, ("m", "m"), {5: float("nan"), 9: 0.0}, 10).empty
