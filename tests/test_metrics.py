"""The metric against hand computations and against its definition in plain Python."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segment_em import metrics
from segment_em.errors import InputError
from segment_em.metrics import Rated, average_precision, bootstrap_map, evaluate, rank_rated


def rated_of(entries):
    """Rated from (row, column, positive, video) tuples."""
    columns = list(zip(*entries, strict=True)) if entries else [(), (), (), ()]
    types = (np.int64, np.int64, bool, np.int64)
    return Rated(*(np.array(c, t) for c, t in zip(columns, types, strict=True)))


def map_of(scores, entries, top_k=100_000):
    return evaluate(np.array(scores, np.float32), rated_of(entries), top_k, replicates=2, seed=0)


def defined_ap(scores, entries, column, top_k, copies=None):
    """Average precision of a column by the definition, with `copies` of each video's ratings.

    Copies of a segment stand at one rank: the precision at it counts all of them.
    """
    ranked = sorted(range(len(scores)), key=lambda row: (-scores[row][column], row))[:top_k]
    weight = {video: 1 for *_, video in entries} if copies is None else copies
    answers = {row: (hit, weight[video]) for row, c, hit, video in entries if c == column}
    positives = sum(weight[video] for _, c, hit, video in entries if c == column and hit)
    seen = hits = total = 0.0
    for row in ranked:
        if row in answers:
            hit, count = answers[row]
            seen += count
            hits += count * hit
            total += count * hit * (hits / seen if seen else 0.0)
    return total / positives if positives else None


def defined_map(scores, entries, classes, top_k, copies=None, criterion="map"):
    total = weights = 0.0
    for column in range(classes):
        ap = defined_ap(scores, entries, column, top_k, copies)
        if ap is None:
            continue
        hits = [video for _, c, hit, video in entries if c == column and hit]
        positives = sum(1 if copies is None else copies[video] for video in hits)
        weight = positives if criterion == "weighted_map" else 1
        total, weights = total + weight * ap, weights + weight
    return total / weights if weights else math.nan


@st.composite
def cases(draw):
    """Scores with many ties, ratings of some segments, some of them not in the scores."""
    rows = draw(st.integers(0, 12))
    classes = draw(st.integers(1, 3))
    score = st.sampled_from([-1.5, -0.0, 0.0, 1e-30, 0.25, 0.5, 1.0, math.inf])
    scores = [[draw(score) for _ in range(classes)] for _ in range(rows)]
    entries = []
    for row in range(rows):
        for column in range(classes):
            if draw(st.booleans()):
                entries.append((row, column, draw(st.booleans()), row // 3))
    for _ in range(draw(st.integers(0, 3))):
        column = draw(st.integers(0, classes - 1))
        entries.append((-1, column, draw(st.booleans()), draw(st.integers(0, 5))))
    entries = draw(st.permutations(entries))
    return np.array(scores, np.float32).reshape(rows, classes), entries, draw(st.integers(1, 14))


def test_average_precision_of_hits_at_ranks_1_and_3_is_five_sixths():
    assert average_precision(np.array([True, False, True]), 2) == pytest.approx(5 / 6)


def test_average_precision_divides_by_positives_that_were_not_retrieved():
    assert average_precision(np.array([True, False, True]), 4) == pytest.approx(5 / 12)


def test_average_precision_without_a_hit_is_zero():
    assert average_precision(np.array([False, False]), 3) == 0.0
    assert average_precision(np.array([], bool), 3) == 0.0


def test_average_precision_is_refused_without_positives():
    with pytest.raises(ValueError, match="positives"):
        average_precision(np.array([False]), 0)


def test_unrated_segments_are_dropped_from_the_ranking():
    scores = [[0.9], [0.8], [0.7], [0.6], [0.5]]
    entries = [(1, 0, True, 0), (2, 0, False, 0), (4, 0, True, 1)]  # rows 0 and 3 are unrated
    assert map_of(scores, entries).map == pytest.approx(5 / 6)


def test_the_ranking_is_cut_before_unrated_segments_are_dropped():
    scores = [[0.9], [0.8], [0.7], [0.6], [0.5]]
    entries = [(1, 0, True, 0), (2, 0, False, 0), (4, 0, True, 1)]
    # Cut to 4: the positive in row 4 is fifth, though only third among the rated.
    assert map_of(scores, entries, top_k=4).map == pytest.approx(1 / 2)
    assert map_of(scores, entries, top_k=1).map == 0.0


def test_equal_scores_rank_by_row():
    scores = [[0.5], [0.5], [0.5]]
    assert map_of(scores, [(0, 0, True, 0), (1, 0, False, 0)]).map == 1.0
    assert map_of(scores, [(0, 0, False, 0), (1, 0, True, 0)]).map == 0.5
    assert rank_rated(np.array(scores, np.float32), rated_of([(2, 0, True, 0)]), 9) == [2]


def test_a_positive_that_the_scores_do_not_hold_counts_as_missed():
    evaluation = map_of([[0.9], [0.1]], [(0, 0, True, 0), (-1, 0, True, 0)])
    assert evaluation.map == pytest.approx(1 / 2)
    assert evaluation.positives_C.tolist() == [2]
    assert evaluation.rated_C.tolist() == [2]


def test_a_negative_that_the_scores_do_not_hold_changes_nothing():
    assert map_of([[0.9], [0.1]], [(1, 0, True, 0), (-1, 0, False, 0)]).map == 1.0


def test_a_class_without_rated_positives_is_left_out_of_the_mean():
    scores = [[0.9, 0.1, 0.3], [0.8, 0.2, 0.3]]
    evaluation = map_of(scores, [(0, 0, False, 0), (1, 0, True, 0), (0, 1, False, 0)])
    assert evaluation.map == pytest.approx(1 / 2)
    np.testing.assert_array_equal(evaluation.ap_C, [0.5, np.nan, np.nan])
    assert evaluation.positives_C.tolist() == [1, 0, 0]
    assert evaluation.rated_C.tolist() == [2, 1, 0]


def test_the_weighted_mean_counts_a_class_by_its_rated_positives():
    scores = [[0.9, 0.9], [0.8, 0.8], [0.7, 0.7], [0.6, 0.6]]
    entries = [(row, 0, True, row) for row in (0, 1, 2)]  # AP 1
    entries += [(0, 1, False, 0), (1, 1, True, 1)]  # AP 1/2
    evaluation = map_of(scores, entries)
    assert evaluation.map == pytest.approx(3 / 4)
    assert evaluation.weighted_map == pytest.approx((3 * 1 + 1 / 2) / 4)


def test_without_any_positive_the_map_is_undefined():
    for entries in [[], [(0, 0, False, 0)]]:
        evaluation = map_of([[0.9], [0.1]], entries)
        assert math.isnan(evaluation.map)
        assert math.isnan(evaluation.map_sd)
        assert math.isnan(evaluation.weighted_map)
        assert math.isnan(evaluation.weighted_map_sd)


def test_a_score_that_is_nan_is_refused_with_its_place():
    scores = np.zeros((9000, 3), np.float32)
    scores[8123, 2] = np.nan
    with pytest.raises(InputError, match="segment 8123, column 2"):
        rank_rated(scores, rated_of([(0, 0, True, 0)]), 100_000)


@pytest.mark.parametrize("answers", [(True, True), (True, False)])
def test_a_segment_that_is_rated_twice_for_a_class_is_refused_with_its_place(answers):
    entries = [(1, 1, answer, 0) for answer in answers]
    with pytest.raises(InputError, match="segment 1 is rated twice for column 1"):
        map_of([[0.5, 0.1], [0.2, 0.9]], entries)


@given(cases())
@settings(max_examples=3000, deadline=None)
def test_map_equals_the_definition_in_plain_python(case):
    scores, entries, top_k = case
    evaluation = map_of(scores, entries, top_k)
    for column, ap in enumerate(evaluation.ap_C):
        expected = defined_ap(scores.tolist(), entries, column, top_k)
        assert ap == pytest.approx(math.nan if expected is None else expected, nan_ok=True)
    for criterion in metrics.CRITERIA:
        expected = defined_map(scores.tolist(), entries, scores.shape[1], top_k, None, criterion)
        assert getattr(evaluation, criterion) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("levels", [3, 50, 1_000_000])
@pytest.mark.parametrize("slab_rows", [1, 7, 64, 4096])
def test_ranks_do_not_depend_on_how_the_scores_are_cut(monkeypatch, levels, slab_rows):
    monkeypatch.setattr(metrics, "SLAB_ROWS", slab_rows)
    random = np.random.default_rng(levels)
    scores = (random.integers(levels, size=(300, 4)) / levels).astype(np.float32)
    pairs = random.choice(1200, 400, replace=False)
    rated = Rated(pairs // 4, pairs % 4, np.ones(400, bool), pairs)
    by_sorting = np.empty((300, 4), np.int64)
    for column in range(4):
        by_sorting[np.argsort(-scores[:, column], kind="stable"), column] = np.arange(300)
    ranks = by_sorting[rated.row, rated.column]
    np.testing.assert_array_equal(rank_rated(scores, rated, 300), ranks)
    cut = np.where(ranks < 90, ranks, -1)
    np.testing.assert_array_equal(rank_rated(scores, rated, 90), cut)


def test_scores_in_a_file_rank_like_scores_in_memory(tmp_path):
    random = np.random.default_rng(1)
    scores = random.random((5000, 3), dtype=np.float32).astype(np.float16)
    scores.tofile(tmp_path / "scores")
    mapped = np.memmap(tmp_path / "scores", np.float16, "r", shape=scores.shape)
    rated = Rated(np.arange(900), np.arange(900) % 3, np.ones(900, bool), np.arange(900))
    ranks = rank_rated(mapped, rated, 2000)
    np.testing.assert_array_equal(ranks, rank_rated(scores.astype(np.float32), rated, 2000))


def random_ratings(seed, rows=400, classes=5, ratings=300):
    """Uninformative scores and ratings of segments in 40 videos, some not in the scores."""
    random = np.random.default_rng(seed)
    scores = random.random((rows, classes), dtype=np.float32)
    pairs = random.choice(rows * classes, ratings, replace=False)
    row, video = pairs // classes, pairs // classes // 10
    positive = random.random(ratings) < 0.3
    row[random.random(ratings) < 0.05] = -1
    return scores, Rated(row, pairs % classes, positive, video)


def test_a_bootstrap_that_draws_each_video_once_is_the_map(monkeypatch):
    scores, rated = random_ratings(0)
    expected = evaluate(scores, rated, 250, 2, 0).map
    monkeypatch.setattr(metrics, "_draw_videos", lambda videos, *_: np.ones((videos, 3), np.int32))
    replicates = bootstrap_map(rank_rated(scores, rated, 250), rated, 5, 3, 0, "map")
    np.testing.assert_allclose(replicates, [expected] * 3)


@pytest.mark.parametrize("criterion", metrics.CRITERIA)
@pytest.mark.parametrize("top_k", [60, 100_000])
def test_the_bootstrap_equals_the_definition_with_each_rating_copied(top_k, criterion):
    scores, rated = random_ratings(1, rows=60, classes=4, ratings=40)  # classes drop out at times
    videos = np.unique(rated.video)
    weight_VB = metrics._draw_videos(len(videos), 50, seed=3)
    entries = list(zip(*(array.tolist() for array in rated), strict=True))
    slow = [
        defined_map(scores.tolist(), entries, 4, top_k, copies, criterion)
        for copies in (dict(zip(videos.tolist(), w, strict=True)) for w in weight_VB.T.tolist())
    ]
    fast = bootstrap_map(rank_rated(scores, rated, top_k), rated, 4, 50, 3, criterion)
    np.testing.assert_allclose(fast, slow)
    spread = getattr(evaluate(scores, rated, top_k, 50, 3), f"{criterion}_sd")
    assert spread == pytest.approx(np.std(slow, ddof=1))


def test_each_replicate_draws_as_many_videos_as_there_are():
    weight_VB = metrics._draw_videos(40, 2000, seed=0)
    assert (weight_VB.sum(axis=0) == 40).all()
    # Multinomial: each video is drawn once on average, with variance 1 - 1/40.
    assert weight_VB.mean(axis=1) == pytest.approx(np.ones(40), abs=0.1)
    assert weight_VB.var() == pytest.approx(1 - 1 / 40, abs=0.03)


def test_the_bootstrap_spread_is_that_of_newly_rated_videos():
    def drawn(seed):
        random = np.random.default_rng(seed)
        positive = random.random(600) < 0.5
        scores = (positive + random.normal(0, 1.5, 600)).astype(np.float32)[:, None]
        zeros = np.zeros(600, np.int64)
        return evaluate(scores, Rated(np.arange(600), zeros, positive, np.arange(600)), 600, 200, 0)

    evaluations = [drawn(seed) for seed in range(200)]
    spread = np.std([e.map for e in evaluations], ddof=1)
    assert np.mean([e.map_sd for e in evaluations]) == pytest.approx(spread, rel=0.2)


def test_the_same_seed_draws_the_same_videos_for_two_models():
    scores, rated = random_ratings(2)
    better = scores.copy()
    in_scores = rated.row >= 0
    better[rated.row[in_scores], rated.column[in_scores]] += 0.2 * rated.positive[in_scores]
    first, again, other = (
        bootstrap_map(rank_rated(s, rated, 400), rated, 5, 100, 7, "map")
        for s in (scores, scores, better)
    )
    np.testing.assert_array_equal(first, again)
    assert np.std(other - first) < np.hypot(np.std(other), np.std(first))
