"""localise.py gives the test videos what the workflow gave them, from a copy of the results alone.

It runs as its own process in which Snakemake cannot be imported.
"""

import csv
import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from test_localisation import by_loop
from workflow_runs import ROOT, snakemake

from segment_em.prediction_files import read_predictions

pytestmark = pytest.mark.slow

WITHOUT_SNAKEMAKE = """
import runpy, sys
sys.modules["snakemake"] = None  # importing it fails
sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def localise(folder, *arguments):
    script = str(ROOT / "workflow_scripts/localise.py")
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_SNAKEMAKE, script, *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def copied(tiny_run, tmp_path_factory):
    """The results of the tiny run in another place, and a few new record files beside them."""
    folder = tmp_path_factory.mktemp("elsewhere")
    shutil.copytree(tiny_run / "results/tiny", folder / "kept/run")
    for number in range(2):
        shutil.copy(
            tiny_run / f"results/data/tiny/test-{number:03d}.tfrecord",
            folder / f"new{number}.tfrecord",
        )
    return folder


def found_by(folder, *arguments):
    arguments = ("--ensemble", "kept/run/ensemble.json", "--records", "new*.tfrecord", *arguments)
    done = localise(folder, *arguments)
    assert done.returncode == 0, done.stderr
    return folder / arguments[-1]


def rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return [(*list(row.values())[:5], float(row["score"])) for row in csv.DictReader(file)]


def test_the_merged_rows_are_those_of_the_workflow(tiny_run, copied):
    found = rows(found_by(copied, "--out", "found.csv"))
    expected = rows(tiny_run / "results/tiny/localisations.csv")
    assert len(found) > 30
    assert [row[:5] for row in found] == [row[:5] for row in expected]
    np.testing.assert_allclose([row[5] for row in found], [row[5] for row in expected], rtol=1e-5)


@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.2])
def test_the_scores_are_those_of_the_workflows_predictions(tiny_run, copied, threshold):
    """Reference: predictions merged by a walk through each video; 0.0 has every class's mean."""
    out = found_by(copied, "--threshold", threshold, "--out", f"found{threshold}.parquet")
    found = pd.read_parquet(out).set_index(["video_id", "start", "class"])["score"].to_dict()
    expected = {}
    for path in (tiny_run / "results/tiny/predictions").glob("*.h5"):
        chunk = read_predictions(path)
        merged = by_loop(chunk.scores, chunk.frames, chunk.segment_frames, threshold)
        for video, start, _, column, score in merged:
            expected[chunk.video_ids[video], start, chunk.class_ids[column]] = score
    assert set(found) == set(expected)
    assert len(found) > 20
    differences = [abs(found[key] - expected[key]) for key in expected]
    assert max(differences) < 1e-5


def test_a_user_who_mistypes_gets_one_line(copied):
    arguments = ("--ensemble", "kept/run/ensemble.json", "--records", "new*.tfrecord")
    for wrong, message in [
        ((*arguments, "--out", "found.xls"), "found.xls: unknown ending '.xls'"),
        ((*arguments[:3], "nwe*.tfrecord", "--out", "a.csv"), "no file matches 'nwe*.tfrecord'"),
        (("--ensemble", "kept", *arguments[2:], "--out", "a.csv"), "kept: cannot be read"),
    ]:
        done = localise(copied, *wrong)
        assert done.returncode == 1
        assert done.stderr.startswith(f"error: {message}"), done.stderr
        assert len(done.stderr.splitlines()) == 1


# As a rule ----------------------------------------------------------------------------------------


def test_the_rule_localises_in_the_records_that_the_config_names(tiny_run, copied, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(tiny_run, folder)
    shutil.copy(copied / "new1.tfrecord", folder)
    target = "results/tiny/found.csv"
    new = ("--config", 'localise={records: "new*.tfrecord"}', "--", target)
    done = snakemake(folder, *new)
    assert done.returncode == 0, done.stdout[-4000:]
    expected = rows(tiny_run / "results/tiny/localisations.csv")
    found = rows(folder / target)
    assert found
    assert {row[:5] for row in found} <= {row[:5] for row in expected}
    inputs = json.loads((folder / "results/tiny/found.json").read_text())["stamp"]["inputs"]
    assert "new1.tfrecord" in inputs
    assert "Nothing to be done" in snakemake(folder, "--dry-run", *new).stdout
    shutil.copy(copied / "new0.tfrecord", folder)
    assert "localise" in snakemake(folder, "--dry-run", *new).stdout
    # Also where Snakemake has no records of its own.
    (folder / "new0.tfrecord").unlink()
    shutil.rmtree(folder / ".snakemake")
    assert "Nothing to be done" in snakemake(folder, "--dry-run", *new).stdout


def test_the_rule_says_that_it_needs_records(tiny_run):
    done = snakemake(tiny_run, "--dry-run", "--", "results/tiny/found.csv")
    assert done.returncode != 0
    assert "localise: name the files of new videos" in done.stdout
