"""Several experiments side by side: their tables in one, and what differs in how they were made."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from segment_em.errors import InputError
from segment_em.provenance import digest, stamps_below
from segment_em.tables import printable, read_table, write_table


def compare(folders: Sequence[str | Path], out: str | Path, differences_out: str | Path) -> str:
    """Write both tables; returns them for people."""
    write_table(out, joined_tables(folders))
    differing = differences(folders)
    write_table(differences_out, differing)
    return f"{printable(read_table(out))}\n\n{differing.to_string(index=False)}"


def joined_tables(folders: Sequence[str | Path]) -> pd.DataFrame:
    """The rows of each experiment's table.csv behind a column `experiment`, in the order given."""
    tables = []
    for folder in map(Path, folders):
        table = pd.read_csv(folder / "table.csv", keep_default_na=False, dtype=str)
        table.insert(0, "experiment", folder.name)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def differences(folders: Sequence[str | Path]) -> pd.DataFrame:
    """What differs in settings, code and index, from the stamps beside the experiments' results.

    Columns: setting, a column an experiment, where: the results that it decided. A setting is a
    dotted key, such as threshold.share, `code: <module>` or `index`. Results that only some of the
    experiments have are told by the setting `result`, as present in them. Raises InputError if an
    experiment has no stamps.
    """
    experiments = {Path(folder).name: _settings(Path(folder)) for folder in folders}
    groups: dict[tuple[str, ...], list[str]] = {}
    for where in sorted(set().union(*experiments.values())):
        found = [settings.get(where) for settings in experiments.values()]
        for setting, values in _differing(found):
            groups.setdefault((setting, *values), []).append(where)
    rows = [[*key, " ".join(where)] for key, where in sorted(groups.items())]
    return pd.DataFrame(rows, columns=["setting", *experiments, "where"])


def _differing(found: Sequence[Mapping[str, Any] | None]) -> Iterator[tuple[str, list[str]]]:
    """(setting, a text an experiment) where not all are the same."""
    if None in found:
        yield "result", ["present" if settings is not None else "" for settings in found]
        return
    for setting in sorted(set().union(*found)):
        texts = [json.dumps(settings[setting]) if setting in settings else "" for settings in found]
        if len(set(texts)) > 1:
            yield setting, texts


def _settings(folder: Path) -> dict[str, dict[str, Any]]:
    """{result: its settings, flat} of an experiment, and under "data" its index."""
    found: dict[str, dict[str, Any]] = {}
    index: dict[str, str] = {}
    for where, stamp in stamps_below(folder).items():
        code = {f"code: {module}": digits for module, digits in stamp["code"].items()}
        found[where] = dict(_flat(stamp["config"])) | code
        index |= {name: digits for name, digits in stamp["inputs"].items() if _is_index(name)}
    if not found:
        raise InputError(f"{folder}: nothing here tells how it was made; run the experiment again")
    names = sorted({Path(name).parts[-3] for name in index})
    return found | {"data": {"index": f"{' '.join(names)} {digest(index)}"}}


def _is_index(name: str) -> bool:
    # results/index/<name>/<split>/<chunk>.h5
    return Path(name).parts[-4:-3] == ("index",)


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys of nested mappings; lists are values."""
    if not isinstance(value, Mapping):
        yield key, value
        return
    for name, item in value.items():
        yield from _flat(item, f"{key}.{name}" if key else name)
