"""Threshold rules against sorting and counting in plain Python."""

import numpy as np
import pytest

from segment_em import thresholds
from segment_em.errors import InputError
from segment_em.thresholds import fixed
from segment_em.thresholds.class_quantile import thresholds as class_quantile
from segment_em.thresholds.fixed_or_share import thresholds as fixed_or_share


def histogram(scores_by_class):
    counts = np.zeros((len(scores_by_class), thresholds.BINS), dtype=np.int64)
    for column, scores in enumerate(scores_by_class):
        for score in scores:
            counts[column, int(np.float16(score).view(np.uint16))] += 1
    return counts


def test_bins_stand_for_every_float16_from_0_to_1_in_order():
    values = thresholds.values_of_bins()
    assert values[0] == 0.0
    assert values[-1] == 1.0
    assert (np.diff(values) > 0).all()
    assert len(values) == 15 * 1024 + 1  # 15 exponents (with the subnormals), 1024 each, and 1.0


def test_fixed_rule_gives_every_class_the_same_delta():
    limits = thresholds.apply("fixed", histogram([[0.1], [], [0.9]]), {"delta": 0.9})
    assert limits.tolist() == [[0.9, 0.9]] * 3


def test_a_rule_of_ones_own_that_returns_something_else_is_named(monkeypatch):
    monkeypatch.setattr(fixed, "thresholds", lambda histogram_CN, delta: np.full(3, delta))
    with pytest.raises(InputError, match=r"thresholds\.fixed: .*two numbers for each of 3"):
        thresholds.apply("fixed", histogram([[0.1], [], [0.9]]), {"delta": 0.9})


def test_a_rule_of_ones_own_that_returns_no_finite_number_is_named(monkeypatch):
    monkeypatch.setattr(fixed, "thresholds", lambda histogram_CN, delta: np.full((1, 2), np.nan))
    with pytest.raises(
        InputError, match=r"thresholds\.fixed: thresholds returned a number that is"
    ):
        thresholds.apply("fixed", histogram([[0.1]]), {"delta": 0.9})


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 1.0])
def test_class_quantile_leaves_the_wanted_share_of_distinct_scores(share):
    rng = np.random.default_rng(1)
    scores = np.unique(rng.random(400).astype(np.float16))
    limit = class_quantile(histogram([scores]), share=share, other_share=1.0)[0, 1]
    wanted = sorted(scores, reverse=True)[: round(share * len(scores))]
    assert sorted(scores[scores > limit], reverse=True) == wanted


@pytest.mark.parametrize(("segments", "labels"), [(9, 3), (10, 4), (12, 4)])
def test_class_quantile_rounds_as_the_preflight_does(segments, labels):
    scores = np.arange(1, segments + 1) / 128  # exact in float16; .35 of them: 3.15, 3.5, 4.2
    limit = class_quantile(histogram([scores]), share=0.35, other_share=1.0)[0, 1]
    assert (scores > limit).sum() == labels


def test_class_quantile_asks_more_of_videos_that_do_not_carry_the_class():
    scores = np.arange(1, 101) / 128  # exact in float16
    limits = class_quantile(histogram([scores]), share=0.3, other_share=0.05)
    assert (scores > limits[0, 0]).sum() == 5
    assert (scores > limits[0, 1]).sum() == 30


def test_class_quantile_never_starves_a_class_that_a_video_carries():
    counts = histogram([[0.001, 0.002], [0.0], [1.0, 1.0, 1.0]])
    limits = class_quantile(counts, share=0.1, other_share=0.1)[:, 1]
    assert (np.array([0.001, 0.002], np.float16) > limits[0]).sum() == 1
    assert limits[1] < 0.0
    assert limits[2] < 1.0


def test_class_quantile_labels_no_score_of_zero_beside_better_ones():
    scores = [0.0] * 75 + [0.1, 0.5, 0.9]
    limit = class_quantile(histogram([scores]), share=0.35, other_share=1.0)[0]
    assert [(np.array(scores) > one).sum() for one in limit] == [3, 3]


def test_class_quantile_gives_a_class_without_videos_no_positives():
    limits = class_quantile(histogram([[]]), share=0.5, other_share=0.1)
    assert limits.tolist() == [[1.0, 1.0]]


def test_delta_joined_with_a_share_starves_no_class_and_takes_all_above_delta():
    sure, poor = np.arange(1, 101) / 128, np.arange(1, 101) / 1024
    limits = fixed_or_share(histogram([sure, poor, []]), delta=0.5, share=0.1)
    assert (sure > limits[0, 1]).sum() == (sure > 0.5).sum() == 36
    assert (poor > limits[1, 1]).sum() == 10
    assert limits[:, 0].tolist() == [0.5] * 3
    assert limits[2, 1] == 0.5
