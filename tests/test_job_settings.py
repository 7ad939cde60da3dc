"""Which settings each kind of job is given: all that decide it, and no others."""

import json
from pathlib import Path

import pytest
import yaml
from variations import experiments_of

ROOT = Path(__file__).parent.parent


@pytest.fixture
def config(monkeypatch):
    monkeypatch.chdir(ROOT)
    return yaml.safe_load((ROOT / "config.yaml").read_text())


def jobs(config):
    """{kind of job: the text that it is given} of the demo."""
    settings = experiments_of(config)["demo"].settings
    run = "em/iteration-1/transformer_early@video_prior"
    return {
        "pretrain": settings.pretrain("em/iteration-0/logistic"),
        "maximise": settings.maximise(run),
        "finetune": settings.finetune(run),
        "refit": settings.finetune(run, again=True),
        "validation": settings.evaluation("validation"),
        "test": settings.evaluation("test"),
        "estimation": settings.estimation(),
        "scoring": settings.scoring(),
        "description": settings.description(),
        "first selection": settings.selection(0),
        "selection": settings.selection(1),
        "threshold": settings.threshold("video_prior"),
        "calibration": settings.calibration(),
        "ensemble": settings.ensemble(["a"]),
        "preflight": settings.preflight(False),
    }


TUNED = {"finetune", "refit"}
TRAINED = {"pretrain", "maximise"} | TUNED
SCORED = {"validation", "test", "estimation", "scoring", "description"}
BOOTSTRAPPED = {"validation", "test", "first selection", "selection", "ensemble"}
DECIDED = {
    # setting: (another value, the jobs that it decides)
    "training.pretrain.learning_rate_factor": (0.5, {"pretrain"}),
    "training.m_step.learning_rate_factor": (0.5, {"maximise"}),
    "training.m_step.average_epochs": (2, {"maximise"}),
    "training.finetune.epochs": (3, TUNED),
    "training.finetune.unrated_negatives": (0.5, TUNED | {"preflight"}),
    "training.precision": ("float32", TRAINED | SCORED),
    "training.clip_norm": (0.5, TRAINED),
    "training.least_steps": (50, TRAINED),
    "training.video_loss": ("attention", {"pretrain"}),
    "data.validation_fraction": (0.4, {"finetune", "validation", "preflight"}),
    "em.initial_stage": ("pretrained", {"first selection"}),
    "em.agreement": (True, {"maximise"}),
    "em.labels": ("soft", {"maximise"}),
    "em.keep.floor": (0.1, {"estimation", "threshold"}),
    "evaluation.criterion": ("map", {"first selection", "selection", "ensemble"}),
    "evaluation.bootstrap_replicates": (100, BOOTSTRAPPED),
    "seed": (5, TRAINED | BOOTSTRAPPED),
}


@pytest.mark.parametrize("setting", DECIDED)
def test_a_setting_is_given_to_the_jobs_that_it_decides_and_to_no_others(config, setting):
    value, expected = DECIDED[setting]
    before = jobs(config)
    *groups, key = setting.split(".")
    place = config
    for group in groups:
        place = place[group]
    place[key] = value
    after = jobs(config)
    assert {kind for kind in before if before[kind] != after[kind]} == expected


def test_each_run_stage_and_seed_draws_numbers_of_its_own(config):
    members = ["em/iteration-1/bigru@video_prior", "em/iteration-2/bigru@video_prior"]
    seeds = set()
    for seed in (0, 1):
        settings = experiments_of(config | {"seed": seed})["demo"].settings
        texts = [settings.maximise(run) for run in members]
        texts += [settings.pretrain("controls/bigru")]
        texts += [settings.finetune(run) for run in [*members, "controls/bigru"]]
        seeds |= {json.loads(text)["seed"] for text in texts}
    assert len(seeds) == 2 * 6
