"""Runs by the paper's settings, and by other options that the default run does not use."""

import json

import pandas as pd
import pytest
import yaml
from workflow_runs import ROOT, TINY, snakemake

from segment_em import ensemble

pytestmark = pytest.mark.docs

ITERATIONS = [["logistic@video_prior"], ["logistic@video_prior", "logistic@label_corrected"]]
DELTA = 0.3  # of .9, which tiny data have no label above
OTHERS = {
    "training": {
        "video_loss": "attention",
        "m_step": {"average_epochs": 1},
        "finetune": {"unrated_negatives": 1.0},
    },
    "em": {
        "initial_stage": "pretrained",
        "calibration": "class",
        "threshold": {"rule": "fixed_or_share", "delta": 0.5, "share": 0.3},
        "labels": "soft",
        "agreement": True,
    },
    "ensemble": {"members": "any", "join": "geometric", "shifts": [0, 2], "video_filter": 0.5},
}


def papers_settings():
    """Those of configs/demo-faithful.yaml, with models and a δ for tiny data."""
    settings = yaml.safe_load((ROOT / "configs/demo-faithful.yaml").read_text())
    del settings["experiment"]
    settings["em"] |= {"iterations": ITERATIONS, "threshold": {"rule": "fixed", "delta": DELTA}}
    for stage in ("pretrain", "m_step", "finetune"):
        settings["training"][stage]["epochs"] = 2
    return settings


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The results of both, as variations of one ablation."""
    folder = tmp_path_factory.mktemp("options")
    tiny = yaml.safe_load(TINY.read_text())
    tiny["em"] = {"initial": "logistic", "iterations": ITERATIONS}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(tiny | {"experiment": "data"}))
    variations = {"paper": papers_settings(), "others": OTHERS}
    ablation = {"data": {"tiny": "tiny.yaml"}, "variations": variations, "seeds": [1]}
    (folder / "x.yaml").write_text(yaml.safe_dump({"experiment": "x", "ablation": ablation}))
    localised = "results/x.tiny.others.1/localisations.csv"
    done = snakemake(folder, "--", "ablation", localised, configs=[folder / "x.yaml"])
    assert done.returncode == 0, done.stdout[-4000:]
    return folder / "results"


def read(path):
    return json.loads(path.read_text())


def settings_of(path):
    return read(path)["stamp"]["config"]


def test_by_the_papers_settings_f_of_the_last_iteration_estimates_alone(finished):
    of_run = finished / "x.tiny.paper.1"
    for i, members in enumerate([["logistic"], *ITERATIONS]):
        folder = of_run / f"em/iteration-{i}"
        results = {name: read(folder / name / "validation.json")["results"] for name in members}
        best = max(members, key=lambda name: results[name]["finetuned"]["map"])
        ((teacher, _),) = ensemble.read(folder / "selected.json").members
        assert teacher.relative_to(folder).as_posix() == f"{best}/finetuned.safetensors"
        assert read(folder / "selected.json")["by"] == "validation_map"
    tables = list(of_run.glob("em/*/label_sets/*.csv"))
    assert len(tables) == 3
    assert all((pd.read_csv(table)["threshold"] == DELTA).all() for table in tables)


def test_by_the_papers_settings_the_ensemble_is_a_plain_mean_of_what_was_validated(finished):
    of_run = finished / "x.tiny.paper.1"
    joined = ensemble.read(of_run / "ensemble/members.json")
    assert {file.stem for file, _ in joined.members} == {"finetuned"}
    assert len({weight for _, weight in joined.members}) == 1
    assert not list(of_run.rglob("refit.*"))
    assert not list(of_run.glob("em/*/ensemble"))


def test_the_other_options_together_reach_the_localisations(finished):
    of_run = finished / "x.tiny.others.1"
    (first, _), *_ = ensemble.read(of_run / "em/iteration-0/selected.json").members
    assert first.stem == "pretrained"
    for i in (1, 2):
        calibration = read(of_run / f"em/iteration-{i}/calibration.json")
        assert (calibration["kind"], calibration["slope"] > 0) == ("class", True)
    trained = settings_of(of_run / "em/iteration-2/logistic@label_corrected/pretrained.json")
    taken = {"labels": "soft", "agreement": True, "average_epochs": 1}
    assert trained.items() >= taken.items()
    assert settings_of(of_run / "em/iteration-0/logistic/finetuned.json")["unrated_negatives"] == 1
    joined = ensemble.read(of_run / "ensemble/members.json")
    assert (joined.join, joined.video_filter, tuple(joined.shifts)) == ("geometric", 0.5, (0, 2))
    assert (of_run / "localisations.csv").exists()
    runs = pd.read_csv(finished / "x/ablation/runs.csv").set_index("variation")
    assert runs.loc[["paper", "others"], ["ensemble", "controls"]].notna().all(axis=None)
