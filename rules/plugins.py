"""Models, estimators and threshold rules as files: which there are, and what options each takes.

Read from their syntax, since importing a model would import torch at each start of Snakemake.
"""

import ast
from functools import cache
from pathlib import Path
from typing import Any

LIBRARY = Path(__file__).parent.parent / "workflow_scripts" / "segment_em"


@cache
def plugins_of(package: str) -> tuple[str, ...]:
    files = sorted((LIBRARY / package).glob("*.py"))
    return tuple(file.stem for file in files if not file.stem.startswith("_"))


@cache
def signature(file: str, function: str) -> dict[str, str] | None:
    """{keyword-only argument: its annotation} of a function in a plug-in; None without the file."""
    path = LIBRARY / file
    if path.stem not in plugins_of(path.parent.name):
        return None
    body = ast.parse(path.read_text(encoding="utf-8")).body
    for name in function.split("."):
        node = next(n for n in body if getattr(n, "name", None) == name)
        body = node.body
    return {argument.arg: ast.unparse(argument.annotation) for argument in node.args.kwonlyargs}


def parted(annotation: str) -> tuple[str, list[str]]:
    """Annotated[int, "at least 1"] -> int and its rules; any other annotation and no rules."""
    tree = ast.parse(annotation, mode="eval").body
    if not (isinstance(tree, ast.Subscript) and ast.unparse(tree.value) == "Annotated"):
        return annotation, []
    kind, *rules = tree.slice.elts
    return ast.unparse(kind), [ast.literal_eval(rule) for rule in rules]


def fits(value: Any, annotation: str) -> bool:
    """Whether a value is of an annotated type: int, float, bool, str or Literal[...]."""
    if annotation.startswith("Literal["):
        return value in ast.literal_eval(annotation.removeprefix("Literal"))
    types = {"int": int, "float": float, "bool": bool, "str": str}
    return isinstance(value, types[annotation]) and (
        annotation == "bool" or not isinstance(value, bool)
    )
