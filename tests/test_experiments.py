"""Where the files of several experiments lie: what is made alike is made once."""

import copy
import json
import re
from pathlib import Path

import pytest
import reporting
import yaml
from configuration import ConfigError
from snakemake.utils import update_config
from variations import experiments_of

from segment_em.files import matching
from segment_em.simulation.settings import Settings
from segment_em.simulation.world import World

ROOT = Path(__file__).parent.parent


@pytest.fixture
def config(monkeypatch):
    monkeypatch.chdir(ROOT)
    return yaml.safe_load((ROOT / "config.yaml").read_text())


def ablation(config, seeds=(0,), data=None, **variations):
    return config | {
        "experiment": "x",
        "ablation": {
            "data": data or {"demo": None},
            "seeds": list(seeds),
            "variations": {"default": None, **variations},
        },
    }


def own(experiment, files):
    return [file for file in files if file.startswith(f"{experiment.folder}/")]


def weights(experiment):
    return experiment.all_weights()


def test_a_configuration_without_ablation_is_one_experiment_with_files_of_its_own(config):
    experiments = experiments_of(config)
    assert list(experiments) == ["demo"]
    demo = experiments["demo"]
    assert own(demo, weights(demo)) == weights(demo)
    assert demo.selected(2, "json") == "results/demo/em/iteration-2/selected.json"


def test_an_overlay_is_a_file_or_written_out_or_nothing_on_what_is_configured(config):
    config["em"]["select"] = "iteration"
    written = {"training": {"decay": "constant"}}
    found = experiments_of(ablation(config, written=written, file="configs/demo-faithful.yaml"))
    settings = {name: experiment.config for name, experiment in found.items()}
    assert settings["x.demo.default.0"]["em"]["select"] == "iteration"
    assert settings["x.demo.written.0"]["training"]["decay"] == "constant"
    assert settings["x.demo.default.0"]["training"]["decay"] == "linear"
    assert settings["x.demo.file.0"]["em"]["threshold"]["rule"] == "fixed"


def test_an_overlay_of_this_repository_is_found_from_anywhere(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = experiments_of(ablation(config, file="configs/demo-faithful.yaml"))
    assert found["x.demo.file.0"].config["em"]["threshold"]["rule"] == "fixed"


def test_each_variation_data_set_and_seed_is_an_experiment(config):
    data = {"demo": "config.yaml", "rare": "configs/presets/rare-classes.yaml"}
    experiments = experiments_of(ablation(config, (3, 4), data, equal={}))
    assert list(experiments)[1:] == [
        f"x.{name}.{variation}.{seed}"
        for name in data
        for variation in ("default", "equal")
        for seed in (3, 4)
    ]
    rare = experiments["x.rare.equal.4"]
    assert rare.variation == {"data": "rare", "variation": "equal", "seed": 4}
    assert (rare.config["seed"], rare.data.name) == (4, "rare-classes-4")
    assert rare.config["data"]["simulation"]["seed"] == 4
    assert rare.config["data"]["simulation"]["vocabulary_classes"] == 80


def test_some_data_and_variations_alone_can_be_run_and_the_first_stays(config):
    data = {"demo": None, "rare": "configs/presets/rare-classes.yaml", "missing": "no-file.yaml"}
    whole = ablation(config, (0,), data, equal={}, geometric={})
    whole["ablation"]["only"] = {"data": ["rare", "demo"], "variations": ["geometric"]}
    assert list(experiments_of(whole))[1:] == [
        *("x.demo.default.0", "x.demo.geometric.0"),
        *("x.rare.default.0", "x.rare.geometric.0"),
    ]
    whole["ablation"]["only"] = {"data": ["demo"]}
    assert len(experiments_of(whole)) == 1 + 3


def test_a_choice_that_names_no_variation_is_told_the_nearest(config):
    whole = ablation(config, equal={})
    whole["ablation"]["only"] = {"variations": ["equals"]}
    expected = r"ablation\.only\.variations: 'equals', which does not exist; did you mean 'equal'"
    with pytest.raises(ConfigError, match=expected):
        experiments_of(whole)


# Names of configs, and how many data sets of theirs are simulated.
ABLATIONS = {
    "ablation": 5,
    "ablation-settings": 4,
    "ablation-size": 6,
    "ablation-teacher": 4,
    "demo-seeds": 1,
}


@pytest.mark.parametrize("name", ABLATIONS)
def test_an_ablation_of_the_results_is_accepted_and_its_simulated_data_can_be_drawn(config, name):
    shown = yaml.safe_load((ROOT / f"configs/{name}.yaml").read_text())
    shown["ablation"]["data"].pop("collage", None)  # has to be unpacked first
    update_config(config, shown)
    experiments = list(experiments_of(config).values())[1:]
    assert {experiment.variation["seed"] for experiment in experiments} == {0, 1, 2}
    datasets = {experiment.data.name: experiment.data for experiment in experiments}
    assert len(datasets) == 3 * ABLATIONS[name]
    for data in datasets.values():
        World(Settings(**json.loads(data.simulation_settings())))


def keys(settings, prefix=""):
    """Dotted names of all that is set, lists whole."""
    found = set()
    for name, value in settings.items():
        path = f"{prefix}{name}"
        found |= keys(value, f"{path}.") if isinstance(value, dict) else {path}
    return found


@pytest.mark.parametrize(
    ("name", "its_own"),
    [
        ("yt8m", {"evaluation.submission"}),
        # As in the demo, whatever its defaults become.
        (
            "demo-faithful",
            {"training.clip_norm", "training.precision", "em.keep.floor", "em.keep.top"}
            | {"evaluation.submission", "evaluation.top_segments"}
            | {"evaluation.bootstrap_replicates"},
        ),
    ],
)
def test_the_papers_settings_name_every_key_so_that_no_new_default_slips_in(config, name, its_own):
    """Of another threshold rule: those of the default's are not the paper's."""
    paper = yaml.safe_load((ROOT / f"configs/{name}.yaml").read_text())
    parts = ("training", "em", "ensemble", "evaluation")
    default = keys({part: config[part] for part in parts})
    default -= {"em.threshold.share", "em.threshold.other_share"}
    assert default - keys(paper) == its_own


def test_each_initial_model_is_trained_with_a_video_loss_of_its_own_and_may_be_selected(config):
    demo = experiments_of(config)["demo"]
    runs = ["em/iteration-0/logistic", "em/iteration-0/logistic_peaks"]
    assert demo.runs(0) == runs
    assert [json.loads(demo.settings.pretrain(run))["video_loss"] for run in runs] == [
        "mean",
        "linear_softmax",
    ]
    assert [demo.pooling_code(run) for run in runs] == [
        "poolings/mean.py",
        "poolings/linear_softmax.py",
    ]
    config["em"]["initial"] = "logistic"
    assert experiments_of(config)["demo"].runs(0) == runs[:1]


@pytest.mark.parametrize(
    ("em", "expected"),
    [
        ({}, ["F0", "T1", "T2", "ensemble"]),
        ({"teacher": "best"}, ["F0", "F1", "F2", "ensemble"]),
        ({"iterations": []}, ["F0", "ensemble"]),
    ],
)
def test_the_report_shows_what_estimates_after_each_iteration(config, em, expected):
    config["em"] |= em
    assert reporting.scorers(experiments_of(config)["demo"]) == expected


def test_the_report_scores_by_f_or_by_a_mean_of_models_as_they_are_validated(config):
    demo = experiments_of(config)["demo"]
    assert reporting.scorer_file(demo, "F0") == demo.selected(0, "safetensors")
    assert reporting.scorer_file(demo, "T1") == demo.ensemble("em/iteration-1/ensemble")
    assert reporting.scorer_file(demo, "ensemble") == demo.ensemble("ensemble")
    stages = {
        scorer: {Path(file).stem for file in reporting.scorer_weights(demo, scorer)}
        for scorer in ("F0", "T1", "ensemble")
    }
    both = {"finetuned", "refit"}
    assert stages == {"F0": set(), "T1": {"finetuned"}, "ensemble": both}
    code = {scorer: reporting.scorer_models(demo, scorer) for scorer in ("F0", "T1")}
    early = ["models/logistic.py"]
    assert code == {"F0": early, "T1": [*early, "models/transformer.py"]}


def test_what_joins_an_ensemble_is_fine_tuned_again_if_that_is_asked_for(config):
    demo = experiments_of(config)["demo"]
    for group in ("ensemble", "controls/ensemble"):
        runs = demo.averaged(group)
        assert demo.ensemble_weights(group) == [demo.weights(run, "refit") for run in runs]
        assert demo.scoring_weights(group, "test") == demo.ensemble_weights(group)
        finetuned = [demo.weights(run, "finetuned") for run in runs]
        assert demo.scoring_weights(group, "validation") == finetuned
    # Models that teach are as validation judged them.
    teaching = [demo.weights(run, "finetuned") for i in (1, 0) for run in demo.runs(i)]
    for part in ("validation", "test"):
        assert demo.scoring_weights("em/iteration-1/ensemble", part) == teaching
    config["ensemble"]["refit"] = False
    demo = experiments_of(config)["demo"]
    assert demo.ensemble_weights("ensemble") == demo.validated_weights("ensemble")


@pytest.mark.parametrize(
    "ensemble",
    [{"refit": False}, {"weights": "equal"}, {"join": "geometric"}, {"shifts": [0, 2]}],
)
def test_a_teacher_does_not_depend_on_what_is_joined_in_the_end_and_how(config, ensemble):
    experiments = experiments_of(ablation(config, varied={"ensemble": ensemble}))
    default, varied = experiments["x.demo.default.0"], experiments["x.demo.varied.0"]
    assert varied.selected(1, "json") == default.selected(1, "json")
    assert varied.pseudo_labels(2) == default.pseudo_labels(2)
    assert varied.ensemble("ensemble") != default.ensemble("ensemble")
    assert varied.scores("ensemble", "test") != default.scores("ensemble", "test")


VARIATIONS = {
    # What a variation has to train again, of 35 weights; the rest is the default's.
    "threshold": ({"em": {"threshold": {"share": 0.5}}}, "em/iteration-[12]"),
    "fine-tuning": ({"training": {"finetune": {"epochs": 3}}}, "em/iteration-[12]|finetuned|refit"),
    "pooling": (
        {"training": {"video_loss": "linear_softmax"}},
        "em/iteration-0/logistic/|em/iteration-[12]|controls",
    ),
    "one model": ({"models": {"bigru": {"hidden": 8}}}, "bigru"),
    "ensemble": ({"ensemble": {"weights": "equal"}}, "nothing"),
}


@pytest.mark.parametrize("name", VARIATIONS)
def test_a_variation_makes_only_what_its_settings_decide(config, name):
    overlay, trained = VARIATIONS[name]
    experiments = experiments_of(ablation(config, varied=overlay))
    default, varied = experiments["x.demo.default.0"], experiments["x.demo.varied.0"]
    assert own(default, weights(default)) == weights(default)
    wanted = [file for file in weights(varied) if re.search(trained, file)]
    assert own(varied, weights(varied)) == wanted
    assert set(weights(varied)) - set(wanted) <= set(weights(default))


def test_labels_thresholded_otherwise_come_from_the_same_scores(config):
    experiments = experiments_of(ablation(config, varied={"em": {"threshold": {"share": 0.5}}}))
    default, varied = experiments["x.demo.default.0"], experiments["x.demo.varied.0"]
    assert varied.pseudo_labels(1) == default.pseudo_labels(1)
    assert varied.label_set(1, "video_prior") != default.label_set(1, "video_prior")
    assert varied.pseudo_labels(2) != default.pseudo_labels(2)  # another F estimates them


def test_experiments_under_one_name_of_data_must_agree_on_it(config):
    other = {"data": {"simulation": {"noise": 2.0}}}
    with pytest.raises(ConfigError, match=r"x\.demo\.varied\.0: .*data.name: 'simulated-0'"):
        experiments_of(ablation(config, varied=other))


def test_experiments_under_one_name_of_data_must_agree_on_its_classes(config, tmp_path):
    data = {split: [f"{tmp_path}/{split}.h5"] for split in ("train", "segments", "test")}
    for path, *_ in data.values():
        Path(path).touch()
    for name in ("all", "some"):
        (tmp_path / f"{name}.csv").write_text("Index\n3\n")
        data["segment_classes"] = f"{tmp_path}/{name}.csv"
    config["data"] |= data | {"name": "own"}
    other = {"data": {"segment_classes": f"{tmp_path}/all.csv"}}
    with pytest.raises(ConfigError, match=r"x\.demo\.varied\.0: .*data.name: 'own'"):
        experiments_of(ablation(config, varied=other))


def test_two_experiments_of_one_name_are_refused(config):
    changes = {"data": {"y.z": None, "y": None}, "variations": {"z.a": None, "a": None}}
    config |= {"experiment": "x", "ablation": changes | {"seeds": [0]}}
    with pytest.raises(ConfigError, match=r"two experiments are named 'x\.y\.z\.a\.0'"):
        experiments_of(config)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("data: {", "is not YAML: while parsing"),
        ("- data", "holds no keys with values"),
        (b"\xff\xfe\xfd", "is not YAML"),
    ],
)
def test_an_overlay_that_is_none_is_told_by_its_path(config, tmp_path, text, expected):
    path = tmp_path / "overlay.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError, match=rf"ablation\.data: {path} {expected}"):
        experiments_of(ablation(config, data={"demo": str(path)}))


def test_an_overlay_of_comments_alone_changes_nothing(config, tmp_path):
    path = tmp_path / "overlay.yaml"
    path.write_text("# nothing yet\n")
    found = experiments_of(ablation(config, data={"demo": str(path)}))
    assert found["x.demo.default.0"].config["em"] == config["em"]


@pytest.mark.parametrize("stage", ["pretrained", "finetuned"])
def test_the_first_model_is_chosen_among_weights_of_the_stage_that_is_asked_for(config, stage):
    config["em"]["initial_stage"] = stage
    (experiment,) = experiments_of(config).values()
    assert {Path(path).stem for path in experiment.candidates(0)} == {stage}
    assert {Path(path).stem for path in experiment.candidates(1)} == {"finetuned"}


def test_a_mistake_in_a_variation_is_told_with_its_name(config):
    with pytest.raises(ConfigError, match=r"x\.demo\.wrong\.0: config: trainig: unknown key"):
        experiments_of(ablation(config, wrong={"trainig": {}}))


@pytest.mark.parametrize(
    ("overlay", "where"),
    [
        ({"data": None}, r"data: None"),
        ({"data": "records"}, r"data: 'records'"),
        ({"data": {"simulation": None}}, r"data\.simulation: None"),
        ({"data": {"name": None}}, r"data\.name: None"),
        ({"data": {"name": 5}}, r"data\.name: 5"),
    ],
)
@pytest.mark.parametrize("of_data", [True, False])
def test_an_overlay_with_an_empty_section_is_told_by_its_key(config, overlay, where, of_data):
    given = {"data": {"x": overlay}} if of_data else {"x": overlay}
    with pytest.raises(ConfigError, match=where):
        experiments_of(ablation(config, **given))


def test_a_missing_overlay_is_told_by_its_path(config):
    with pytest.raises(ConfigError, match=r"ablation\.data: no file 'configs/none\.yaml'"):
        experiments_of(ablation(config, data={"none": "configs/none.yaml"}))


def test_the_configuration_given_is_left_as_it_is(config):
    given = ablation(config, varied={"em": {"threshold": {"share": 0.5}}})
    before = copy.deepcopy(given)
    experiments_of(given)
    assert given == before


def test_a_calibration_thresholds_anew_what_the_same_inference_stored(config):
    experiments = experiments_of(ablation(config, varied={"em": {"calibration": "class"}}))
    default, varied = experiments["x.demo.default.0"], experiments["x.demo.varied.0"]
    assert default.calibration(1) == []
    assert varied.calibration(1) == [f"{varied.folder}/em/iteration-1/calibration.json"]
    assert varied.pseudo_labels(1) == default.pseudo_labels(1)
    assert varied.label_set(1, "video_prior") != default.label_set(1, "video_prior")


def test_a_teacher_is_the_mean_of_what_taught_before_and_of_the_members_since(config):
    models = ("bigru", "nextvlad", "bigru")
    config["em"]["iterations"] = [[f"{model}@video_prior"] for model in models]
    demo = experiments_of(config)["demo"]
    assert demo.teacher(3) == "results/demo/em/iteration-2/selected.json"
    for i in (1, 2, 3):
        before = [run for j in range(i) for run in demo.runs(j)]
        assert demo.teacher_weights(i) == [demo.weights(run, "finetuned") for run in before]
    assert demo.mean_teacher(0) == []
    assert demo.mean_teacher(2)[0] == "results/demo/em/iteration-2/ensemble/members.json"
    assert demo.joined_before("em/iteration-2/ensemble") == [demo.selected(1, "json")]
    assert demo.joined_before("ensemble") == []
    assert demo.teachers() == [f"em/iteration-{i}/ensemble" for i in (1, 2, 3)]
    code = [f"models/{name}.py" for name in ("bigru", "logistic", "nextvlad")]
    assert demo.ensemble_code("em/iteration-2/ensemble") == code


def test_a_teacher_may_join_the_ensemble_and_f_of_iteration_0_its_controls(config):
    config["ensemble"]["members"] = "with_teacher"
    demo = experiments_of(config)["demo"]
    assert demo.joined_before("ensemble") == [demo.selected(1, "json")]
    assert demo.joined_before("controls/ensemble") == [demo.selected(0, "json")]
    assert demo.taken_over("ensemble") == [*demo.runs(0), *demo.runs(1)]
    assert demo.taken_over("controls/ensemble") == demo.runs(0)
    # All of them are fine-tuned again, in place of what validation judged.
    joins = json.loads(demo.weighing("ensemble"))["joins"]
    runs = [*demo.runs(2), *demo.runs(0), *demo.runs(1)]
    assert joins == {demo.weights(r, "finetuned"): demo.weights(r, "refit") for r in runs}
    assert set(joins.values()) < set(demo.all_weights())
    config["em"]["iterations"] = []
    config["em"]["initial_stage"] = "pretrained"
    demo = experiments_of(config)["demo"]
    assert demo.joined_before("ensemble") == demo.taken_over("ensemble") == []


def test_what_joins_stands_in_for_the_stage_that_taught(config):
    config["ensemble"]["members"] = "with_teacher"
    config["em"]["initial_stage"] = "pretrained"
    demo = experiments_of(config)["demo"]
    joins = json.loads(demo.weighing("controls/ensemble"))["joins"]
    for run in demo.runs(0):
        assert joins[demo.weights(run, "pretrained")] == demo.weights(run, "refit")


def test_where_each_iteration_starts_anew_its_members_alone_teach(config):
    config["em"]["select"] = "iteration"
    demo = experiments_of(config)["demo"]
    own = [demo.weights(run, "finetuned") for run in demo.runs(1)]
    assert demo.teacher_weights(2) == own
    assert demo.joined_before("em/iteration-1/ensemble") == []
    assert demo.ensemble_code("em/iteration-1/ensemble") == ["models/transformer.py"]


def test_where_f_teaches_no_mean_is_made(config):
    config["em"]["teacher"] = "best"
    demo = experiments_of(config)["demo"]
    before = [*demo.runs(0), *demo.runs(1)]
    assert demo.teacher_weights(2) == [demo.weights(run, "finetuned") for run in before]
    assert demo.mean_teacher(1) == demo.teachers() == []
    assert not any("iteration-1/ensemble" in file for file in demo.table_inputs())


def test_an_ensemble_of_any_iteration_may_hold_earlier_selves_alone(config):
    config["ensemble"]["members"] = "any"
    demo = experiments_of(config)["demo"]
    assert demo.standing_in("ensemble") == demo.runs(1)
    assert demo.standing_in("controls/ensemble") == []


@pytest.mark.parametrize("asked", [True, False])
def test_without_a_submission_nothing_asks_for_one(config, asked):
    config["evaluation"]["submission"] = asked
    demo = experiments_of(config)["demo"]
    wanted = [*demo.submission(), *reporting.told(demo)]
    assert any("submission" in file for file in wanted) == asked


def varied(config, **changes):
    """The default and a variation of it."""
    experiments = experiments_of(ablation(config, varied=changes))
    return experiments["x.demo.default.0"], experiments["x.demo.varied.0"]


def test_f_of_before_stays_in_the_running_only_where_it_is_so_configured(config):
    so_far, last = varied(config, em={"select": "iteration"})
    f_of_1 = [so_far.selected(1, ending) for ending in ("json", "safetensors", "ratings.csv")]
    assert so_far.f_of_before(2) == f_of_1
    assert last.f_of_before(2) == so_far.f_of_before(0) == []
    assert last.selected(0, "json") == so_far.selected(0, "json")
    assert last.selected(1, "json") != so_far.selected(1, "json")


def test_an_ensemble_of_any_iteration_is_not_that_of_the_last(config):
    last, any_of_them = varied(config, ensemble={"members": "any"})
    assert any_of_them.ensemble("ensemble") != last.ensemble("ensemble")
    assert any_of_them.ensemble("controls/ensemble") == last.ensemble("controls/ensemble")


def test_a_calibration_is_of_the_teacher_of_its_iteration(config):
    config["em"]["calibration"] = "class"
    one, other = varied(config, em={"threshold": {"share": 0.5}})
    assert one.calibration(1) == other.calibration(1)
    assert one.calibration(2) != other.calibration(2)


def test_new_videos_are_named_to_their_job_as_they_were_checked(config, tmp_path, monkeypatch):
    """The job gets patterns, which no shell expands, and none may look like an option."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in ("new1.h5", "-new.h5"):
        (tmp_path / name).touch()
    config["localise"] = {"records": ["~/new*.h5", "-new.h5"]}
    demo = experiments_of(config)["demo"]
    assert demo.new_record_patterns() == [f"{tmp_path}/new*.h5", f"{tmp_path}/-new.h5"]
    assert matching(demo.new_record_patterns()[0]) == [f"{tmp_path}/new1.h5"]


def own_records(config, folder):
    """Configure records that are no one's simulation, and have no seed."""
    for split in ("train", "segments", "test"):
        (folder / f"{split}.tfrecord").touch()
        config["data"][split] = str(folder / f"{split}.tfrecord")
    (folder / "classes.csv").write_text("Index\n3\n")
    config["data"]["segment_classes"] = str(folder / "classes.csv")


def test_an_ablation_does_not_lean_on_the_run_that_is_configured_beside_it(config, tmp_path):
    """On records of one's own, which have no seed, the default equals it."""
    own_records(config, tmp_path)
    default, _ = varied(config, em={"labels": "soft"})
    assert own(default, weights(default)) == weights(default)
    endings = ("json", "safetensors", "ratings.csv")
    selected = [default.selected(i, end) for i in range(3) for end in endings]
    assert own(default, selected) == selected


def test_what_one_job_selects_lies_in_one_folder(config, tmp_path):
    """Also where the configured run asks for weights of which a variation asked for the JSON."""
    own_records(config, tmp_path)
    found = experiments_of(ablation(config, other={"em": {"labels": "soft"}}, data={"mine": None}))
    main = next(iter(found.values()))
    assert main.selected(2, "json").removesuffix("json") == main.selected(
        2, "safetensors"
    ).removesuffix("safetensors")
