"""Jobs on pretended devices: each holds its own, all are busy while work waits."""

import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import waiting

from segment_em import gpus
from segment_em.errors import InputError

SCRIPT = Path(gpus.__file__).parent.parent / "on_gpus.py"
# What a job does: note when it holds which devices. A shell, since it starts at once.
JOB = """
echo "$CUDA_VISIBLE_DEVICES" > "$0.part"
date +%s.%N >> "$0.part"; sleep "$1"; date +%s.%N >> "$0.part"
mv "$0.part" "$0"
"""


def test_a_command_sees_the_held_devices_alone_under_each_name():
    machine = {"CUDA_VISIBLE_DEVICES": "0,1,2", "SLURM_JOB_GPUS": "4,5,7", "SLURM_STEP_GPUS": "5"}
    assert gpus.shown(["2", "0"], machine) == {
        "CUDA_VISIBLE_DEVICES": "2,0",
        "SLURM_JOB_GPUS": "7,4",
    }
    assert gpus.shown(["1"], {"CUDA_VISIBLE_DEVICES": "0,1"}) == {"CUDA_VISIBLE_DEVICES": "1"}
    assert gpus.shown([], machine) == {}


def recorded(path):
    devices, start, end = path.read_text().split()
    return {"devices": devices, "start": float(start), "end": float(end)}


@pytest.fixture
def machine(tmp_path):
    """The environment of a machine with four devices and locks of its own."""
    return os.environ | {"CUDA_VISIBLE_DEVICES": "0,1,2,3", "TMPDIR": str(tmp_path)}


def job(machine, count, *command):
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(count), *command], env=machine, stderr=subprocess.PIPE
    )


def test_eight_jobs_share_four_devices_that_are_never_held_twice_and_never_idle(machine, tmp_path):
    counts = [1, 1, 2, 1, 1, 1, 1, 1]
    jobs = [
        job(machine, count, "sh", "-c", JOB, str(tmp_path / f"{number}.txt"), "2.5")
        for number, count in enumerate(counts)
    ]
    assert [one.wait() for one in jobs] == [0] * len(jobs)
    runs = [recorded(tmp_path / f"{number}.txt") for number in range(len(jobs))]
    assert [len(run["devices"].split(",")) for run in runs] == counts
    for device in "0123":
        spans = sorted((r["start"], r["end"]) for r in runs if device in r["devices"].split(","))
        assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    # While work waits, that is until the last job starts, the devices are busy.
    begin, last_start = sorted(r["start"] for r in runs)[2], max(r["start"] for r in runs)
    busy = sum(
        len(r["devices"].split(",")) * max(0, min(r["end"], last_start) - max(r["start"], begin))
        for r in runs
    )
    assert busy / (last_start - begin) > 3


def test_a_killed_job_frees_its_device_at_once(machine, tmp_path):
    machine["CUDA_VISIBLE_DEVICES"] = "5"
    first = job(machine, 1, "sh", "-c", 'touch "$0"; exec sleep 1200', str(tmp_path / "holds"))
    waiting.until((tmp_path / "holds").exists)
    second = job(machine, 1, "sh", "-c", JOB, str(tmp_path / "second.txt"), "0")
    assert b"waiting for 1 of the GPUs 5" in second.stderr.readline()
    first.send_signal(signal.SIGKILL)
    assert second.wait(timeout=30) == 0
    assert recorded(tmp_path / "second.txt")["devices"] == "5"


def test_a_job_that_sees_fewer_devices_than_promised_stops_and_names_both(machine, tmp_path):
    machine["CUDA_VISIBLE_DEVICES"] = "0"
    started = job(machine, 2, "touch", str(tmp_path / "ran"))
    _, error = started.communicate()
    assert started.returncode != 0
    assert b"promised 2 GPUs and sees 1 (0)" in error
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("hidden", ["", "-1", "NoDevFiles", "-1,0"])
def test_without_a_gpu_the_job_runs_on_the_cpu(hidden):
    assert gpus.held(2, {"CUDA_VISIBLE_DEVICES": hidden}) == []


@pytest.mark.parametrize("there", [True, False])
def test_a_gpu_that_nothing_lists_is_told(tmp_path, monkeypatch, caplog, there):
    program = tmp_path / "nvidia-smi"
    program.write_text(
        "#!/bin/sh\necho 'Failed to initialize NVML: Driver/library version mismatch'\nexit 18\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    if there:
        (tmp_path / "nvidia0").touch()
    monkeypatch.setattr(gpus, "DEVICE_FILES", (tmp_path / "nvidia0",))
    assert gpus.held(1, {}) == []
    assert ("(Failed to initialize NVML: Driver/library version mismatch)" in caplog.text) == there


def test_what_stands_behind_a_hidden_device_is_not_visible():
    assert gpus.visible_devices({"CUDA_VISIBLE_DEVICES": "2,-1,3"}) == ["2"]


def test_jobs_of_one_allocation_share_its_devices_and_others_do_not_wait_for_them(tmp_path):
    mine = {"CUDA_VISIBLE_DEVICES": "0,1", "SLURM_JOB_ID": "1"}
    assert gpus.held(1, mine, tmp_path) == ["0"]
    assert gpus.held(1, mine, tmp_path) == ["1"]
    # On a node with more devices another allocation sees its own as 0 and 1 too.
    assert gpus.held(2, mine | {"SLURM_JOB_ID": "2"}, tmp_path) == ["0", "1"]
    with pytest.raises(InputError, match="promised 3 GPUs and sees 2"):
        gpus.held(3, mine, tmp_path)


def test_a_job_that_asks_for_no_gpu_holds_none(tmp_path):
    assert gpus.held(0, {"CUDA_VISIBLE_DEVICES": "0"}, tmp_path) == []
