"""What variations are worth: measures, paired differences and promises, by hand."""

import json

import numpy as np
import pandas as pd
import pytest

from segment_em import ablation, metrics
from segment_em.tables import COLUMNS

MEMBER = "em/iteration-1/bigru@video_prior"
SELECTIONS = ["selected-0.json", "selected-1.json"]


def ratings(folder, run, scores):
    """test.ratings.csv of eight videos, each rated for two classes; scores: name -> [16]."""
    table = pd.DataFrame(
        {
            "video_id": [f"v{n // 2}" for n in range(16)],
            "start": 5,
            "class": [7, 9] * 8,
            "positive": [int(n % 3 == 0) for n in range(16)],
        }
    )
    for name, values in scores.items():
        table[f"{name}_score"] = values
        ranks = table.groupby("class")[f"{name}_score"].rank(ascending=False, method="first")
        table[f"{name}_rank"] = ranks.astype(int) - 1
    path = folder / "results/x" / run / "test.ratings.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False)
    return path.relative_to(folder)


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    """One iteration of two members; (table.csv, ratings, label sets), and the scores behind."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    scores = {
        run: {"finetuned": random.random(16)}
        for run in ("em/iteration-0/logistic", MEMBER, "em/iteration-1/nextvlad@label_corrected")
    }
    scores |= {run: {"ensemble": random.random(16)} for run in ("ensemble", "controls/ensemble")}
    rows = [
        ("member", 0, "logistic", "video_labels", "finetuned", 0.5, 0.0, 0.45, 1),
        ("member", 1, "bigru", "video_prior", "pretrained", 0.9, 0.0, 0.10, 0),
        ("member", 1, "bigru", "video_prior", "finetuned", 0.7, 0.0, 0.60, 1),
        ("member", 1, "nextvlad", "label_corrected", "finetuned", 0.6, 0.0, 0.65, 0),
        ("ensemble", 1, "mean", None, None, 0.7, 0.0, 0.66, 0),
        ("control_ensemble", None, "mean", None, None, 0.6, 0.0, 0.55, 0),
    ]
    pd.DataFrame(rows, columns=COLUMNS).to_csv("table.csv", index=False)
    write_selections()
    label_set = pd.DataFrame({"class": [7, 9, 11], "videos": [10, 10, 9], "positives": [0, 3, 0]})
    rest = ("threshold_others", "threshold", "videos_with_positive", "score_sum")
    label_set = label_set.assign(**dict.fromkeys(rest, 0), segments=20)
    label_set.to_csv("video_prior.csv", index=False)
    files = [ratings(tmp_path, run, values) for run, values in scores.items()]
    return "table.csv", files, SELECTIONS, ["video_prior.csv"]


def write_selections(f_of_last="em/iteration-1/bigru@video_prior"):
    """selected.json of both iterations; bigru's weights are another experiment's."""
    logistic, bigru, nextvlad = (
        {"weights": f"results/{name}/finetuned.safetensors", "stage": "finetuned", "by": value}
        for name, value in (
            ("x/em/iteration-0/logistic", 0.5),
            ("other/em/iteration-1/bigru@video_prior", 0.7),
            ("x/em/iteration-1/nextvlad@label_corrected", 0.6),
        )
    )
    of_iterations = (logistic, [logistic]), (None, [logistic, bigru, nextvlad])
    for path, (chosen, among) in zip(SELECTIONS, of_iterations, strict=True):
        found = chosen or next(one for one in among if f_of_last in one["weights"])
        report = {"by": "by", "selected": found, "among": among}
        with open(path, "w") as file:
            json.dump(report, file)


def summary(experiment, out="summary.json"):
    ablation.summarise(*experiment, replicates=50, out=out, stamp={})
    with open(out) as file:
        return json.load(file)


def test_an_iteration_is_measured_by_its_member_that_validation_prefers(experiment):
    found = summary(experiment)["measures"]
    assert {name: measure["map"] for name, measure in found.items()} == {
        "iteration 0": 0.45,
        "F0": 0.45,
        "iteration 1": 0.60,
        "F1": 0.60,
        "ensemble": 0.66,
        "controls": 0.55,
    }


def test_the_process_goes_on_with_f_of_before_where_no_new_model_was_selected(experiment):
    write_selections(f_of_last="em/iteration-0/logistic")
    found = summary(experiment)["measures"]
    assert found["iteration 1"]["map"] == 0.60
    assert found["F1"]["map"] == 0.45


def test_where_a_mean_teaches_it_is_measured_beside_f(experiment, tmp_path):
    table_path, files, *others = experiment
    table = pd.read_csv(table_path)
    row = pd.DataFrame([("teacher", 1, "mean", None, None, 0.8, 0.0, 0.62, 0)], columns=COLUMNS)
    pd.concat([table, row]).to_csv(table_path, index=False)
    scores = {"ensemble": np.random.default_rng(1).random(16)}
    files = [*files, ratings(tmp_path, "em/iteration-1/ensemble", scores)]
    found = summary((table_path, files, *others))["measures"]
    assert (found["T0"]["map"], found["T1"]["map"]) == (0.45, 0.62)
    assert found["T0"] == found["F0"]
    own = ablation.ratings_table.read(files[-1]).bootstrap_map("ensemble", 50, ablation.SEED, "map")
    assert found["T1"]["draws"] == pytest.approx(own.tolist())


def test_draws_are_those_of_the_metric_over_the_same_videos(experiment):
    found = summary(experiment)["measures"]["iteration 1"]["draws"]
    table = pd.read_csv(f"results/x/{MEMBER}/test.ratings.csv")
    scores_NC = np.zeros((8, 2), np.float32)
    row, column = table["video_id"].str[1:].astype(int).to_numpy(), (table["class"] == 9).to_numpy()
    scores_NC[row, column.astype(int)] = table["finetuned_score"]
    rated = metrics.Rated(
        row, column.astype(np.int64), table["positive"].to_numpy(bool), row.astype(np.int64)
    )
    rank_R = metrics.rank_rated(scores_NC, rated, 100)
    drawn = metrics.bootstrap_map(rank_R, rated, 2, 50, ablation.SEED, "map")
    np.testing.assert_allclose(found, drawn)


def test_classes_of_ten_videos_without_a_positive_are_named(experiment):
    assert summary(experiment)["starved"] == {"video_prior.csv": [7]}


def written(folder, name, maps, draws):
    measures = {key: {"map": value, "draws": draws[key]} for key, value in maps.items()}
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"measures": measures, "starved": {"a": [1], "b": [1, 2]}}))
    return path


@pytest.fixture
def compared(tmp_path):
    """Two data sets, two variations, two seeds; draws that differ by a constant from each other."""
    runs, paths, base = [], [], np.linspace(0.4, 0.6, 21)
    for d, data in enumerate(("a", "b")):
        for v, variation in enumerate(("default", "other")):
            for seed in (0, 1):
                shift = {"ensemble": 0.1 * v + 0.02 * seed, "controls": -0.05 - 0.1 * d}
                shift |= {"iteration 0": -0.2, "iteration 1": 0.0, "iteration 2": -0.01}
                shift |= {"F0": -0.2, "F1": 0.0, "T0": -0.2, "T1": -0.3}
                draws = {key: (base + value).tolist() for key, value in shift.items()}
                maps = {key: 0.5 + value for key, value in shift.items()}
                runs.append({"data": data, "variation": variation, "seed": seed})
                paths.append(written(tmp_path, f"{data}{v}{seed}", maps, draws))
    return runs, paths


def test_differences_are_paired_by_seed_and_averaged_over_data(compared):
    table = ablation.differences(ablation.Draws(*compared)).set_index(
        ["data", "variation", "difference"]
    )
    found = table.loc[("a", "other", "ensemble - default")]
    # Each seed's draws differ by .1 exactly: no spread is left of the videos or the seeds.
    assert found["mean"] == pytest.approx(0.1)
    assert found["sd"] == pytest.approx(0.0, abs=1e-12)
    assert found["se"] == pytest.approx(0.0, abs=1e-12)
    # Against the controls: .05 and .07 on a, .15 and .17 on b.
    gain = table.xs("ensemble - controls", level="difference")["mean"]
    assert gain["a", "default"] == pytest.approx(0.06)
    assert gain["b", "default"] == pytest.approx(0.16)
    assert gain["all", "default"] == pytest.approx(0.11)


def test_a_mean_that_teaches_is_compared_with_the_one_before_and_with_f(compared):
    """T0 and F0 lie .2 below the ensemble of seed 0, T1 .3, F1 level with it."""
    table = ablation.differences(ablation.Draws(*compared))
    found = table.set_index(["variation", "difference", "data"])["mean"]
    for data in ("a", "b", "all"):
        assert found["default", "T1 - T0", data] == pytest.approx(-0.1)
        assert found["other", "T1 - F1", data] == pytest.approx(-0.3)
    names = {name for name in table["difference"] if name.startswith("T")}
    assert names == {"T1 - T0", "T1 - F1"}


def test_a_variation_may_draw_more_often(compared):
    runs, paths = compared
    plain = ablation.differences(ablation.Draws(runs, paths))
    for run, path in zip(runs, paths, strict=True):
        told = json.loads(path.read_text())
        for measure in told["measures"].values():
            measure["draws"] += [0.0] * 10 if run["variation"] == "other" else []
        path.write_text(json.dumps(told))
    assert len(told["measures"]["ensemble"]["draws"]) == 31
    found = ablation.differences(ablation.Draws(runs, paths))
    against = plain["difference"] == "ensemble - default"
    pd.testing.assert_frame_equal(found[against], plain[against])


def test_an_experiment_without_controls_is_compared_with_the_first_alone(compared):
    runs, paths = compared
    for run, path in zip(runs, paths, strict=True):
        if run["variation"] == "other":
            told = json.loads(path.read_text())
            del told["measures"]["controls"]
            path.write_text(json.dumps(told))
    draws = ablation.Draws(runs, paths)
    found = ablation.differences(draws).groupby("variation")["difference"].unique()
    teachers = ["T1 - T0", "T1 - F1"]
    assert found["other"].tolist() == ["ensemble - default", *teachers]
    assert found["default"].tolist() == ["ensemble - controls", *teachers]
    turned = [run | {"variation": {"default": "z"}.get(run["variation"], "a")} for run in runs]
    order = sorted(range(len(runs)), key=lambda n: turned[n]["variation"])
    turned, paths = [turned[n] for n in order], [paths[n] for n in order]
    promises = ablation.checks(ablation.Draws(turned, paths), ablation.runs_table(turned, paths))
    assert "ensemble above its controls" not in set(promises["promise"])
    assert "starved classes" in set(promises["promise"])


def error(values, draws):
    found = ablation.Error.of(np.array(values), np.array(draws))
    return ablation.standard_error([found])


def test_seeds_alone_have_the_error_of_a_mean():
    # 0 and 1: sd root 1/2, over the root of 2.
    assert error([0.0, 1.0], np.repeat([[0.0], [1.0]], 50, axis=1)) == pytest.approx(0.5)


def test_one_seed_has_the_error_of_its_videos_alone():
    assert error([0.5], [[0.4, 0.5, 0.6]]) == pytest.approx(0.1)


CHANCE = np.random.default_rng(0).normal(0.0, 0.1, size=(2, 20000))


def test_the_chance_of_a_shared_test_set_does_not_average_out_over_seeds():
    assert error([0.5, 0.5], CHANCE[[0, 0]]) == pytest.approx(0.1, rel=0.02)


def test_the_chance_of_test_sets_of_their_own_does_and_counts_once():
    assert error([0.5, 0.5], CHANCE) == pytest.approx(0.1 / np.sqrt(2), rel=0.02)
    # Seeds that differ as much as their videos make them: no error beside that of the videos.
    apart = 0.1 / np.sqrt(2)
    assert error([0.5 - apart, 0.5 + apart], CHANCE) == pytest.approx(0.1 / np.sqrt(2), rel=0.02)


def test_the_error_is_at_least_that_of_the_mean_over_the_seeds():
    # Two seeds whose videos happen to pull apart: the mean of the draws hardly varies.
    draws = np.stack([CHANCE[0], 0.01 * CHANCE[1] - CHANCE[0]])
    values = [0.3, 0.7]
    assert error(values, draws) == pytest.approx(np.std(values, ddof=1) / np.sqrt(2))


def test_the_error_over_data_sets_pools_what_seeds_add():
    errors = [ablation.Error(videos=1.0, seeds=-1.0), ablation.Error(videos=1.0, seeds=3.0)]
    assert ablation.standard_error(errors) == pytest.approx(np.sqrt(1 + 1 - 1 + 3) / 2)
    assert ablation.standard_error(errors[:1]) == pytest.approx(1.0)


def test_promises_are_judged_for_the_first_variation_on_each_data_set(compared):
    draws, runs = ablation.Draws(*compared), ablation.runs_table(*compared)
    assert runs["starved"].tolist() == [2] * 8
    found = ablation.checks(draws, runs).set_index(["data", "promise"])
    assert found.loc[("a", "ensemble above its controls")].tolist() == pytest.approx([0.06, 0, 1])
    assert found.loc[("a", "ensemble not below iteration 0"), "met"]
    # It falls by .01 in every draw, so by more than its standard error of 0.
    fall = found.loc[("a", "iteration 2 not a standard error below")]
    assert fall["value"] == pytest.approx(-0.01)
    assert not fall["met"]
    assert found.loc[("a", "F1 not a standard error below"), "met"]
    assert not found.loc[("a", "T1 not a standard error below"), "met"]
    assert not found.loc[("b", "starved classes"), "met"]
