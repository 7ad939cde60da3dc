"""What a run prints on the screen."""

import re

import pytest
import yaml
from workflow_runs import ROOT, snakemake

pytestmark = pytest.mark.slow

TARGETS = ("--", "results/data/tiny/vocabulary.csv", "results/index/tiny/test/000.h5")


def test_a_job_has_a_line_with_its_message_and_one_when_it_is_done(tmp_path):
    said = snakemake(tmp_path, *TARGETS).stdout
    jobs = re.findall(r"^\d\d:\d\d:\d\d (.*)$", said, re.MULTILINE)
    assert sorted(jobs) == [
        "Index test records, chunk 000",
        "Simulate YouTube-8M: test records",
        "Simulate YouTube-8M: the vocabulary",
    ]
    assert re.findall(r"^(\d) of 3 steps", said, re.MULTILINE) == ["1", "2", "3"]
    for noise in ("Reason:", "Finished jobid", "Select jobs", "Execute "):
        assert noise not in said


def test_why_jobs_run_is_told_if_asked(tmp_path):
    said = snakemake(tmp_path, "--dry-run", "--quiet", "host", *TARGETS).stdout
    assert said.count("Reason: ") == 3


def test_what_a_failed_job_said_last_stands_near_the_end(tmp_path):
    files = {name: f"{name}.tfrecord" for name in ("train", "segments", "test")}
    for name in files.values():
        (tmp_path / name).write_bytes(b"no record, but longer than the header of one")
    (tmp_path / "classes.csv").write_text("Index\n3\n")
    data = yaml.safe_dump({**files, "segment_classes": "classes.csv"}, default_flow_style=True)
    preflight = ("--", "results/tiny/preflight.csv")
    failed = snakemake(tmp_path, "--cores", "1", "--config", f"data={data}", *preflight)
    assert failed.returncode == 1
    (last,) = (line for line in failed.stdout.splitlines()[-8:] if ".log: " in line)
    told = (
        r"results/index/tiny/\w+/\d+\.log: error: \w+\.tfrecord: record 0 .*: fetch the file again"
    )
    assert re.fullmatch(told, last)


@pytest.mark.parametrize("profile", ["default", "slurm"])
def test_every_profile_asks_for_it(profile):
    asked = yaml.safe_load((ROOT / "profiles" / profile / "config.yaml").read_text())
    assert asked["quiet"] == ["host", "reason"]
