"""A dry run of the paper at full scale, over empty files of the official names."""

import re

import pytest
from workflow_runs import ROOT, snakemake

pytestmark = pytest.mark.slow

FILES = 3844


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """{rule: number of jobs} of configs/yt8m.yaml."""
    folder = tmp_path_factory.mktemp("full")
    for split in ("train", "validate", "test"):
        (folder / "data/yt8m" / split).mkdir(parents=True)
        for number in range(FILES):
            (folder / f"data/yt8m/{split}/{split}{number:04d}.tfrecord").touch()
    (folder / "data/yt8m/segment_label_ids.csv").write_text("Index\n3\n7\n")
    (folder / "data/yt8m/vocabulary.csv").write_text("Index,Name\n3,Game\n7,Vehicle\n")
    done = snakemake(folder, "--dry-run", configs=[ROOT / "configs/yt8m.yaml"])
    assert done.returncode == 0, done.stdout[-3000:]
    stats = done.stdout.split("Job stats:")[1].split("total")[0]
    return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", stats, re.M)}


def test_the_right_jobs_are_planned(plan):
    chunks, members, controls, iterations = 128, 1 + 2 + 4, 4, 2
    assert plan == {
        "index": 3 * chunks,
        "check_splits": 1,
        "preflight": 1,
        "pretrain": 1 + controls,
        "estimate": iterations * chunks,
        "threshold": iterations * 2,
        "maximise": 2 + 4,
        "finetune": members + controls,
        "validate": members + controls,
        "test": members + controls,
        "select": 1 + iterations,
        "weigh": 2,
        "describe_ensemble": 1,
        "evaluate_ensemble": 4,
        "predict": chunks,
        "submission": 1,
        "localisations": 1,
        "tabulate": 1,
        "inspect_labels": iterations,
        "choose_videos": 1,
        "replay": 1 + iterations + 1,
        "figures": 1,
        "report": 1,
        "all": 1,
    }
