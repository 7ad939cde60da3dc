"""The whole workflow through profiles/slurm on a real SLURM of one node with two pretended GPUs."""

import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from workflow_runs import ROOT, TINY, snakemake

sys.path.insert(0, str(ROOT / "tests/slurm"))
import cluster

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(cluster.obstacle() is not None, reason=f"SLURM: {cluster.obstacle()}"),
]
# Fewer jobs than tiny.yaml has, of every kind that it has.
SHORTER = [
    "--config",
    "em={iterations: [[transformer_early@video_prior, nextvlad@label_corrected]]}",
    "controls=false",
]
# What a test needs beside the profile: no waiting for a network that is not there.
OVERLAY = [
    *("--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "2"),
    *("--latency-wait", "10", "--slurm-no-account"),
]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    with cluster.running(tmp_path_factory.mktemp("slurm")) as environment:
        yield environment


@pytest.fixture(scope="module")
def local_results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("local")
    run = snakemake(folder, *SHORTER)
    assert run.returncode == 0, run.stdout
    return folder / "results/tiny"


def submit(folder, environment, *arguments):
    """The workflow on the cluster, in the background; its output goes to folder/run.log."""
    binaries = Path(sys.executable).parent
    with open(folder / "run.log", "w") as log:
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")),
                *("--workflow-profile", str(ROOT / "profiles/slurm"), "--directory", str(folder)),
                *("--configfile", str(TINY), *OVERLAY, *SHORTER, *arguments),
            ],
            env=environment | {"PATH": f"{binaries}{os.pathsep}{environment['PATH']}"},
            stdout=log,
            stderr=subprocess.STDOUT,
        )


class Watcher(threading.Thread):
    """Notes, twice a second, which jobs hold which GPUs."""

    def __init__(self, environment):
        super().__init__(daemon=True)
        self.environment, self.seen, self.over = environment, [], threading.Event()

    def run(self):
        while not self.over.wait(0.5):
            self.seen.append(holders(self.environment))


def scontrol(environment, *arguments):
    return subprocess.run(
        ["scontrol", *arguments], env=environment, capture_output=True, text=True
    ).stdout


def holders(environment):
    """{job: its GPUs} of the jobs that run now."""
    found = {}
    for job in scontrol(environment, "show", "job", "-d", "-o").splitlines():
        if "JobState=RUNNING" in job and (index := re.search(r"GRES=gpu\S*\(IDX:([\d,-]+)\)", job)):
            found[re.search(r"JobId=(\d+)", job)[1]] = index[1]
    return found


def equal_results(local, cluster_results):
    for name in ("table.csv", "submission.csv"):
        assert (cluster_results / name).read_bytes() == (local / name).read_bytes(), name


def test_the_cluster_gives_the_local_results_and_no_two_jobs_share_a_gpu(
    slurm, local_results, tmp_path
):
    watcher = Watcher(slurm)
    watcher.start()
    run = submit(tmp_path, slurm)
    assert run.wait() == 0, (tmp_path / "run.log").read_text()
    watcher.over.set()
    equal_results(local_results, tmp_path / "results/tiny")
    assert max(len(jobs) for jobs in watcher.seen) == 2
    for jobs in watcher.seen:
        assert len(set(jobs.values())) == len(jobs), jobs


def test_a_job_that_is_requeued_in_training_resumes_to_the_same_results(
    slurm, local_results, tmp_path
):
    # Long enough to be caught in the middle.
    longer = "training={m_step: {epochs: 600}}"
    expected = tmp_path / "undisturbed"
    expected.mkdir()
    assert snakemake(expected, *SHORTER, longer).returncode == 0
    folder = tmp_path / "preempted"
    folder.mkdir()
    run = submit(folder, slurm, longer)
    job = training_job(slurm, folder, run)
    scontrol(slurm, "requeue", job)
    assert run.wait() == 0, (folder / "run.log").read_text()
    equal_results(expected / "results/tiny", folder / "results/tiny")
    logs = "".join(path.read_text() for path in folder.rglob("maximise.log"))
    assert "going on after step" in logs


def training_job(environment, folder, run):
    """The number of a job that is in the middle of an M-step."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and run.poll() is None:
        for log in folder.rglob("maximise.log"):
            if "epoch" in log.read_text():
                name = log.parent.name.replace("@", "_")
                for job in scontrol(environment, "show", "job", "-o").splitlines():
                    if "JobState=RUNNING" in job and "maximise" in job and name in job:
                        return re.search(r"JobId=(\d+)", job)[1]
        time.sleep(0.2)
    raise AssertionError((folder / "run.log").read_text())


def test_a_job_over_its_memory_is_tried_again_with_more(slurm, local_results, tmp_path):
    # A job that trains holds some hundreds of MB: too much for the first try.
    little = "compute={memory_mb: {train: 150}}"
    run = submit(tmp_path, slurm, little, "--retries", "3")
    assert run.wait() == 0, (tmp_path / "run.log").read_text()
    equal_results(local_results, tmp_path / "results/tiny")
    assert "Trying to restart job" in (tmp_path / "run.log").read_text()
    asked = {
        int(job["mem"])
        for job in map(described, scontrol(slurm, "show", "job", "-o").splitlines())
        if job["rule"] == "pretrain"
    }
    assert len(asked) > 1
    assert max(asked) >= 2 * min(asked)


def described(job):
    """Rule and MB of a job, from a line of scontrol; mem is 0 where SLURM states none."""
    rule = re.search(r"Comment=rule_(\w+?)(_wildcards|\s)", job)
    memory = re.search(r"(?:MinMemoryNode|mem)=(\d+)M", job)
    return {"rule": rule[1] if rule else "", "mem": memory[1] if memory else 0}
