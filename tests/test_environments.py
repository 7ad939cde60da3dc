"""envs/*.yaml agree with the one lock file, and each job's file has what the job imports."""

import ast
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
LOCK = dict(
    line.split("==")
    for line in (ROOT / "requirements.lock").read_text().splitlines()
    if "==" in line
)
ENVIRONMENTS = sorted((ROOT / "envs").glob("*.yaml"))
# Where conda-forge names a package otherwise than PyPI.
PYPI_NAMES = {"pytorch": "torch"}


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda p: p.name)
def test_conda_environments_pin_what_the_lock_pins(path):
    for entry in yaml.safe_load(path.read_text())["dependencies"]:
        if not entry.startswith("python>"):
            name, version = entry.split("=")
            # conda-forge writes a post-release as the lock does; both are compared as text.
            assert LOCK[PYPI_NAMES.get(name, name)] == version


def test_the_torch_environment_has_every_package_that_the_library_imports():
    names = {
        PYPI_NAMES.get(entry.split("=")[0], entry.split("=")[0])
        for entry in yaml.safe_load((ROOT / "envs/torch.yaml").read_text())["dependencies"]
    }
    for path in (ROOT / "workflow_scripts").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = []
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                modules = [node.module]
            for module in modules:
                top = module.split(".")[0]
                if top not in sys.stdlib_module_names and top != "segment_em":
                    assert top in names, f"{path.name} imports {top}"
