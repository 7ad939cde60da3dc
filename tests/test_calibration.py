"""Calibration against a search by scipy-free brute force, and its shrinkage by hand."""

import numpy as np
import pytest

from segment_em import calibration
from segment_em.errors import InputError


def table(scores, positive, classes=None):
    classes = np.full(len(scores), 3) if classes is None else np.array(classes)
    return calibration.ScoredRatings(
        np.array(scores, np.float32), classes, np.array(positive, bool)
    )


@pytest.fixture
def ratings():
    """A teacher whose log-odds are half of what they should be, and one too low."""
    random = np.random.default_rng(0)
    odds = random.normal(size=4000)
    positive = random.random(4000) < 1 / (1 + np.exp(-(2 * odds + 1)))
    return table(1 / (1 + np.exp(-odds)), positive)


def loss(odds, positive, slope, offset):
    """Platt's: cross-entropy with his smoothed targets."""
    p = 1 / (1 + np.exp(-(slope * odds + offset)))
    n, m = positive.sum(), (~positive).sum()
    target = np.where(positive, (n + 1) / (n + 2), 1 / (m + 2))
    return -(target * np.log(p) + (1 - target) * np.log(1 - p)).sum()


def test_slope_and_offset_are_found(ratings):
    found = calibration.fit(ratings, "model")
    assert found.slope == pytest.approx(2, abs=0.15)
    assert found.offset == pytest.approx(1, abs=0.15)
    assert found.offsets == {}


def test_no_other_slope_and_offset_fit_better(ratings):
    found = calibration.fit(ratings, "model")
    odds = calibration.log_odds(ratings.score_R)
    best = loss(odds, ratings.positive_R, found.slope, found.offset)
    for slope in found.slope + np.array([-0.01, 0, 0.01]):
        for offset in found.offset + np.array([-0.01, 0, 0.01]):
            assert loss(odds, ratings.positive_R, slope, offset) >= best


def test_scores_that_separate_the_ratings_have_a_finite_slope():
    found = calibration.fit(table([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1]), "model")
    assert 0 < found.slope < 10


def test_a_teacher_no_better_than_chance_keeps_its_order_and_is_warned_of(caplog):
    found = calibration.fit(table([0.9, 0.8, 0.2, 0.1], [0, 0, 1, 1]), "model")
    assert found.slope == 1.0
    assert "do not rise with the ratings" in caplog.text


@pytest.mark.parametrize("score", [0.1, 0.9, 1.0])
@pytest.mark.parametrize("positive", [[0, 1], [0, 1, 1]])
def test_equal_scores_of_all_ratings_keep_the_order_of_others(score, positive, caplog):
    """A sure teacher of few ratings. Reference: Platt's targets have this mean, by hand."""
    found = calibration.fit(table([score] * len(positive), positive), "model")
    assert found.slope == 1.0
    assert "do not rise with the ratings" in caplog.text
    mean = {2: (1 / 3 + 2 / 3) / 2, 3: (1 / 3 + 3 / 4 + 3 / 4) / 3}[len(positive)]
    # The last score that is told from 1 is 1 - 2^-12.
    odds = np.log(mean / (1 - mean)) - np.log(score / (1 - score) if score < 1 else 2**12 - 1)
    assert found.offset == pytest.approx(odds, abs=1e-5)


@pytest.mark.filterwarnings("error")
def test_ratings_that_hardly_differ_make_scores_of_0_and_1_without_a_word():
    """Two ratings of one video: a slope of thousands, with which e to the log-odds is no number."""
    found = calibration.fit(table([0.5, 0.5001], [0, 1]), "class")
    assert found.slope > 1000
    scores = found.apply(np.float16([0.1, 0.9]), np.zeros(2, int), np.array([3]))
    assert scores.tolist() == [0, 1]


@pytest.mark.parametrize("kind", ["model", "class"])
def test_one_class_with_a_rating_of_each_answer_by_hand(kind):
    """Two scores and two of Platt's targets, 1/3 and 2/3, which the curve goes through."""
    found = calibration.fit(table([0.2, 0.8], [0, 1]), kind)
    assert found.slope == pytest.approx(np.log(2) / np.log(4), abs=1e-6)
    assert found.offset == pytest.approx(0, abs=1e-6)
    assert found.offsets == ({} if kind == "model" else {3: pytest.approx(0, abs=1e-6)})


def test_a_class_that_nobody_rated_within_its_videos_has_the_offset_of_the_model():
    """Of class 20 the one rating lies past the end of the video, where there is no score."""
    some = table([0.2, 0.6, 0.8], [0, 0, 1], [3, 8, 3])
    more = table([0.2, 0.6, 0.8, np.nan], [0, 0, 1, 1], [3, 8, 3, 20])
    found = calibration.fit(more, "class")
    assert found == calibration.fit(some, "class")
    assert found.offsets.keys() == {3, 8}
    model = calibration.Calibration(found.slope, found.offset, {})
    given = (np.float16([0.1, 0.5, 0.9]), np.zeros(3, int), np.array([20]))
    assert found.apply(*given).tolist() == model.apply(*given).tolist()


def test_ratings_past_the_ends_of_all_videos_are_refused():
    with pytest.raises(InputError, match="0 of 0 ratings are positive; both answers are needed"):
        calibration.fit(table([np.nan, np.nan], [0, 1]), "class")


def test_ratings_of_one_answer_alone_are_refused():
    with pytest.raises(InputError, match=r"2 of 2 ratings are positive.*em\.calibration: none"):
        calibration.fit(table([0.1, 0.2], [1, 1]), "class")


def test_a_class_with_few_ratings_stays_near_the_model_and_one_with_many_leaves_it():
    """Classes 3 and 8 are positive throughout, 20 never; their scores are all alike."""
    counts = {3: 2, 8: 200, 20: 202}
    classes = np.repeat(list(counts), list(counts.values()))
    found = calibration.fit(table(np.full(404, 0.5), classes < 20, classes), "class")
    assert found.offset == pytest.approx(0, abs=0.05)
    assert 0 < found.offsets[3] < found.offsets[8]
    assert found.offsets[20] == pytest.approx(-found.offsets[8], abs=0.05)
    # The posterior's mode: the residuals' sum is the offset over the prior's variance of 1.
    shift = found.offsets[3] - found.offset
    assert 2 * (1 - 1 / (1 + np.exp(-found.offsets[3]))) == pytest.approx(shift, abs=1e-6)


def test_calibrated_scores_by_hand():
    """Odds of 1/4 squared and times 4 are 1/4; times 16, for class 8, 1."""
    made = calibration.Calibration(2.0, float(np.log(4)), {8: float(np.log(16))})
    found = made.apply(np.float16([0.2, 0.2]), np.array([0, 1]), np.array([3, 8]))
    np.testing.assert_allclose(found, [0.2, 0.5], rtol=2e-3)
    assert found.dtype == np.float16


def test_each_class_has_its_own_offset_or_that_of_the_model():
    random = np.random.default_rng(0)
    class_ids = np.sort(random.choice(500, 60, replace=False))
    # Of classes that are localised, and of one below, within and above them that are not.
    others = np.setdiff1d(np.arange(-1, 502), class_ids)[[0, 250, -1]]
    own = [*random.choice(class_ids, 20, replace=False).tolist(), *others.tolist()]
    made = calibration.Calibration(1.5, -0.25, {name: random.normal() for name in own})
    column, scores = random.integers(0, 60, 400), random.random(400).astype(np.float16)
    found = made.apply(scores, column, class_ids)
    for score, name, calibrated in zip(scores, class_ids[column], found, strict=True):
        odds = 1.5 * calibration.log_odds(score) + made.offsets.get(int(name), -0.25)
        assert calibrated == np.float16(1 / (1 + np.exp(-odds)))


def test_every_order_of_float16_scores_stays():
    scores = np.arange(0, 15361, dtype=np.uint16).view(np.float16)  # 0 to 1
    made = calibration.Calibration(0.7, -0.3, {})
    found = made.apply(scores, np.zeros(len(scores), int), np.array([3]))
    assert (np.diff(found.astype(float)) >= 0).all()
    assert np.isfinite(found).all()


def test_a_calibration_is_read_back_as_it_was_written(tmp_path, ratings):
    out = tmp_path / "calibration.json"
    calibration.calibrate(ratings, "class", out, {})
    assert calibration.read(out) == calibration.fit(ratings, "class")


@pytest.mark.parametrize("text", ["", "{}", '{"slope": 1, "offset": 0, "offsets": []}'])
def test_what_is_no_calibration_is_refused(tmp_path, text):
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(InputError, match=r"c\.json: not a calibration"):
        calibration.read(tmp_path / "c.json")
