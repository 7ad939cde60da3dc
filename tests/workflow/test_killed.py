"""Killed anywhere, a run that is started again ends as one that nobody disturbed.

The run is the demo. One run of it meets thirty disturbances, spread over its jobs, and is given the
same command again after each.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import left_behind
import pytest
from workflow_runs import ROOT, snakemake

pytestmark = pytest.mark.faults

SEED = 1
DISTURBANCES = {signal.SIGKILL: 20, signal.SIGTERM: 5, signal.SIGINT: 5}
CONFIGURATION = [str(ROOT / "tests/workflow/disturbed.yaml")]
EXACT = {".csv", ".safetensors", ".h5", ".tfrecord", ".npz"}  # equal bytes; a .json tells the time
TIMED = {"timeline.csv", "devices.csv"}  # when jobs ran
SECONDS_TO_END = 60


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """{name: bytes} of all results of a run that nobody disturbed, logs and timings left out."""
    folder = tmp_path_factory.mktemp("undisturbed")
    run = snakemake(folder, configs=CONFIGURATION)
    assert run.returncode == 0, run.stdout[-4000:]
    return results_of(folder)


def results_of(folder):
    """{name: bytes} of what lies below results/ under a final name.

    Left out is what is written as a job goes on: logs, timings, training curves.
    """
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted((folder / "results").rglob("*"))
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and not path.name.endswith((".log", ".benchmark.tsv"))
        and "events" not in path.parts
    }


class Run:
    """The workflow in a session of its own, as a terminal's foreground job."""

    def __init__(self, folder):
        self.mark = f"DISTURBED_RUN={folder}"
        self.output = folder / "run.log"
        binaries = Path(sys.executable).parent
        name, _, value = self.mark.partition("=")
        with open(self.output, "w") as output:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "snakemake", "--cores", "2"),
                    *("--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)),
                    *("--configfile", *CONFIGURATION),
                ],
                env=os.environ
                | {name: value, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def disturb(self, number):
        """Send a signal to all processes of the run; return when the last of them has ended."""
        os.killpg(self.process.pid, number)
        deadline = time.monotonic() + SECONDS_TO_END
        while (left := left_behind.processes(self.mark)) or self.process.poll() is None:
            assert time.monotonic() < deadline, f"still there after {number.name}: {left}"
            time.sleep(0.05)

    def said(self):
        return self.output.read_text()


def moments():
    """(signal, the share of results to wait for, seconds after that): random moments of a run."""
    draw = random.Random(SEED)
    signals = [number for number, times in DISTURBANCES.items() for _ in range(times)]
    draw.shuffle(signals)
    # Not the last of them, which may be there before the seconds are over.
    shares = sorted(draw.uniform(0, 0.8) for _ in signals)
    return [
        (number, share, draw.uniform(0, 10)) for number, share in zip(signals, shares, strict=True)
    ]


def unlock(folder):
    """What the README says after a run was killed."""
    if any((folder / ".snakemake/locks").glob("*")):
        done = snakemake(folder, "--unlock", configs=CONFIGURATION)
        assert done.returncode == 0, done.stdout


def wait_for(share, run, folder, expected):
    """Until that share of the expected results is there."""
    while sum((folder / name).exists() for name in expected) < share * len(expected):
        assert run.process.poll() is None, run.said()
        time.sleep(0.05)


def assert_whole(found, expected, where):
    """Every result that is there under its final name is one of an undisturbed run, and whole."""
    for name, content in found.items():
        assert name in expected, f"{where}: {name}"
        ending = Path(name).suffix
        if Path(name).name in TIMED:
            assert content.endswith(b"\n"), f"{where}: {name}"
        elif ending in EXACT:
            assert content == expected[name], f"{where}: {name}"
        elif ending in (".html", ".svg"):  # the timeline in them tells the time too
            assert content.rstrip().endswith(f"</{ending[1:]}>".encode()), f"{where}: {name}"
        else:
            assert ending == ".json", f"{where}: {name} is of a kind that is not checked"
            json.loads(content)


def test_a_run_that_is_killed_thirty_times_ends_as_one_that_nobody_disturbed(undisturbed, tmp_path):
    for n, (number, share, seconds) in enumerate(moments()):
        where = f"seed {SEED}, {n}: {number.name} {seconds:.2f} s after {share:.0%} of the results"
        print(where, flush=True)
        unlock(tmp_path)
        run = Run(tmp_path)
        wait_for(share, run, tmp_path, undisturbed)
        time.sleep(seconds)
        assert run.process.poll() is None, f"{where}: {run.said()}"
        run.disturb(number)
        assert_whole(results_of(tmp_path), undisturbed, where)
    unlock(tmp_path)
    last = Run(tmp_path)
    assert last.process.wait() == 0, last.said()
    found = results_of(tmp_path)
    assert found.keys() == undisturbed.keys()
    assert_whole(found, undisturbed, "at the end")
    assert not left_behind.processes(last.mark)
    assert not left_behind.hidden(tmp_path / "results")
