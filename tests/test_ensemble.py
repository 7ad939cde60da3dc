"""The mean of members, and the weights that validation gives them, by hand."""

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


def test_one_standard_error_below_the_best_counts_less_by_e():
    # Standard errors of the differences to the first: .05 (3-4-5) and .13 (5-12-13).
    maps, sds = np.array([0.80, 0.75, 0.54]), np.array([0.03, 0.04, 0.1264911])
    weights = ensemble.validation_weights(maps, sds)
    np.testing.assert_allclose(weights / weights[0], [1, np.exp(-1), np.exp(-2)], rtol=1e-6)
    np.testing.assert_allclose(weights.sum(), 1)


def test_the_paper_weighs_all_alike():
    assert ensemble.equal_weights(np.array([0.8, 0.2]), np.array([0.02, 0.02])).tolist() == [
        0.5,
        0.5,
    ]


def validation(folder, validation_map, sd):
    folder.mkdir(parents=True)
    scorer = str(folder / "finetuned.safetensors")
    result = {"finetuned": {"scorer": scorer, "map": validation_map, "map_sd": sd}}
    (folder / "validation.json").write_text(json.dumps({"results": result}))
    return folder / "validation.json"


def test_an_ensemble_names_its_members_relative_to_itself(tmp_path):
    paths = [validation(tmp_path / "em/a", 0.7, 0.03), validation(tmp_path / "em/b", 0.8, 0.04)]
    ensemble.weigh(paths, "validation", tmp_path / "ensemble.json", {})
    report = json.loads((tmp_path / "ensemble.json").read_text())
    assert [member["weights"] for member in report["members"]] == [
        "em/a/finetuned.safetensors",
        "em/b/finetuned.safetensors",
    ]
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    (tmp_path / "ensemble.json").rename(moved / "ensemble.json")
    (first, low), (second, high) = ensemble.members_of(moved / "ensemble.json")
    assert (first, second) == (
        moved / "em/a/finetuned.safetensors",
        moved / "em/b/finetuned.safetensors",
    )
    np.testing.assert_allclose(high / low, np.exp(2))  # .1 below, standard error .05


def test_validation_without_noise_leaves_the_best_alone(tmp_path):
    paths = [validation(tmp_path / "a", 0.7, 0.0), validation(tmp_path / "b", 0.8, 0.0)]
    ensemble.weigh(paths, "validation", tmp_path / "ensemble.json", {})
    assert [weight for _, weight in ensemble.members_of(tmp_path / "ensemble.json")] == [0.0, 1.0]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"members": [{"weights": "a"}]}'])
def test_what_is_no_ensemble_is_refused(tmp_path, text):
    (tmp_path / "ensemble.json").write_text(text)
    with pytest.raises(InputError, match=r"ensemble\.json: not an ensemble"):
        ensemble.members_of(tmp_path / "ensemble.json")
