"""An ablation on tiny data: shared results are those that an experiment of its own would have."""

import re
import shutil

import pandas as pd
import pytest
import yaml
from workflow_runs import TINY, snakemake

from segment_em import ensemble

pytestmark = pytest.mark.slow

SHORT = {"initial": "logistic", "iterations": [["logistic@video_prior"]]}
VARIED = {"em": {"threshold": {"share": 0.6}}}


def written(folder, name, **settings):
    tiny = yaml.safe_load(TINY.read_text())
    path = folder / f"{name}.yaml"
    path.write_text(
        yaml.safe_dump(tiny | {"em": SHORT, "experiment": name} | settings, sort_keys=False)
    )
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with the results of four variations."""
    folder = tmp_path_factory.mktemp("ablation")
    variations = {"default": None, "share": VARIED, "same": {"models": {"bigru": {"hidden": 3}}}}
    variations["taught"] = {"ensemble": {"members": "with_teacher"}}
    data = written(folder, "data")
    ablation = {"data": {"tiny": str(data)}, "variations": variations, "seeds": [1]}
    config = written(folder, "x", ablation=ablation)
    done = snakemake(folder, "--", "ablation", configs=[config])
    assert done.returncode == 0, done.stdout[-4000:]
    return folder, done.stdout


def test_every_experiment_has_its_row_and_each_variation_its_difference(finished):
    folder, _ = finished
    runs = pd.read_csv(folder / "results/x/ablation/runs.csv")
    assert runs["variation"].tolist() == ["default", "share", "same", "taught"]
    table = pd.read_csv(folder / "results/x.tiny.share.1/table.csv")
    ensemble = table.loc[table["kind"] == "ensemble", "test_map"].item()
    assert runs.loc[runs["variation"] == "share", "ensemble"].item() == pytest.approx(ensemble)
    differences = pd.read_csv(folder / "results/x/ablation/differences.csv")
    of_ensembles = {"ensemble - controls", "ensemble - default"}
    assert set(differences["difference"]) == of_ensembles | {"T1 - T0", "T1 - F1"}
    # No iteration names the BiGRU, so this variation is the default under another name.
    same = differences[differences["difference"] == "ensemble - default"].set_index("variation")
    assert same.loc["same", ["mean", "se"]].abs().max(axis=None) == 0


def test_the_teacher_joins_the_members_and_the_controls_fine_tuned_again(finished):
    folder, _ = finished
    of_run = folder / "results/x.tiny.taught.1"
    first = of_run / "em/iteration-0/logistic/refit.safetensors"
    for group, own in (("ensemble", "logistic@video_prior"), ("controls/ensemble", "logistic")):
        files = [path for path, _ in ensemble.read(of_run / group / "members.json").members]
        assert files[0] == first
        assert [(path.parent.name, path.name) for path in files[1:]] == [(own, "refit.safetensors")]
        # Validation judged the models that have not seen its ratings.
        judged = ensemble.read(of_run / group / "members.json", validated=True).members
        assert {path.name for path, _ in judged} == {"finetuned.safetensors"}


def test_a_variation_may_compute_otherwise(tmp_path):
    variations = {"default": None, "big": VARIED | {"compute": {"threads": 2}}}
    ablation = {"data": {"tiny": None}, "variations": variations, "seeds": [1]}
    done = snakemake(
        *(tmp_path, "--dry-run", "--printshellcmds", "--", "ablation"),
        configs=[written(tmp_path, "x", ablation=ablation)],
    )
    assert done.returncode == 0, done.stdout[-4000:]
    threads = re.findall(r"maximise\.py .* --threads (\d)", done.stdout)
    assert sorted(threads) == ["1", "2"]


def test_a_variation_adds_its_own_jobs_alone(finished):
    folder, log = finished
    counts = dict(re.findall(r"^(\w+) +(\d+)$", log, re.M))
    # The logistic model and its control; the M-step of the default and of `share`.
    assert (int(counts["pretrain"]), int(counts["maximise"])) == (2, 2)
    # Each that trains looks first at what it is going to train on, also where it shares
    # pretraining: the default, `share`, and `taught`, which fine-tunes again what joins besides.
    assert int(counts["preflight"]) == 3
    chunks = list((folder / "results/index/tiny-1/train").glob("*.h5"))
    assert int(counts["estimate"]) == len(chunks)  # whatever the threshold


@pytest.mark.reruns
def test_what_is_shared_equals_a_run_of_its_own(finished, tmp_path):
    folder, _ = finished
    shutil.copytree(folder / "results/data", tmp_path / "results/data")
    shutil.copytree(folder / "results/index", tmp_path / "results/index")
    data = yaml.safe_load(TINY.read_text())["data"]
    data["name"], data["simulation"]["seed"] = "tiny-1", 1
    alone = written(tmp_path, "alone", seed=1, data=data)
    config = yaml.safe_load(alone.read_text())
    config["em"] = SHORT | VARIED["em"]
    # The order of the features means something: the first counts the frames.
    alone.write_text(yaml.safe_dump(config, sort_keys=False))
    done = snakemake(tmp_path, "--", "results/alone/table.csv", configs=[alone])
    assert done.returncode == 0, done.stdout[-4000:]
    shared = folder / "results/x.tiny.share.1/table.csv"
    assert shared.read_bytes() == (tmp_path / "results/alone/table.csv").read_bytes()
