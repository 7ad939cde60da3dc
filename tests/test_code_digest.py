"""What a job's code is: found through imports, blind to comments, docstrings and formatting."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from segment_em import code_digest

SCRIPTS = Path(__file__).parent.parent / "workflow_scripts"


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A copy of the scripts and the library that a test may edit."""
    ignored = shutil.ignore_patterns("__pycache__")
    folder = shutil.copytree(SCRIPTS, tmp_path / "workflow_scripts", ignore=ignored)
    monkeypatch.setattr(code_digest, "LIBRARY", folder / "segment_em")
    return folder


def digests(folder, script="pretrain.py", plugins=("models/bigru.py",)):
    for cached in (code_digest._digest, code_digest._tree, code_digest._imported_files):
        cached.cache_clear()
    return code_digest.code_digests(folder / script, plugins)


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_imports_are_followed_through_the_library(library):
    found = digests(library)
    assert {"pretrain.py", "segment_em/stages.py", "segment_em/records.py"} <= found.keys()
    assert "segment_em/models/bigru.py" in found
    assert "segment_em/models/nextvlad.py" not in found
    assert "segment_em/figures.py" not in found


@pytest.mark.parametrize("script", ["pretrain", "finetune", "evaluate", "predict"])
def test_an_edit_of_the_e_steps_labels_repeats_only_what_reads_them(library, script):
    found = digests(library, f"{script}.py")
    for module in ("labels", "calibration", "estimators/__init__"):
        assert f"segment_em/{module}.py" not in found
    assert "segment_em/labels.py" in digests(library, "maximise.py")


def test_an_edit_of_what_follows_the_e_step_does_not_repeat_it(library):
    found = digests(library, "estimate.py")
    assert "segment_em/pseudo_label_files.py" in found
    for module in ("labels", "calibration", "estimators/__init__", "prediction_files"):
        assert f"segment_em/{module}.py" not in found
    assert "segment_em/prediction_files.py" not in digests(library, "evaluate.py")
    assert "segment_em/prediction_files.py" in digests(library, "predict.py")


def test_a_pooling_more_changes_the_code_of_no_job(library):
    before = digests(library, "pretrain.py", ["poolings/mean.py"])
    shutil.copy(library / "segment_em/poolings/mean.py", library / "segment_em/poolings/mine.py")
    edit(library / "segment_em/poolings/attention.py", "OUTPUTS = 2", "OUTPUTS = 3")
    assert digests(library, "pretrain.py", ["poolings/mean.py"]) == before
    assert "segment_em/poolings/mean.py" in before


@pytest.mark.parametrize("change", ["comment", "docstring", "blank lines", "touch"])
def test_what_changes_no_behaviour_changes_no_digest(library, change):
    before = digests(library)
    path = library / "segment_em" / "training.py"
    if change == "comment":
        path.write_text(path.read_text() + "\n# a remark\n")
    elif change == "docstring":
        edit(path, '"""The one training loop', '"""One loop')
    elif change == "blank lines":
        edit(path, "\n\n\n", "\n\n\n\n\n")
    else:
        path.touch()
    assert digests(library) == before


def test_an_edit_shows_in_the_digest_of_that_module_alone(library):
    before = digests(library)
    edit(library / "segment_em" / "records.py", "import ", "import platform\nimport ")
    after = digests(library)
    assert {name for name in before if before[name] != after[name]} == {"segment_em/records.py"}


def test_a_file_beside_a_packages_code_counts_as_part_of_the_package(library):
    before = digests(library, "report.py", ())
    edit(library / "segment_em/page/report.css", "--line: ", "--line:  ")
    after = digests(library, "report.py", ())
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"segment_em/page/__init__.py"}


def test_another_models_file_does_not_matter(library):
    before = digests(library)
    path = library / "segment_em" / "models" / "nextvlad.py"
    path.write_text(path.read_text() + "\nEXTRA = 1\n")
    assert digests(library) == before


@pytest.mark.parametrize("script", sorted(path.name for path in SCRIPTS.glob("*.py")))
def test_the_closure_holds_every_module_that_the_script_loads(script):
    """Reference: the modules that Python itself has loaded once the script is imported."""
    program = (
        f"import sys; sys.path.insert(0, {str(SCRIPTS)!r}); import {Path(script).stem}\n"
        "print(*(m.__file__ for n, m in sys.modules.items() if n.startswith('segment_em')))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    closure = code_digest.code_digests(SCRIPTS / script)
    assert {str(Path(path).relative_to(SCRIPTS)) for path in loaded} <= closure.keys()


def test_an_editors_files_change_no_digest(library):
    before = digests(library)
    models = library / "segment_em/models"
    for name in (".bigru.py.swp", "bigru.py~", ".DS_Store", "4913", ".#bigru.py"):
        (models / name).write_bytes(b"\xff")
    (models / ".ipynb_checkpoints").mkdir()
    assert digests(library) == before


EDITING = """
import json
from pathlib import Path

from segment_em import command_line, estimators, provenance


def main():
    estimators.load("video_prior")
    library = Path(provenance.__file__).parent
    for file in ("provenance.py", "estimators/video_prior.py"):
        path = library / file
        path.write_text(path.read_text() + "\\nEDITED = True\\n")
    print(json.dumps(provenance.stamp({}, [])["code"]))


command_line.run(main)
"""


def test_code_that_is_edited_while_a_job_runs_is_recorded_as_it_ran(library):
    script = library / "editing.py"
    script.write_text(EDITING)
    before = digests(library, "editing.py", ["estimators/video_prior.py"])
    ran = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    after = digests(library, "editing.py", ["estimators/video_prior.py"])
    assert json.loads(ran.stdout) == before
    changed = {name for name in before if after[name] != before[name]}
    assert changed == {"segment_em/provenance.py", "segment_em/estimators/video_prior.py"}
