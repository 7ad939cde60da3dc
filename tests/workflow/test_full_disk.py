"""A disk that fills up or may not be written: one line, nothing lost, and the run goes on after it.

The disks are small ones in memory. A disk is filled to leave some room, none, or all but a page of
what the result takes.
"""

import os
import re
import shlex
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import left_behind
import pytest
from workflow_runs import snakemake

PAGE = os.sysconf("SC_PAGE_SIZE")
MEGABYTE = 10**6
SHORT = ["--config", "em={iterations: [[logistic@video_prior]]}", "controls=false"]
# What each kind of job writes first, and the script that does.
STAGES = {
    "index_records.py": "results/index/tiny/train/000.h5",
    "pretrain.py": "results/tiny/em/iteration-0/logistic/pretrained.safetensors",
    "estimate.py": "results/tiny/em/iteration-1/pseudo_labels/000.h5",
    "evaluate.py": "results/tiny/em/iteration-0/logistic/validation.json",
    "predict.py": "results/tiny/predictions/000.h5",
    "submit.py": "results/tiny/submission.csv",
    "tabulate_results.py": "results/tiny/table.csv",
    "report.py": "results/tiny/report.html",
}


def mount(*arguments):
    return subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True)


def obstacle():
    """Why no disk can be mounted here, or None."""
    if os.getuid() != 0:
        return "mounting a small disk takes root"
    done = mount("--fake", "-t", "tmpfs", "none", "/mnt")
    return done.stderr.strip() or None if done.returncode else None


pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(obstacle() is not None, reason=f"full disks: {obstacle()}"),
]


@contextmanager
def disk(folder, size):
    """A disk of `size` bytes at the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    done = mount("-t", "tmpfs", "-o", f"size={size}", "none", folder)
    if done.returncode:
        pytest.skip(f"full disks: mount is refused here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def leave(folder, room):
    """Fill the disk at the folder but for `room` bytes, rounded down to pages."""
    filler = folder / "filler"
    filler.unlink(missing_ok=True)
    free = os.statvfs(folder).f_bavail * PAGE
    with open(filler, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(PAGE, free - room // PAGE * PAGE))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with a short run that is over."""
    folder = tmp_path_factory.mktemp("finished")
    done = snakemake(folder, *SHORT)
    assert done.returncode == 0, done.stdout[-4000:]
    return folder


@pytest.fixture(scope="module")
def commands(finished):
    """{script: the shell command of its first job, without its log}, as the workflow gives it."""
    told = snakemake(finished, *SHORT, "--dry-run", "--forceall", "--printshellcmds").stdout
    found = {}
    for line in told.splitlines():
        for script, output in STAGES.items():
            if f"/{script} " in line and f" {output}" in line:
                command = line.split(" 2>&1 | tee ")[0].removeprefix("Shell command: ").strip()
                found.setdefault(script, command)
    return found


def run(command, folder):
    """The job's own command; every step of a training job writes a state."""
    command = re.sub(r"--state-minutes \S+", "--state-minutes 1e-9", command)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
    )


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_refused(done, reason, where):
    """One line with the file, the reason and the space; no traceback."""
    *_, said = done.stderr.splitlines()
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert re.fullmatch(
        rf"error: {re.escape(where)}\S*: cannot be written: {reason} "
        r"\([\d.]+ MB free of [\d.]+ MB, [\d.,]+ MB of it begun\); .+, then give the same "
        r"command again",
        said,
    ), said


@pytest.mark.parametrize("script", STAGES)
def test_a_job_on_a_full_or_read_only_disk_says_so_loses_nothing_and_goes_on(
    script, commands, finished, tmp_path
):
    out = finished / STAGES[script]
    expected = out.read_bytes()
    place = tmp_path / out.parent.name  # the report is named after its folder
    command = commands[script].replace(STAGES[script], shlex.quote(str(place / out.name)))
    with disk(place, 2 * len(expected) + 4 * MEGABYTE):
        (place / out.name).write_text("old")
        before = contents(place)
        for room in (0, max(0, len(expected) - PAGE)):
            leave(place, room)
            assert_refused(run(command, finished), "No space left on device", str(place))
            (place / "filler").unlink()
            kept = {path: content for path, content in contents(place).items() if path in before}
            assert kept == before
            assert not [name for name in left_behind.hidden(place) if name.endswith(".part")]
        assert mount("-o", "remount,ro", place).returncode == 0
        assert_refused(run(command, finished), "Read-only file system", str(place))
        assert mount("-o", "remount,rw", place).returncode == 0
        done = run(command, finished)
        assert done.returncode == 0, done.stderr
        assert (place / out.name).read_bytes() == expected
        assert not left_behind.hidden(place)


def test_a_run_whose_disk_fills_up_says_so_and_goes_on_when_there_is_space(finished, tmp_path):
    """Of the disk that it needs the run gets half, then enough."""
    needed = sum(
        -(-len(content) // PAGE) * PAGE for content in contents(finished / "results").values()
    )
    with disk(tmp_path / "results", needed // 2):
        stopped = snakemake(tmp_path, *SHORT)
        assert stopped.returncode != 0
        assert "No space left on device" in stopped.stdout
        kept = contents(tmp_path / "results")
        assert mount("-o", f"remount,size={4 * needed}", tmp_path / "results").returncode == 0
        done = snakemake(tmp_path, *SHORT)
        assert done.returncode == 0, done.stdout[-4000:]
        for path in kept:
            name = path.relative_to(tmp_path)
            if name.suffix in (".safetensors", ".h5", ".tfrecord", ".csv"):
                assert kept[path] == (finished / name).read_bytes(), name
        for name in ("table.csv", "submission.csv"):
            made = (tmp_path / "results/tiny" / name).read_bytes()
            assert made == (finished / "results/tiny" / name).read_bytes(), name
        assert not left_behind.hidden(tmp_path / "results")
