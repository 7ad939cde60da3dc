"""The whole workflow through profiles/slurm on a real SLURM of one node with two pretended GPUs."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import left_behind
import pytest
import waiting
from workflow_runs import ROOT, TINY, snakemake

sys.path.insert(0, str(ROOT / "tests/slurm"))
import cluster

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(cluster.obstacle() is not None, reason=f"SLURM: {cluster.obstacle()}"),
]
CONFIGURATION = [str(TINY), str(ROOT / "tests/workflow/slurm.yaml")]
# What a test needs beside the profile: no waiting for a network that is not there.
OVERLAY = [
    *("--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "1"),
    *("--latency-wait", "10", "--slurm-no-account"),
]
TRAINED = "results/tiny/em/iteration-1/transformer_early@video_prior"
FIRST = "results/tiny/em/iteration-0/logistic/pretrained.safetensors"
SECONDS_TO_START = 1800  # four minutes or five, most of them the executor's


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    with cluster.running(tmp_path_factory.mktemp("slurm")) as environment:
        yield environment


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """The folder of the same run on this machine alone."""
    folder = tmp_path_factory.mktemp("local")
    run = snakemake(folder, configs=CONFIGURATION)
    assert run.returncode == 0, run.stdout[-4000:]
    return folder


def submit(folder, environment, *arguments):
    """The workflow on the cluster, in the background; its output goes to folder/run.log."""
    binaries = Path(sys.executable).parent
    with open(folder / "run.log", "w") as log:
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")),
                *("--workflow-profile", str(ROOT / "profiles/slurm"), "--directory", str(folder)),
                *("--configfile", *CONFIGURATION, *OVERLAY, *arguments),
            ],
            env=environment | {"PATH": f"{binaries}{os.pathsep}{environment['PATH']}"},
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def finish(run, folder):
    assert run.wait() == 0, (folder / "run.log").read_text()


def jobs(environment, rule=""):
    """What SLURM knows of the jobs of a rule, running and ended: {name of a field: text}."""
    shown = cluster.scontrol(environment, "show", "job", "--details", "--oneliner")
    found = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in shown.splitlines()]
    return [job for job in found if job.get("Comment", "").startswith(f"rule_{rule}")]


class Watcher(threading.Thread):
    """Notes, twice a second, which jobs hold which GPUs: {job: its GPUs}."""

    def __init__(self, environment):
        super().__init__(daemon=True)
        self.environment, self.seen, self.over = environment, [], threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *error):
        self.over.set()
        self.join()

    def run(self):
        while not self.over.wait(0.5):
            shown = cluster.scontrol(self.environment, "show", "job", "--details", "--oneliner")
            running = [line for line in shown.splitlines() if "JobState=RUNNING" in line]
            held = {line: re.search(r"GRES=gpu\S*\(IDX:([\d,-]+)\)", line) for line in running}
            self.seen.append(
                {
                    re.search(r"JobId=(\d+)", line)[1]: index[1]
                    for line, index in held.items()
                    if index
                }
            )


def wait_for_state(folder, run):
    """Until the M-step of TRAINED has written a state."""
    log = folder / "run.log"

    def written():
        assert run.poll() is None, log.read_text()
        return list((folder / TRAINED).glob(".pretrained.state/*.state"))

    waiting.until(written, log.read_text, SECONDS_TO_START)


@pytest.fixture(scope="module")
def disturbed(slurm, tmp_path_factory):
    """A run on the cluster of which one job was requeued in training; its folder, GPUs held."""
    folder = tmp_path_factory.mktemp("cluster")
    with Watcher(slurm) as watcher:
        run = submit(folder, slurm)
        wait_for_state(folder, run)
        (job,) = (
            job["JobId"]
            for job in jobs(slurm, "maximise")
            if job["JobState"] == "RUNNING" and "transformer_early" in job["Comment"]
        )
        cluster.scontrol(slurm, "requeue", job)
        finish(run, folder)
    return folder, watcher.seen


def test_the_cluster_gives_the_local_results(disturbed, local):
    folder, _ = disturbed
    for name in ("table.csv", "submission.csv", "localisations.csv"):
        made = (folder / "results/tiny" / name).read_bytes()
        assert made == (local / "results/tiny" / name).read_bytes(), name


def test_no_two_jobs_ever_hold_the_same_gpu_and_both_are_used(disturbed):
    _, seen = disturbed
    for held in seen:
        assert len(set(held.values())) == len(held), held
    assert max(len(held) for held in seen) == 2


def test_the_job_that_was_requeued_in_training_went_on_from_its_state(disturbed):
    folder, _ = disturbed
    assert "going on after step" in (folder / TRAINED / "maximise.log").read_text()
    assert not left_behind.hidden(folder / "results")


def with_data(local, folder):
    """A folder in which the records are simulated and indexed already."""
    for part in ("data", "index"):
        shutil.copytree(local / "results" / part, folder / "results" / part)
    return folder


def test_a_job_over_its_memory_is_tried_again_with_more(slurm, local, tmp_path):
    # A process that has loaded PyTorch holds more, whatever it trains.
    folder, little = with_data(local, tmp_path), "compute={memory_mb: {train: 200}}"
    before = {job["JobId"] for job in jobs(slurm)}
    finish(submit(folder, slurm, "--config", little, "--retries", "5", "--", FIRST), folder)
    tries = [job for job in jobs(slurm, "pretrain") if job["JobId"] not in before]
    assert len(tries) > 1
    memory = [int(job["MinMemoryNode"].removesuffix("M")) for job in tries]
    # Twice as much each time, and room for the inputs once.
    assert len({asked - 200 * 2**number for number, asked in enumerate(memory)}) == 1, memory
    assert (folder / FIRST).read_bytes() == (local / FIRST).read_bytes()


def test_a_training_over_its_time_goes_on_at_a_next_try_of_as_much(slurm, local, tmp_path):
    shutil.copytree(local, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / TRAINED)
    weights = f"{TRAINED}/pretrained.safetensors"
    before = {job["JobId"] for job in jobs(slurm)}
    run = submit(tmp_path, slurm, "--config", "compute={minutes: {train: 1}}", "--", weights)
    wait_for_state(tmp_path, run)
    # As where a disk hangs. SLURM wakes the job when its minute is over, to let it save its state.
    for number, command in left_behind.processes(str(tmp_path)).items():
        if command.startswith("python") and "maximise.py" in command:
            os.kill(number, signal.SIGSTOP)
    finish(run, tmp_path)
    tries = [job for job in jobs(slurm, "maximise") if job["JobId"] not in before]
    assert len(tries) > 1
    assert {job["TimeLimit"] for job in tries} == {"00:01:00"}
    assert {job["JobState"] for job in tries[:-1]} == {"TIMEOUT"}
    assert tries[-1]["JobState"] == "COMPLETED"
    assert "going on after step" in (tmp_path / TRAINED / "maximise.log").read_text()
    assert (tmp_path / weights).read_bytes() == (local / weights).read_bytes()
