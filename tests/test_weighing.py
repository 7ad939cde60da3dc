"""Who is a member, and the weights that validation gives, by hand."""

import json

import numpy as np
import pytest
from small_candidates import model

from segment_em import ensemble, weighing
from segment_em.candidates import Comparison
from segment_em.errors import InputError

COMPARISON = Comparison("map", replicates=200, seed=0)
JOINING = weighing.Joining("validation", "geometric", 0.5, [0, 2])


def weigh(folder, paths, earlier=(), joining=JOINING, by=COMPARISON, before=None, again=None):
    files = [str(path.with_name("finetuned.safetensors")) for path in [*paths, *earlier]]
    joins = dict(zip(files, files, strict=True)) | (again or {})
    out = folder / "ensemble/members.json"
    weighing.weigh(paths, earlier, joins, before, joining, by, out, {})
    return ensemble.read(out)


def test_one_standard_error_below_the_best_counts_less_by_e():
    # Standard errors of the differences to the first: .05 (3-4-5) and .13 (5-12-13).
    maps, sds = np.array([0.80, 0.75, 0.54]), np.array([0.03, 0.04, 0.1264911])
    weights = weighing.validation_weights(maps, sds)
    np.testing.assert_allclose(weights / weights[0], [1, np.exp(-1), np.exp(-2)], rtol=1e-6)
    np.testing.assert_allclose(weights.sum(), 1)


def test_the_paper_weighs_all_alike():
    weights = weighing.equal_weights(np.array([0.8, 0.2]), np.array([0.02, 0.02]))
    assert weights.tolist() == [0.5, 0.5]


def test_an_ensemble_names_its_members_and_how_they_are_joined(tmp_path):
    paths = [model(tmp_path / "em", "a", 0.7, 0.03), model(tmp_path / "em", "b", 0.8, 0.04)]
    found = weigh(tmp_path, paths)
    (first, low), (second, high) = found.members
    assert first == tmp_path / "em/a/finetuned.safetensors"
    assert second == tmp_path / "em/b/finetuned.safetensors"
    np.testing.assert_allclose(high / low, np.exp(2))  # .1 below, standard error .05
    assert (found.join, found.video_filter, found.shifts) == ("geometric", 0.5, (0, 2))
    assert "../em/a/finetuned.safetensors" in (tmp_path / "ensemble/members.json").read_text()


def test_members_that_were_fine_tuned_again_join_by_what_validation_says_of_the_others(tmp_path):
    paths = [model(tmp_path / "em", "a", 0.7, 0.03), model(tmp_path / "em", "b", 0.8, 0.04)]
    refits = [path.with_name("refit.safetensors") for path in paths]
    again = {str(path.with_name("finetuned.safetensors")): str(path) for path in refits}
    weigh(tmp_path, paths, again=again)
    out = tmp_path / "ensemble/members.json"
    joined, judged = ensemble.read(out), ensemble.read(out, validated=True)
    assert [path for path, _ in joined.members] == refits
    assert [path.name for path, _ in judged.members] == ["finetuned.safetensors"] * 2
    assert [share for _, share in joined.members] == [share for _, share in judged.members]
    assert ensemble.with_members(out, validated=True)[1:] == [path for path, _ in judged.members]
    np.testing.assert_allclose(joined.members[1][1] / joined.members[0][1], np.exp(2))
    rows = json.loads(out.read_text())["members"]
    assert [set(row) for row in rows] == [{"weights", "weight", "validated"}] * 2
    assert [row["validated"]["stage"] for row in rows] == ["finetuned"] * 2
    assert [row["validated"]["validation_map"] for row in rows] == [0.7, 0.8]


def test_weights_are_by_the_criterion(tmp_path):
    paths = [
        model(tmp_path, "a", 0.8, 0.03, weighted_map=0.6),
        model(tmp_path, "b", 0.7, 0.04, weighted_map=0.65),
    ]
    by = Comparison("weighted_map", replicates=20, seed=0)
    (_, low), (_, high) = weigh(tmp_path, paths, by=by).members
    np.testing.assert_allclose(high / low, np.e)  # .05 below, standard error .05


def test_validation_without_noise_leaves_the_best_alone(tmp_path):
    found = weigh(tmp_path, [model(tmp_path, "a", 0.7, 0.0), model(tmp_path, "b", 0.8, 0.0)])
    assert [weight for _, weight in found.members] == [0.0, 1.0]


def taught_before(folder, members, **values):
    """selected.json of an iteration whose teacher is the mean of these."""
    folder.mkdir(parents=True)
    told = ensemble.Ensemble(members, "mean", 0.0, (0,)).described(folder)
    (folder / "selected.json").write_text(json.dumps({"teacher": values, **told}))
    return folder / "selected.json"


def test_the_teacher_of_before_counts_as_one_and_its_members_share_that(tmp_path):
    """By hand: it is as good as b, a is two standard errors of the difference below."""
    members = ((tmp_path / "em/f.safetensors", 3.0), (tmp_path / "em/g.safetensors", 1.0))
    again = {str(path): f"{path}.refit" for path, _ in members}
    before = taught_before(
        tmp_path / "em/iteration-1",
        members,
        validation_map=0.8,
        validation_map_sd=0.04,
        validation_weighted_map=0.1,
        validation_weighted_map_sd=0.0,
    )
    paths = [model(tmp_path / "em", "a", 0.7, 0.03), model(tmp_path / "em", "b", 0.8, 0.04)]
    found = weigh(tmp_path, paths, before=before, again=again)
    total = 2 + np.exp(-2)
    expected = np.array([0.75, 0.25, np.exp(-2), 1]) / total
    # Of equals the first is the best, to which a is compared: .1 below, standard error .05.
    np.testing.assert_allclose([weight for _, weight in found.members], expected)
    assert [str(path) for path, _ in found.members[:2]] == list(again.values())
    judged = ensemble.read(tmp_path / "ensemble/members.json", validated=True).members
    assert [path for path, _ in judged[:2]] == [path for path, _ in members]


def test_weights_by_validation_need_its_noise(tmp_path):
    paths = [model(tmp_path, "a", 0.7, None), model(tmp_path, "b", 0.8, None)]
    with pytest.raises(InputError, match=r"weights by validation need .*, or set ensemble.*equal"):
        weigh(tmp_path, paths)
    equal = weighing.Joining("equal", "mean", 0.0, [0])
    assert [weight for _, weight in weigh(tmp_path, paths, joining=equal).members] == [0.5, 0.5]


def test_the_best_of_several_earlier_selves_is_so_by_the_criterion(tmp_path):
    values = [(0.71, 0.9), (0.72, 0.8)]
    earlier = [
        model(tmp_path / f"em/iteration-{i}", "a", value, weighted_map=weighted)
        for i, (value, weighted) in enumerate(values)
    ]
    latest = model(tmp_path / "em/iteration-2", "a", 0.70)
    for criterion, taken in (("map", 1), ("weighted_map", 0)):
        by = Comparison(criterion, replicates=20, seed=0)
        ((file, _),) = weigh(tmp_path, [latest], earlier, by=by).members
        assert file.parent.parent.name == f"iteration-{taken}"


# The same ranks as the later self's have no noise in the difference, others have much.
ALIKE, OTHERWISE = list(range(8)), list(range(8))[::-1]


@pytest.mark.parametrize(
    ("before", "ranks", "stays"),
    [(0.71, ALIKE, False), (0.69, ALIKE, True), (0.71, OTHERWISE, True), (0.70, ALIKE, True)],
)
def test_a_member_of_before_stands_in_only_if_it_is_better_beyond_noise(
    tmp_path, before, ranks, stays
):
    latest = model(tmp_path / "em/iteration-2", "a", 0.70)
    earlier = model(tmp_path / "em/iteration-1", "a", before, ranks=ranks)
    other = model(tmp_path / "em/iteration-1", "b", 0.9)
    ((file, _),) = weigh(tmp_path, [latest], [earlier, other]).members
    assert file.parent.parent.name == ("iteration-2" if stays else "iteration-1")
    assert file.parent.name == "a"
