"""Killed anywhere, a run that is started again ends as one that nobody disturbed.

The run is the demo. One run of it meets thirty disturbances, at moments drawn from its whole time
but the end, and is given the same command again after each.
"""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from bisect import bisect
from pathlib import Path
from typing import NamedTuple

import left_behind
import pytest
import waiting
from workflow_runs import ROOT, snakemake

pytestmark = pytest.mark.faults

SEED = 1
DISTURBANCES = {signal.SIGKILL: 20, signal.SIGTERM: 5, signal.SIGINT: 5}
CONFIGURATION = [str(ROOT / "tests/workflow/disturbed.yaml")]
EXACT = {".csv", ".safetensors", ".h5", ".tfrecord", ".npz"}  # equal bytes; a .json tells the time
TIMED = {"timeline.csv", "devices.csv"}  # when jobs ran
SECONDS_TO_END = 60


class Undisturbed(NamedTuple):
    """results: {name: bytes}, see results_of. seconds: after how many each was there, ascending."""

    results: dict[str, bytes]
    seconds: list[float]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A run that nobody disturbed."""
    folder, started = tmp_path_factory.mktemp("undisturbed"), time.time()
    run = snakemake(folder, configs=CONFIGURATION)
    assert run.returncode == 0, run.stdout[-4000:]
    results = results_of(folder)
    seconds = sorted((folder / name).stat().st_mtime - started for name in results)
    return Undisturbed(results, seconds)


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
        waiting.until(
            lambda: not left_behind.processes(self.mark) and self.process.poll() is not None,
            lambda: f"still there after {number.name}: {left_behind.processes(self.mark)}",
            SECONDS_TO_END,
        )

    def works(self):
        """Whether a job has begun, seconds after Snakemake: it is told with the time of day."""
        return re.search(r"^\d\d:\d\d:\d\d ", self.said(), re.MULTILINE) is not None

    def said(self):
        return self.output.read_text()


def moments(seconds):
    """(signal, how many results to wait for, seconds after that): random moments, in order.

    seconds: when each of the results was there in the run that nobody disturbed.
    """
    draw = random.Random(SEED)
    signals = [number for number, times in DISTURBANCES.items() for _ in range(times)]
    draw.shuffle(signals)
    # Not its end, since a run that is over cannot be disturbed.
    times = sorted(draw.uniform(0, 0.9 * seconds[-1]) for _ in signals)
    found, before = [], 0.0
    for number, moment in zip(signals, times, strict=True):
        there = bisect(seconds, moment)
        # The states hold what was trained up to the disturbance before.
        since = max(before, seconds[there - 1] if there else 0.0)
        found.append((number, there, moment - since))
        before = moment
    return found


def unlock(folder):
    """What the README says after a run was killed."""
    if any((folder / ".snakemake/locks").glob("*")):
        done = snakemake(folder, "--unlock", configs=CONFIGURATION)
        assert done.returncode == 0, done.stdout


def wait_for(count, run, folder, expected):
    """Until so many of the expected results are there; if any, until a job is at work again."""
    while sum((folder / name).exists() for name in expected) < count or (count and not run.works()):
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
    in_training = 0
    for n, (number, count, seconds) in enumerate(moments(undisturbed.seconds)):
        where = f"seed {SEED}, {n}: {number.name} {seconds:.2f} s after {count} results"
        print(where, flush=True)
        unlock(tmp_path)
        run = Run(tmp_path)
        wait_for(count, run, tmp_path, undisturbed.results)
        time.sleep(seconds)
        assert run.process.poll() is None, f"{where}: {run.said()}"
        run.disturb(number)
        assert_whole(results_of(tmp_path), undisturbed.results, where)
        in_training += any(".state" in name for name in left_behind.hidden(tmp_path / "results"))
    assert in_training >= 10, "the moments hardly met a job that trains"
    unlock(tmp_path)
    last = Run(tmp_path)
    assert last.process.wait() == 0, last.said()
    found = results_of(tmp_path)
    assert found.keys() == undisturbed.results.keys()
    assert_whole(found, undisturbed.results, "at the end")
    assert not left_behind.processes(last.mark)
    assert not left_behind.hidden(tmp_path / "results")
