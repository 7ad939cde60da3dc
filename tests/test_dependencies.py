"""requirements.in, requirements.lock, docs/dependencies.md and what is installed say the same."""

import re
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
# As docs/dependencies.md writes them: what the package's own metadata has to say.
LICENCES = {
    "MIT": r"\bMIT\b",
    "BSD-3": r"BSD-3-Clause|OSI Approved :: BSD License",
    "Apache-2.0": r"Apache",
    "LGPL-2.1": r"LGPL-2\.1",
    "MPL-2.0": r"MPL-2\.0",
    "MIT-CMU": r"MIT-CMU",
    "PSF": r"Python Software Foundation License",
}


def lines(name):
    text = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in text if line.strip() and not line.startswith("#")]


ASKED_FOR = [Requirement(line) for line in lines("requirements.in")]
LOCK = {
    canonicalize_name(name): v for name, v in (x.split("==") for x in lines("requirements.lock"))
}
ROWS = {
    cells[0]: cells[1:]
    for cells in (
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in lines("docs/dependencies.md")
        if line.startswith("|")
    )
}


def test_the_page_names_just_the_packages_that_are_asked_for():
    assert sorted(set(ROWS) - {"package", "---"}) == sorted(wanted.name for wanted in ASKED_FOR)


@pytest.mark.parametrize("name", sorted(wanted.name for wanted in ASKED_FOR))
def test_the_page_states_licence_release_and_reason_of_each_package(name):
    licence, release, reason = ROWS[name]
    metadata = distribution(name).metadata
    stated = [metadata["License-Expression"], metadata["License"]]
    stated += metadata.get_all("Classifier") or []
    assert any(re.search(LICENCES[licence], text) for text in stated if text), stated
    version, month = release.split(", ")
    assert version == LOCK[canonicalize_name(name)]
    assert re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])", month)
    assert reason


@pytest.mark.parametrize("name", sorted(LOCK))
def test_what_is_installed_is_what_the_lock_pins(name):
    assert distribution(name).version.partition("+")[0] == LOCK[name]


def needed(name, extras=()):
    """Names of the packages that an installed package asks for on this machine."""
    for text in distribution(name).requires or []:
        requirement = Requirement(text)
        environments = [{"extra": extra} for extra in ("", *extras)]
        if not requirement.marker or any(map(requirement.marker.evaluate, environments)):
            yield canonicalize_name(requirement.name), requirement.extras


def test_the_lock_pins_all_that_is_needed_and_nothing_else():
    pending = [(canonicalize_name(wanted.name), wanted.extras) for wanted in ASKED_FOR]
    found = set()
    while pending:
        name, extras = pending.pop()
        if name not in found:
            found.add(name)
            pending.extend(needed(name, extras))
    # The libraries of a torch for GPUs are pinned by torch itself; the lock is for every kind of
    # machine.
    found = {name for name in found if not re.match("nvidia-|cuda-|triton$", name)}
    assert found == LOCK.keys()


def test_there_is_one_lock_file():
    assert [path.name for path in ROOT.glob("*lock*")] == ["requirements.lock"]
