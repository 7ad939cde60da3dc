"""envs/*.yaml agree with the one lock file, and each job's file has what the job imports."""

import ast
import re
import sys
from pathlib import Path

import pytest
import yaml
from snakemake.settings.enums import RerunTrigger

from segment_em.code_digest import code_digests

ROOT = Path(__file__).parent.parent
SCRIPTS = ROOT / "workflow_scripts"
LOCK = dict(
    line.lower().split("==")
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


def jobs():
    """(script, environment) of each rule that runs a script."""
    rules = "".join(path.read_text() for path in sorted((ROOT / "rules").glob("*.smk")))
    blocks = re.split(r"^ *rule\b", rules, flags=re.M)[1:]
    found = [
        (re.search(r'SCRIPTS / "(\w+\.py)"', block), re.search(r"envs/(\w+)\.yaml", block))
        for block in blocks
    ]
    return sorted({(script[1], environment[1]) for script, environment in found if script})


def imported(path):
    """The packages that a file imports, beside the standard library and our own."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module.partition(".")[0])
    return names - set(sys.stdlib_module_names) - {"segment_em"}


@pytest.mark.parametrize(("script", "environment"), jobs())
def test_a_jobs_environment_has_every_package_that_its_code_imports(script, environment):
    entries = yaml.safe_load((ROOT / f"envs/{environment}.yaml").read_text())["dependencies"]
    names = {PYPI_NAMES.get(entry.split("=")[0], entry.split("=")[0]) for entry in entries}
    plugins = [
        str(path.relative_to(SCRIPTS / "segment_em"))
        for folder in ("models", "estimators", "thresholds")
        for path in (SCRIPTS / "segment_em" / folder).glob("*.py")
        if environment == "torch" or folder != "models"
    ]
    for module in code_digests(SCRIPTS / script, plugins):
        # conda-forge names packages in lower case, whatever is imported.
        assert {name.lower() for name in imported(SCRIPTS / module)} <= names, module


@pytest.mark.parametrize("profile", ["default", "slurm"])
def test_another_version_of_a_package_is_no_reason_to_repeat_a_job(profile):
    """Of Snakemake's triggers all but that of the environments: a hash of their files."""
    asked = yaml.safe_load((ROOT / "profiles" / profile / "config.yaml").read_text())
    assert {*asked["rerun-triggers"], "software-env"} == {*RerunTrigger.choices()}
    assert "software-env" not in asked["rerun-triggers"]
