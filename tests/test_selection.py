"""Selection of F, the best on validation, ties named; and who teaches next."""

import json

import numpy as np
import pytest
from small_candidates import model, ratings_of

from segment_em import ensemble, ratings_table, selection
from segment_em.candidates import Comparison, candidates_of, difference
from segment_em.errors import InputError

COMPARISON = Comparison("map", replicates=200, seed=0)


def mean_of(folder, validation_map, members, **values):
    """ensemble.json and what validation says of it."""
    path = model(folder, "ensemble", validation_map, stages=("ensemble",), **values)
    joined = ensemble.Ensemble(members, "geometric", 0.5, (0, 2))
    (folder / "ensemble.json").write_text(json.dumps(joined.described(folder)))
    return path


def select(
    folder,
    paths,
    mean=None,
    previous=None,
    stages=("finetuned",),
    out="selected.json",
    by=COMPARISON,
):
    selection.select(paths, stages, mean, previous, by, folder / out, {})
    return json.loads((folder / out).read_text())


def selected_before(folder, **arguments):
    select(folder, out="first.json", **arguments)
    endings = ("json", "safetensors", "ratings.csv")
    return selection.Previous(*(folder / f"first.{ending}" for ending in endings))


def test_the_best_on_validation_is_selected_and_its_weights_copied(tmp_path):
    paths = [model(tmp_path, "a", 0.70), model(tmp_path, "b", 0.80), model(tmp_path, "c", 0.75)]
    report = select(tmp_path, paths)
    assert report["selected"]["weights"].endswith("b/finetuned.safetensors")
    assert (tmp_path / "selected.safetensors").read_text() == "b finetuned.safetensors"
    assert [row["validation_map"] for row in report["among"]] == [0.70, 0.80, 0.75]
    assert [row["difference"] for row in report["among"]] == pytest.approx([-0.1, 0.0, -0.05])


def test_f_so_far_stays_when_nothing_is_better(tmp_path):
    before = selected_before(tmp_path, paths=[model(tmp_path, "a", 0.80)])
    (tmp_path / "a/finetuned.safetensors").unlink()  # it is copied from what was selected before
    report = select(tmp_path, [model(tmp_path, "b", 0.80)], previous=before)
    assert report["selected"]["weights"].endswith("a/finetuned.safetensors")
    assert (tmp_path / "selected.safetensors").read_text() == "a finetuned.safetensors"


def test_the_criterion_decides_which_mean_selects(tmp_path):
    paths = [
        model(tmp_path, "by_class", 0.8, weighted_map=0.6),
        model(tmp_path, "by_positive", 0.7, weighted_map=0.65),
    ]
    for criterion, winner in (("map", "by_class"), ("weighted_map", "by_positive")):
        report = select(tmp_path, paths, by=Comparison(criterion, replicates=20, seed=0))
        assert report["by"] == f"validation_{criterion}"
        assert report["selected"]["weights"].endswith(f"{winner}/finetuned.safetensors")
        assert max(row["difference"] for row in report["among"]) == 0
    # F of before is compared by what the criterion of now says of it.
    before = selected_before(tmp_path, paths=paths[:1])
    by = Comparison("weighted_map", replicates=20, seed=0)
    report = select(tmp_path, paths[1:], previous=before, by=by)
    assert report["selected"]["weights"].endswith("by_positive/finetuned.safetensors")
    assert report["among"][0]["difference"] == pytest.approx(-0.05)


@pytest.mark.parametrize("stage", ["pretrained", "finetuned"])
def test_the_stage_that_may_be_selected_is_a_setting(tmp_path, stage):
    report = select(tmp_path, [model(tmp_path, "a", 0.7)], stages=[stage])
    assert report["selected"]["stage"] == stage


def test_a_difference_has_the_standard_error_of_the_paired_bootstrap(tmp_path):
    """Reference: AP of both in plain Python over videos drawn again, the same for both."""
    ranks = {"a": [0, 1, 2, 3, 4, 5, 6, 7], "b": [3, 0, 2, 1, 4, 5, 7, 6]}
    a, b = (
        candidates_of(model(tmp_path, name, 0.7, ranks=ranks[name]), ["finetuned"])[0]
        for name in ranks
    )
    random = np.random.default_rng(COMPARISON.seed)
    found = []
    for _ in range(COMPARISON.replicates):
        counts = np.bincount(random.integers(8, size=8), minlength=8)
        if counts[::2].sum():
            one, other = (average_precision(ranks[name], counts) for name in "ab")
            found.append(one - other)
    assert difference(a, b, COMPARISON)[1] == pytest.approx(np.std(found, ddof=1))


def test_the_standard_error_is_that_of_the_criterion(tmp_path):
    """Reference as above: class 3 has four positives, class 8 has one, in video 5."""
    classes = np.repeat([3, 8], 8)
    positive = np.array([n % 2 == 0 for n in range(8)] + [n == 5 for n in range(8)])
    ranks = {
        "a": np.array([0, 1, 2, 3, 4, 5, 6, 7, 7, 6, 5, 4, 3, 2, 1, 0]),
        "b": np.array([3, 0, 2, 1, 4, 5, 7, 6, 0, 1, 2, 3, 4, 5, 6, 7]),
    }
    candidates = []
    for name in "ab":
        path = model(tmp_path, name, 0.7)
        table = ratings_of(["finetuned"], classes, positive, ranks[name])
        ratings_table.write(path.with_suffix(".ratings.csv"), table)
        candidates += candidates_of(path, ["finetuned"])
    by = Comparison("weighted_map", replicates=200, seed=0)
    random, found = np.random.default_rng(by.seed), []
    for _ in range(by.replicates):
        counts = np.bincount(random.integers(8, size=8), minlength=8)
        of_both = [weighted_mean(ranks[name], positive, counts) for name in "ab"]
        found.append(np.subtract(*of_both))
    assert np.isnan(found).sum() < 10
    assert difference(*candidates, by)[1] == pytest.approx(np.nanstd(found, ddof=1))


def weighted_mean(ranks, positive, counts):
    """Of the classes' average precision, by the positives among the videos drawn."""
    total = weights = 0
    for rows in (slice(0, 8), slice(8, 16)):
        weight = counts[positive[rows]].sum()
        if weight:
            total += weight * average_precision(ranks[rows], counts, positive[rows])
            weights += weight
    return total / weights if weights else np.nan


EVEN = np.arange(8) % 2 == 0


def average_precision(ranks, counts, positive=EVEN):
    """Copies of a video stand at one rank: the precision there counts all of them."""
    seen = hits = total = 0
    for video in np.argsort(ranks):
        seen += counts[video]
        if positive[video] and counts[video]:
            hits += counts[video]
            total += counts[video] * hits / seen
    return total / counts[positive].sum()


def test_those_within_one_standard_error_of_the_difference_are_near_ties(tmp_path):
    """a ranks as the best does, so that .001 below is no tie; b ranks otherwise."""
    other = [7, 6, 5, 4, 3, 2, 1, 0]
    paths = [
        model(tmp_path, "a", 0.799),
        model(tmp_path, "b", 0.79, ranks=other),
        model(tmp_path, "best", 0.80),
    ]
    ties = select(tmp_path, paths)["near_ties"]
    assert [path.split("/")[-2] for path in ties] == ["b"]


@pytest.mark.parametrize("name", ["starts", "classes", "positive"])
def test_candidates_with_other_ratings_are_refused(tmp_path, name):
    a, b = (candidates_of(model(tmp_path, n, 0.7), ["finetuned"])[0] for n in "ab")
    values = getattr(a.ratings, name)
    values[0] = not values[0]
    with pytest.raises(InputError, match="were validated on other ratings"):
        difference(a, b, COMPARISON)


def rated_otherwise(path, names, classes, positive, ranks):
    """Give a model other ratings than those of eight videos; returns its validation.json."""
    count = len(names)
    scores = (1 - np.array(ranks) / 100).astype(np.float32)
    table = ratings_table.RatingScores(
        np.array(names),
        5 * np.arange(count),
        np.array(classes),
        np.array(positive, bool),
        {"finetuned": scores},
        {"finetuned": np.array(ranks)},
    )
    ratings_table.write(path.with_suffix(".ratings.csv"), table)
    return path


def test_a_class_without_positives_changes_no_standard_error(tmp_path):
    """Reference: the same candidates without the ratings of that class."""
    ranks = {"a": [0, 1, 2, 3, 4, 5, 6, 7], "b": [3, 0, 2, 1, 4, 5, 7, 6]}
    positive = [n % 2 == 0 for n in range(8)]
    names = [f"v{n}" for n in range(8)]
    errors = []
    for classes in ([3], [3, 8]):
        paths = [
            rated_otherwise(
                model(tmp_path, name, validation_map),
                names * len(classes),
                np.repeat(classes, 8),
                positive + [False] * 8 * (len(classes) - 1),
                ranks[name] * len(classes),
            )
            for name, validation_map in (("a", 0.8), ("b", 0.7))
        ]
        _, b = select(tmp_path, paths)["among"]
        errors.append(b["difference_error"])
    assert errors[0] == errors[1] > 0


def test_one_video_with_any_id_is_enough_to_select_by(tmp_path):
    """Each draw is that video again, so that nothing is uncertain and only equality is a tie."""
    rated = (["e\u0301,\r🎬"] * 2, [3, 3], [True, False])
    paths = [
        rated_otherwise(model(tmp_path, "worse", 0.5), *rated, [1, 0]),
        rated_otherwise(model(tmp_path, "best", 1.0), *rated, [0, 1]),
        rated_otherwise(model(tmp_path, "equal", 1.0), *rated, [0, 1]),
    ]
    report = select(tmp_path, paths)
    told = [(row["difference"], row["difference_error"], row["tie"]) for row in report["among"]]
    assert told == [(-0.5, 0.0, False), (0.0, 0.0, False), (0.0, 0.0, True)]
    table = ratings_table.read(tmp_path / "selected.ratings.csv")
    assert table.video_ids.tolist() == rated[0]
    assert table.ranks["selected"].tolist() == [0, 1]


def test_where_no_two_draws_have_positives_a_difference_has_no_error(tmp_path):
    """Seed 0 draws v1 twice, of two videos of which v0 alone is positive."""
    assert np.random.default_rng(0).integers(2, size=(2, 2)).tolist() == [[1, 1], [1, 0]]
    rated = (["v0", "v1"], [3, 3], [True, False])
    paths = [
        rated_otherwise(model(tmp_path, name, validation_map, sd=None), *rated, [0, 1])
        for name, validation_map in (("a", 0.7), ("b", 0.8))
    ]
    draws = Comparison("map", replicates=2, seed=0)
    selection.select(paths, ["finetuned"], None, None, draws, tmp_path / "selected.json", {})
    a, b = json.loads((tmp_path / "selected.json").read_text())["among"]
    assert a["difference"] == pytest.approx(-0.1)
    assert (a["difference_error"], b["difference_error"]) == (None, None)
    assert not a["tie"]
    assert b["validation_map_sd"] is None


def test_f_alone_teaches_where_no_mean_may(tmp_path):
    select(tmp_path, [model(tmp_path, "a", 0.7)])
    teacher = ensemble.read(tmp_path / "selected.json")
    assert teacher == ensemble.Ensemble.of_one(tmp_path / "a/finetuned.safetensors")


@pytest.mark.parametrize("of_mean", [0.75, 0.6])
def test_a_mean_that_is_given_teaches_whatever_validation_says_of_f(tmp_path, of_mean):
    members = ((tmp_path / "a/finetuned.safetensors", 0.75), (tmp_path / "elsewhere", 0.25))
    mean = mean_of(tmp_path, of_mean, members)
    report = select(tmp_path, [model(tmp_path, "a", 0.7)], mean=mean)
    found = ensemble.read(tmp_path / "selected.json")
    assert found == ensemble.Ensemble(members, "geometric", 0.5, (0, 2))
    assert report["teacher"]["validation_map"] == of_mean
    assert report["teacher"]["stage"] == "ensemble"
    assert report["selected"]["weights"].endswith("a/finetuned.safetensors")


def test_the_ratings_of_a_teacher_are_its_own(tmp_path):
    """Which is what it is calibrated on."""
    ranks = [7, 6, 5, 4, 3, 2, 1, 0]
    mean = mean_of(tmp_path, 0.9, ((tmp_path / "a/finetuned.safetensors", 1.0),))
    select(tmp_path, [model(tmp_path, "a", 0.7, ranks=ranks)], mean=mean)
    table = ratings_table.read(tmp_path / "selected.ratings.csv")
    assert table.ranks["selected"].tolist() == ranks
    assert table.ranks["teacher"].tolist() == list(range(8))
    np.testing.assert_allclose(table.scores["teacher"], 1 - np.arange(8) / 100, rtol=1e-6)


def test_f_alone_stays_in_the_running_where_a_mean_taught_before(tmp_path):
    mean = mean_of(tmp_path / "one", 0.9, ((tmp_path / "one/a/finetuned.safetensors", 1.0),))
    paths = [model(tmp_path / "one", "a", 0.7)]
    before = selected_before(tmp_path / "one", paths=paths, mean=mean)
    (tmp_path / "two").mkdir()
    report = select(tmp_path / "two", [model(tmp_path / "two", "b", 0.6)], previous=before)
    assert [row["validation_map"] for row in report["among"]] == [0.7, 0.6]
    assert report["selected"]["weights"].endswith("a/finetuned.safetensors")
    assert report["teacher"] == report["selected"]
    table = ratings_table.read(tmp_path / "two/selected.ratings.csv")
    assert set(table.ranks) == {"selected", "teacher"}
