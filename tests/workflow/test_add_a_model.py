"""The README's model and estimator, put where it says, train and are tested as it says."""

import os
import re
import subprocess
import sys

import pandas as pd
import pytest
from documentation import copy_of_the_project, texts
from workflow_runs import TINY, snakemake

pytestmark = pytest.mark.docs

LIBRARY = "workflow_scripts/segment_em"


@pytest.fixture
def project(tmp_path):
    """A copy of the project with the README's files added."""
    folder = copy_of_the_project(tmp_path / "project", "tests", "pyproject.toml")
    model, estimator = (
        next(code for code in texts("README.md", "python") if start in code)
        for start in ("class Model", "def keep")
    )
    (folder / LIBRARY / "models/mine.py").write_text(model)
    (folder / LIBRARY / "estimators/careful.py").write_text(estimator)
    return folder


def test_the_tests_of_every_model_take_it_in(project):
    small = project / "tests/small_models.py"
    text = small.read_text()
    assert text.count("\nSMALL = {\n") == 1
    mine = '    "mine": {"fusion": "early", "width": 4},\n'
    small.write_text(text.replace("\nSMALL = {\n", f"\nSMALL = {{\n{mine}"))
    pages = [str(project / f"tests/test_{name}.py") for name in ("models", "inference")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *pages, "-k", "mine"],
        cwd=project,
        env=os.environ | {"PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    passed = int(re.search(r"(\d+) passed", done.stdout)[1])
    assert passed >= 10


def test_they_train_from_their_config_entries_alone(project, tmp_path):
    entries = next(text for text in texts("README.md", "yaml") if "mine@careful" in text)
    overlay = tmp_path / "mine.yaml"
    overlay.write_text(entries)
    done = snakemake(
        tmp_path,
        *("--config", "controls=false"),
        configs=[TINY, overlay],
        snakefile=project / "Snakefile",
    )
    assert done.returncode == 0, done.stdout[-4000:]
    table = pd.read_csv(tmp_path / "results/tiny/table.csv")
    mine = table[table["model"] == "mine"]
    assert mine["estimation"].tolist() == ["careful", "careful"]
    assert mine["validation_map"].notna().all()


def test_the_name_of_an_estimator_may_have_a_hyphen(project, tmp_path):
    estimators = project / LIBRARY / "estimators"
    (estimators / "careful.py").rename(estimators / "very-careful.py")
    done = snakemake(
        *(tmp_path, "--dry-run", "--config", "em={iterations: [[logistic@very-careful]]}"),
        snakefile=project / "Snakefile",
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert "M-step 1: train logistic on very-careful" in done.stdout
