"""Digests of the code that a script really runs: what a rerun should depend on.

A module's digest is taken over its syntax tree without docstrings, so that comments, formatting, a
touch or a checkout change nothing. The modules are those that the script reaches through imports,
and the plug-ins that it loads by name. The parts of a page that a package holds are part of its
__init__; what else lies there (an editor's swap file, say) is not.
"""

import ast
import hashlib
import sys
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

LIBRARY = Path(__file__).parent
PAGE_PARTS = (".css", ".html", ".js")
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def code_digests(script: str | Path, plugins: Iterable[str] = ()) -> dict[str, str]:
    """Digest of each module in the import closure of `script` and of `plugins`.

    script: path of an adapter. plugins: paths inside the library, such as "models/bigru.py".
    Returns {module, by its path from the library's parent: 16 hex digits}.
    """
    pending = [Path(script).resolve(), *(LIBRARY / plugin for plugin in plugins)]
    seen: set[Path] = set()
    while pending:
        path = pending.pop()
        if path not in seen:
            seen.add(path)
            pending.extend(_imported_files(path))
    return {str(path.relative_to(LIBRARY.parent)): _digest(path) for path in sorted(seen)}


def loaded_digests(script: str | Path) -> dict[str, str]:
    """Digest of `script` and of each library module that this process has loaded by now.

    A module's digest is that of the first call after it was loaded, since a file may be edited
    while a job runs for days. A script that does not stand beside the library (a test, a notebook)
    has no digest.
    """
    names = [name for name in sys.modules if name.partition(".")[0] == LIBRARY.name]
    files = {Path(script).resolve(), *(Path(sys.modules[name].__file__) for name in names)}
    ours = sorted(path for path in files if path.is_relative_to(LIBRARY.parent))
    return {str(path.relative_to(LIBRARY.parent)): _digest(path) for path in ours}


def load_plugin(name: str) -> ModuleType:
    """The module segment_em.<name>; its digest is that of now."""
    module = import_module(f"{LIBRARY.name}.{name}")
    _digest(Path(module.__file__))
    return module


@cache
def _tree(path: Path) -> ast.Module:
    """The module without docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return tree


@cache
def _digest(path: Path) -> str:
    # unparse rather than dump: dump's text differs between Python versions.
    found = hashlib.sha256(ast.unparse(_tree(path)).encode())
    if path.name == "__init__.py":
        for file in sorted(path.parent.glob("[!.]*")):
            if file.suffix in PAGE_PARTS:
                found.update(file.name.encode() + file.read_bytes())
    return found.hexdigest()[:16]


@cache
def _imported_files(path: Path) -> tuple[Path, ...]:
    names: set[str] = set()
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(path, node)
            # `from package import module` names a module only if such a file exists.
            names.add(base)
            names.update(f"{base}.{alias.name}" for alias in node.names)
    return tuple(file for name in sorted(names) for file in _library_files(name))


def _absolute(path: Path, node: ast.ImportFrom) -> str:
    if node.level == 0:
        return node.module or ""
    package = path.parents[node.level - 1].relative_to(LIBRARY.parent)
    return ".".join([*package.parts, *([node.module] if node.module else [])])


def _library_files(name: str) -> list[Path]:
    """The files that importing `name` runs: its own and the __init__ of each parent package."""
    parts = name.split(".")
    if parts[0] != LIBRARY.name:
        return []
    own = LIBRARY.parent.joinpath(*parts).with_suffix(".py")
    packages = [
        LIBRARY.parent.joinpath(*parts[:n], "__init__.py") for n in range(1, len(parts) + 1)
    ]
    return [file for file in [own, *packages] if file.is_file()]
