"""Several experiments side by side: their tables in one, and what differs in how they were made."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from segment_em.errors import InputError
from segment_em.provenance import RESULTS, digest, found, is_as_recorded, stamp_beside
from segment_em.tables import printable, read_table, write_table

# What a run is for. An experiment is these, and what they were made from.
ENDS = ("table.csv", "localisations.csv", "submission.csv", "preflight.csv", "report.html")


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
    experiments have are told by the setting `result`, as present in them. Of each experiment counts
    what its table, intervals and report were made from. Raises InputError where nothing tells how
    one of these was made, or where its inputs are not what they were then.
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
    for path, stamp in _made_from(folder):
        code = {f"code: {module}": digits for module, digits in stamp["code"].items()}
        found[_within(path)] = dict(_flat(stamp["config"])) | code
        index |= {name: digits for name, digits in stamp["inputs"].items() if _is_index(name)}
    names = sorted({Path(name).parts[-3] for name in index})
    return found | {"data": {"index": f"{' '.join(names)} {digest(index)}"}}


def _made_from(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """(file, stamp) of an experiment's ends and of all that they were made from, up to the index.

    What lies in the folder beside these is left over from earlier settings; what variations of an
    ablation share lies in another's folder.
    """
    if stamp_beside(folder / "table.csv") is None:
        raise InputError(f"{folder}: nothing here tells how it was made; run the experiment again")
    pending = [folder.absolute() / name for name in ENDS if (folder / name).is_file()]
    seen = set(pending)
    while pending:
        path = pending.pop()
        stamp = stamp_beside(path)
        if stamp is None:  # a class list of the user's
            continue
        yield path, stamp
        for name, recorded in stamp["inputs"].items():
            source = found(name, recorded, path)
            if source is None or not is_as_recorded(source, recorded):
                raise InputError(
                    f"{path}: {name}, of which it was made, is no longer what it was; run the "
                    "experiment to its end before it is compared"
                )
            if source not in seen and not _is_index(name):
                seen.add(source)
                pending.append(source)


def _within(path: Path) -> str:
    """Where a result lies in its experiment, whatever that is called, without the ending."""
    parts = path.parts[len(path.parts) - path.parts[::-1].index(RESULTS) :]
    return Path(*parts[1:]).with_suffix("").as_posix()


def _is_index(name: str) -> bool:
    # results/index/<name>/<split>/<chunk>.h5
    return Path(name).parts[-4:-3] == ("index",) and name.endswith(".h5")


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys of nested mappings; lists are values."""
    if not isinstance(value, Mapping):
        yield key, value
        return
    for name, item in value.items():
        yield from _flat(item, f"{key}.{name}" if key else name)
