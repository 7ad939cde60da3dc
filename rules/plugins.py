"""Models, poolings, estimators, threshold rules as files: which there are, and their options.

Read from their syntax, since importing a model would import torch at each start of Snakemake.
"""

import ast
from functools import cache
from pathlib import Path
from typing import Any

from segment_em.options import BOUNDS, DIVISOR, is_rule

# What the library hands to each function by place; all else is an option.
BY_PLACE = {
    "Model.__init__": ("self", "features", "classes", "segment_frames"),
    "pool": ("logits_BSC", "mask_BS1"),
    "keep": ("scores", "thresholds", "in_video_labels"),
    "thresholds": ("histogram_CN",),
}
WITHOUT_OPTIONS = ("pool", "keep")
LIBRARY = Path(__file__).parent.parent / "workflow_scripts" / "segment_em"
TYPES = {"int": int, "float": float, "bool": bool, "str": str}


class PluginError(ValueError):
    """What is wrong with the file of a model or a rule: one line, with file, line and remedy."""


@cache
def plugins_of(package: str) -> tuple[str, ...]:
    files = sorted((LIBRARY / package).glob("[!.]*.py"))
    return tuple(file.stem for file in files if not file.stem.startswith("_"))


@cache
def signature(file: str, function: str) -> dict[str, str] | None:
    """{keyword-only argument: its annotation} of a function in a plug-in; None without the file.

    Raises PluginError where there is no such function, or an option that no configuration can give.
    """
    path = LIBRARY / file
    if path.stem not in plugins_of(path.parent.name):
        return None
    try:
        node: Any = ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise PluginError(f"{path}:{error.lineno}: {error.msg}") from None
    for name in function.split("."):
        found = [part for part in node.body if getattr(part, "name", None) == name]
        if not found:
            raise PluginError(f"{path}: no {function} in it; docs/models.md and README show one")
        node = found[0]
    _check_by_place(path, node, function)
    names = [option.arg for option in node.args.kwonlyargs]
    return {option.arg: _annotation(path, option, names) for option in node.args.kwonlyargs}


def _check_by_place(path: Path, node: ast.FunctionDef, function: str) -> None:
    wanted = BY_PLACE[function]
    options = "no options" if function in WITHOUT_OPTIONS else "keyword-only options after a *"
    given = [*node.args.posonlyargs, *node.args.args]
    others = [node.args.vararg, node.args.kwarg]
    if function in WITHOUT_OPTIONS:
        others += node.args.kwonlyargs
    if len(given) != len(wanted) or any(others):
        raise PluginError(
            f"{path}:{node.lineno}: {function}({ast.unparse(node.args)}); it is given "
            f"{', '.join(wanted)}, and {options}"
        )


def _annotation(path: Path, option: ast.arg, names: list[str]) -> str:
    """The annotation of an option as text, if it is one that a configuration can fill."""
    where = f"{path}:{option.lineno}: option '{option.arg}'"
    if option.annotation is None:
        raise PluginError(f"{where} has no type; annotate it: int, float, bool, str or Literal")
    annotation = ast.unparse(option.annotation)
    kind, rules = parted(annotation)
    if kind not in TYPES and not kind.startswith("Literal["):
        raise PluginError(f"{where} is {kind}; it can be int, float, bool, str or Literal")
    for rule in rules:
        if not is_rule(rule, names):
            raise PluginError(
                f"{where}: {rule!r} is no rule; write {', '.join(BOUNDS)} and a number, or "
                f"'{DIVISOR}' and another option"
            )
    return annotation


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
        return value in _choices(annotation)
    return isinstance(value, TYPES[annotation]) and (
        annotation == "bool" or not isinstance(value, bool)
    )


def type_of(annotation: str) -> type | None:
    """The type of an option's values; None if a Literal mixes several."""
    if not annotation.startswith("Literal["):
        return TYPES[annotation]
    kinds = {type(value) for value in _choices(annotation)}
    return kinds.pop() if len(kinds) == 1 else None


def _choices(annotation: str) -> list[Any]:
    return ast.literal_eval(annotation.removeprefix("Literal"))
