"""Several experiments side by side: their tables in one, and what differs in how they were made."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from segment_em.errors import InputError
from segment_em.provenance import RESULTS, beside, digest, found, is_as_recorded, stamp_beside
from segment_em.tables import printable, read_table, write_table

# What a run is for. An experiment is these, and what they were made from.
TABLE = "table.csv"
WIDEST = 60  # characters of a column, when shown to people
OTHER_ENDS = ("localisations.csv", "submission.csv", "preflight.csv", "report.html")


def compare(folders: Sequence[str | Path], out: str | Path, differences_out: str | Path) -> str:
    """Write both tables; returns them for people."""
    write_table(out, joined_tables(folders))
    differing = differences(folders)
    write_table(differences_out, differing)
    told = "They were made alike."
    if len(differing):
        told = differing.to_string(index=False, max_colwidth=WIDEST)
    return f"{printable(read_table(out))}\n\n{told}"


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
    the table was made, or where what it was made from has changed since.
    """
    experiments = {Path(folder).name: _settings(Path(folder)) for folder in folders}
    groups: dict[tuple[str, ...], list[str]] = {}
    for where in sorted(set().union(*experiments.values())):
        each = [settings.get(where) for settings in experiments.values()]
        for setting, values in _differing(each):
            groups.setdefault((setting, *values), []).append(where)
    rows = [[*key, " ".join(where)] for key, where in sorted(groups.items())]
    return pd.DataFrame(rows, columns=["setting", *experiments, "where"])


def _differing(each: Sequence[Mapping[str, Any] | None]) -> Iterator[tuple[str, list[str]]]:
    """(setting, a text an experiment) where not all are the same."""
    if None in each:
        yield "result", ["present" if settings is not None else "" for settings in each]
        return
    for setting in sorted(set().union(*each)):
        texts = [json.dumps(settings[setting]) if setting in settings else "" for settings in each]
        if len(set(texts)) > 1:
            yield setting, texts


def _settings(folder: Path) -> dict[str, dict[str, Any]]:
    """{result: its settings, flat} of an experiment, and under "data" its index."""
    told: dict[str, dict[str, Any]] = {}
    index: dict[str, str] = {}
    for where, stamp in _made_from(folder).items():
        code = {f"code: {module}": digits for module, digits in stamp["code"].items()}
        # Which weights join an ensemble are files, whose own stamps tell how they were made.
        config = {key: value for key, value in stamp["config"].items() if key != "joins"}
        told[where] = dict(_flat(config)) | code
        index |= {name: digits for name, digits in stamp["inputs"].items() if _is_index(name)}
    names = sorted({Path(name).parts[-3] for name in index})
    return told | {"data": {"index": f"{' '.join(names)} {digest(index)}"}}


def _made_from(folder: Path) -> dict[str, dict[str, Any]]:
    """{result: its stamp} of an experiment's table, of its other ends, and of what made them.

    What lies in the folder beside these is left over from earlier settings, as is an end that is
    not the table's any more; what variations of an ablation share lies in another's folder.
    """
    if stamp_beside(folder / TABLE) is None:
        raise InputError(f"{folder}: nothing here tells how it was made; run the experiment again")
    stamps, changed = _ancestry(folder, TABLE)
    if changed:
        raise InputError(f"{changed}; run the experiment to its end before it is compared")
    for end in OTHER_ENDS:
        if (folder / end).is_file():
            more, changed = _ancestry(folder, end)
            stamps |= {} if changed else more
    return stamps


def _ancestry(folder: Path, end: str) -> tuple[dict[str, dict[str, Any]], str]:
    """{result: its stamp} of an end and all that it was made from, up to the index; and what of
    that is not as it was then, if anything.
    """
    stamps: dict[str, dict[str, Any]] = {}
    pending = [(_where(end), folder / end)]
    while pending:
        where, path = pending.pop()
        stamp = stamp_beside(path)
        if where in stamps or stamp is None:
            continue
        stamps[where] = stamp
        for name, recorded in stamp["inputs"].items():
            source = found(name, recorded, path)
            if _is_index(name) or (source is None and not _is_of_experiment(name)):
                continue  # records and class lists need not be there
            if source is None:
                return {}, f"{path}: {name}, of which it was made, is missing"
            if stamp_beside(source) is None or _tells_of_another(source):
                continue
            if not is_as_recorded(source, recorded):
                return {}, f"{path}: {name}, of which it was made, has changed since"
            pending.append((_where(name), source))
    return stamps, ""


def _where(name: str) -> str:
    """Where a result lies in its experiment, whatever that is called, without the ending."""
    parts = Path(name).parts
    return Path(*parts[2 if parts[0] == RESULTS else 0 :]).with_suffix("").as_posix()


def _is_of_experiment(name: str) -> bool:
    parts = Path(name).parts
    return parts[0] == RESULTS and parts[1] not in ("data", "index")


def _tells_of_another(path: Path) -> bool:
    """Whether a .json is the provenance of the file beside it: its times differ each run."""
    return path.suffix == ".json" and not beside(path).is_file()


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
