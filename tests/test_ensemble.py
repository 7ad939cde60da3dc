"""What several models say together, by hand."""

import json

import numpy as np
import pytest

from segment_em import ensemble
from segment_em.errors import InputError


def test_the_mean_of_probabilities_by_hand():
    first = np.array([[0.25, 1.0], [0.0, 0.5]], np.float32)
    second = np.array([[0.75, 0.5], [0.0, 1.0]], np.float32)
    joined = ensemble.mean([first, second], [0.5, 0.5])
    assert joined.dtype == np.float32
    np.testing.assert_array_equal(joined, [[0.5, 0.75], [0.0, 0.75]])


def test_the_mean_of_one_member_is_that_member():
    scores = np.random.default_rng(0).random((5, 3), dtype=np.float32)
    np.testing.assert_array_equal(ensemble.mean([scores], [0.3]), scores)


def test_the_order_of_the_members_does_not_matter():
    members = list(np.random.default_rng(0).random((7, 500, 3), dtype=np.float32))
    np.testing.assert_array_equal(
        ensemble.mean(members, [1] * 7), ensemble.mean(members[::-1], [1] * 7)
    )


def test_the_members_stay_as_they_are():
    member = np.full((2, 2), 0.5, np.float32)
    ensemble.mean([member, np.ones((2, 2), np.float32)], [1, 1])
    assert (member == 0.5).all()


def test_members_of_other_sizes_are_refused():
    with pytest.raises(InputError, match=r"member 1 .*\(4, 3\).*\(4, 2\)"):
        ensemble.mean([np.zeros((4, 2), np.float32), np.zeros((4, 3), np.float32)], [1, 1])


def test_a_heavier_member_counts_more():
    members = [np.array([[0.0]], np.float32), np.array([[1.0]], np.float32)]
    np.testing.assert_allclose(ensemble.mean(members, [1.0, 3.0]), [[0.75]])


UNKNOWN = json.dumps(
    {"members": [{"weights": "a", "weight": 1}], "join": "median", "video_filter": 0, "shifts": [0]}
)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"ensemble\.json: cannot be read \(No such file"):
        ensemble.members_of(tmp_path / "ensemble.json")
    with pytest.raises(InputError, match=r"ensemble\.json: cannot be read \(No such file"):
        ensemble.description_of(tmp_path / "ensemble.json")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"members": [{"weights": "a"}]}', UNKNOWN])
def test_what_is_no_ensemble_is_refused(tmp_path, text):
    (tmp_path / "ensemble.json").write_text(text)
    with pytest.raises(InputError, match=r"ensemble\.json: not an ensemble"):
        ensemble.members_of(tmp_path / "ensemble.json")


def test_an_ensemble_that_says_nothing_of_validation_is_refused_there(tmp_path):
    """As ensemble.json, which leaves out what was validated."""
    path = tmp_path / "ensemble.json"
    told = {"join": "mean", "video_filter": 0.0, "shifts": [0]}
    path.write_text(json.dumps(told | {"members": [{"weights": "a", "weight": 1.0}]}))
    assert ensemble.read(path).members == ((tmp_path / "a", 1.0),)
    with pytest.raises(InputError) as refused:
        ensemble.read(path, validated=True)
    assert str(refused.value).startswith(f"{path}: says nothing of what validation judged; give")


def test_the_geometric_mean_of_odds_one_third_and_three_has_odds_one():
    members = [np.array([[0.25]], np.float32), np.array([[0.75]], np.float32)]
    assert ensemble.geometric(members, [1.0, 1.0])[0, 0] == pytest.approx(0.5)
    # odds 3 ** (3 / 4) / 3 ** (1 / 4) = 3 ** (1 / 2)
    odds = 3**0.5
    assert ensemble.geometric(members, [1.0, 3.0])[0, 0] == pytest.approx(odds / (1 + odds))


def test_the_geometric_mean_of_sure_scores_is_finite():
    members = [np.array([[0.0, 1.0]], np.float32), np.array([[1.0, 1.0]], np.float32)]
    np.testing.assert_allclose(ensemble.geometric(members, [1, 1]), [[0.5, 1.0]], atol=1e-6)


SCORES = np.array([[0.5, 0.0], [1.0, 0.0], [0.25, 0.5]], np.float32)


def test_a_score_is_multiplied_by_its_videos_score():
    """Of scores .5 and 1 the linear softmax is 1.25 / 1.5 = 5 / 6; the third is a video alone."""
    found = ensemble.filtered(SCORES, np.array([2, 0, 1]), 1.0)
    np.testing.assert_allclose(found, [[5 / 12, 0], [5 / 6, 0], [1 / 16, 1 / 4]], rtol=1e-6)
    found = ensemble.filtered(SCORES, np.array([2, 0, 1]), 0.5)
    assert found[1, 0] == pytest.approx((5 / 6) ** 0.5)


def test_without_a_power_scores_stay_as_they_are():
    assert ensemble.filtered(SCORES, np.array([2, 0, 1]), 0.0) is SCORES


def test_a_filtered_video_does_not_depend_on_those_beside_it():
    whole = ensemble.filtered(SCORES, np.array([2, 0, 1]), 0.7)
    parts = [(SCORES[:2], [2, 0]), (SCORES[2:], [1]), (SCORES[:0], [0])]
    found = [ensemble.filtered(scores, np.array(counts), 0.7) for scores, counts in parts]
    np.testing.assert_array_equal(np.concatenate(found), whole)


def test_spread_is_the_weighted_standard_deviation_of_the_members():
    """Of 0 with weight 3 and 1 with weight 1 the mean is 1/4, the variance 3/16."""
    joined = ensemble.Ensemble(((None, 3.0), (None, 1.0)), "mean", 0.0, (0,))
    members = [np.array([[0.0, 0.5]], np.float32), np.array([[1.0, 0.5]], np.float32)]
    np.testing.assert_allclose(joined.spread(members), [[(3 / 16) ** 0.5, 0.0]])


def test_an_ensemble_is_read_from_wherever_its_folder_went(tmp_path):
    members = ((tmp_path / "em/a", 0.75), (tmp_path / "em/b", 0.25))
    joined = ensemble.Ensemble(members, "geometric", 0.5, (0, 2))
    for folder in ("ensemble", "moved"):
        (tmp_path / folder).mkdir()
        text = json.dumps(joined.described(tmp_path / "ensemble"))
        (tmp_path / folder / "members.json").write_text(text)
        assert ensemble.read(tmp_path / folder / "members.json") == joined
