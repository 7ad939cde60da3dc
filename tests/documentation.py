"""README.md and docs/*.md: their fenced blocks and the commands in their text, and copies of the
project to try them in."""

import re
import shutil
from typing import NamedTuple

from workflow_runs import ROOT

PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
PARTS = ["Snakefile", "config.yaml", "configs", "rules", "workflow_scripts", "profiles", "envs"]


class Block(NamedTuple):
    """A fenced block: the page, its number there, the language behind the fence, the text.

    Or a command in the text of a page, numbered "inline 1" and so on, of language sh.
    """

    page: str
    number: int | str
    language: str
    text: str

    def __str__(self):
        return f"{self.page}:{self.number}"


def blocks(page):
    """All fenced blocks of a page, in order."""
    fenced = re.findall(
        r"^```(\w*)\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE
    )
    return [Block(page, number, *found) for number, found in enumerate(fenced, start=1)]


PROGRAMS = ("snakemake", "make", "python", "tensorboard", "pip")


def prose(page):
    """The page without its fenced blocks."""
    text = (ROOT / page).read_text()
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def inline_commands(page):
    """What the text calls in backticks with an argument, each command once, as blocks."""
    quoted = re.findall(rf"`((?:{'|'.join(PROGRAMS)})\s[^`]+)`", prose(page))
    # A command may be wrapped as the text around it is.
    found = dict.fromkeys(" ".join(command.split()) for command in quoted)
    return [Block(page, f"inline {n}", "sh", command) for n, command in enumerate(found, start=1)]


def texts(page, language):
    return [block.text for block in blocks(page) if block.language == language]


def copy_of_the_project(folder, *more):
    """The parts of the checkout that a run needs, and what else is named."""
    folder.mkdir(exist_ok=True)
    for name in (*PARTS, *more):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, folder / name)
    return folder
