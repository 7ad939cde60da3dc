"""Every command in README.md and docs/ works: it is run here, or elsewhere as listed here.

Commands of Snakemake and make run as dry runs, scripts and all else for real on the tiny run's
results, each block as one shell script in a copy of the project. A command in backticks within a
sentence is a block of its own.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from documentation import PAGES, blocks, copy_of_the_project, inline_commands, prose, texts
from table import ORDER
from workflow_runs import ROOT

# Run for real by something else: the file that runs it, and the text in it that does.
ELSEWHERE = {
    "make demo": (".ci/run", "\nstep make demo\n"),
    "make test": (".ci/run", "\nstep make test\n"),
    ". .venv/bin/activate": ("docs/cluster.md", "-m venv .venv && . .venv/bin/activate\n"),
    # The Makefile's own targets, which .ci/run calls.
    "pip install -r requirements.lock": ("Makefile", "pip install --quiet --requirement"),
    "python -m pytest": ("Makefile", "$(BIN)/python -m pytest"),
    "python workflow_scripts/on_processes.py 4 workflow_scripts/maximise.py --threads 4 --workers 4"
    " --gpus 4 --config …": ("tests/test_processes.py", "on_processes.py"),
    "python benchmarks/job_costs.py results/demo results/index results/data": (
        ".ci/run",
        "benchmarks/job_costs.py results/demo results/index results/data",
    ),
    "python benchmarks/ceiling.py results/demo": (
        "tests/workflow/test_ceiling.py",
        "benchmarks/ceiling.py",
    ),
    # With the settings that they need, tried here.
    "snakemake results/<experiment>/found.csv": ("docs/data.md", "-- results/demo/found.csv\n"),
    "snakemake compare": ("docs/reruns.md", "experiments='[demo, demo-faithful]' -- compare\n"),
    "python benchmarks/<name>.py": ("Makefile", "$(BIN)/python benchmarks/$$name.py"),
    "python benchmarks/table.py --write": ("Makefile", "$(BIN)/python benchmarks/table.py"),
}
# Where a figure came from; make bench runs them all.
ELSEWHERE |= {f"python benchmarks/{name}.py": ("Makefile", f" {name}") for name in ORDER}
# Not run: they ask a service on the network, which tests may not; their page says so.
BY_HAND = {
    "python -m venv .venv-audit && .venv-audit/bin/pip install pip-audit",
    ".venv-audit/bin/pip-audit --requirement requirements.lock --no-deps --disable-pip",
    "pip install tensorboard",
    "tensorboard --logdir results/demo",  # which the one before installs
}
DRY = ("snakemake ", "make ")
FOR_REAL = ("python workflow_scripts/", "git clone ", "python3.11 -m venv ", "cp -r profiles/")
FOR_REAL += ("python benchmarks/scale.py",)
# A fence without a language is taken for commands: text is for what a program says.
SHELL = [block for page in PAGES for block in blocks(page) if block.language in ("sh", "bash", "")]
SHELL += [block for page in PAGES for block in inline_commands(page)]


def commands(block):
    """The block's lines without comments."""
    lines = (re.sub(r"\s+# .*", "", line).strip() for line in block.text.splitlines())
    return [line for line in lines if line]


def runnable(block):
    return [line for line in commands(block) if line not in ELSEWHERE.keys() | BY_HAND]


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_every_command_is_run_here_or_by_what_is_listed(block):
    for command in runnable(block):
        assert command.startswith((*DRY, *FOR_REAL)), (
            f"{block}: no test runs '{command}': add it to ELSEWHERE with what runs it"
        )


@pytest.mark.parametrize("command", ELSEWHERE)
def test_what_is_listed_is_documented_and_is_run_there(command):
    file, text = ELSEWHERE[command]
    assert any(command in commands(block) for block in SHELL), "no longer documented: remove it"
    assert text in (ROOT / file).read_text()


@pytest.mark.parametrize("command", sorted(BY_HAND))
def test_a_page_says_of_what_is_run_by_hand_that_it_asks_the_network(command):
    (page,) = {block.page for block in SHELL if command in commands(block)}
    assert "asks the network" in " ".join((ROOT / page).read_text().split())


@pytest.mark.parametrize("page", PAGES)
def test_every_make_target_that_is_mentioned_exists(page):
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    mentioned = re.findall(r"`make ([\w-]+)`|^make ([\w-]+)", (ROOT / page).read_text(), re.M)
    assert {one or other for one, other in mentioned} <= targets


# What the commands take for granted ---------------------------------------------------------------


@pytest.fixture(scope="module")
def project(tiny_run, tmp_path_factory):
    """The project with finished experiments, new videos, and files where configs look for them."""
    more = ("Makefile", "requirements.in", "requirements.lock", "benchmarks", "docs")
    folder = copy_of_the_project(tmp_path_factory.mktemp("documented"), *more)
    for name in ("demo", "demo-faithful", "share30"):
        shutil.copytree(tiny_run / "results/tiny", folder / "results" / name)
    shutil.copytree(tiny_run / "results/index/tiny", folder / "results/index/simulated")
    data = tiny_run / "results/data/tiny"
    for number in range(2):
        shutil.copy(data / f"test-{number:03d}.tfrecord", folder / f"new{number}.tfrecord")
    # At least as many files as configs/yt8m.yaml has chunks.
    for name, train_files in (("yt8m", 128), ("yt8m-collage", 2)):
        for split, count in (("train", train_files), ("validate", 1), ("test", 1)):
            records = folder / "data" / name / split
            records.mkdir(parents=True)
            for number in range(count):
                shutil.copy(data / "test-000.tfrecord", records / f"{split}{number:04d}.tfrecord")
        for classes in ("segment_label_ids.csv", "vocabulary.csv"):
            shutil.copy(data / classes, folder / "data" / name)
    own = folder / "own"
    own.mkdir()
    for name in ("train0.h5", "rated0.h5", "test0.h5"):
        (own / name).touch()
    (own / "classes.csv").write_text("Index,Name\n3,cooking\n")
    config = next(text for text in texts("README.md", "yaml") if "experiment: mine" in text)
    (folder / "mine.yaml").write_text(config.replace("/data/mine", str(own)))
    (folder / "ablation.yaml").write_text(
        next(text for text in texts("docs/choosing.md", "yaml") if "mine: mine.yaml" in text)
    )
    shutil.copytree(folder / "profiles/slurm", folder / "profiles/mine")
    return folder


def as_it_is_tried(command, project):
    """The command as the test runs it."""
    if command.startswith("snakemake "):
        return f"snakemake --dry-run {command.removeprefix('snakemake ')}"
    if command.startswith("make "):
        return f"make --dry-run {command.removeprefix('make ')}"
    if command.startswith("git clone "):
        # With the records that a user would put there.
        command = command.replace("<this repository>", f"--quiet {ROOT}")
        return f"{command} && cp -r {project}/data ."
    return command.replace("python3.11 ", f"{sys.executable} ")


# What stands on several pages is tried once.
TRIED = {tuple(runnable(block)): block for block in reversed(SHELL) if runnable(block)}


@pytest.mark.docs
@pytest.mark.parametrize("block", [*reversed(TRIED.values())], ids=str)
def test_the_commands_of_a_block_succeed(project, block):
    if "git clone" in block.text and not (ROOT / ".git").exists():
        pytest.skip("not a git checkout, which could be cloned")
    script = "\n".join(as_it_is_tried(command, project) for command in runnable(block))
    binaries = Path(sys.executable).parent
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=project,
        env=os.environ | {"PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


@pytest.mark.parametrize("page", PAGES)
def test_every_link_and_picture_leads_to_a_file_of_the_project(page):
    links = re.findall(r"\[[^\]]*\]\(([^)#\s]+)[^)]*\)", prose(page))
    ours = [link for link in links if "://" not in link]
    assert not [link for link in ours if not ((ROOT / page).parent / link).exists()]


def test_the_readme_leads_to_every_page():
    text = (ROOT / "README.md").read_text()
    assert not [page for page in PAGES[1:] if f"({page})" not in text]
