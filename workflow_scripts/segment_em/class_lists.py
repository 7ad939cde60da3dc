"""The two CSV files about classes: which are localised, and what classes are called.

Nothing heavy is imported: the workflow reads them at each start.
"""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from segment_em.errors import InputError


def read_class_list(path: str | Path) -> list[int]:
    """Class ids of a CSV file with a column Index, ascending.

    Raises InputError where the column is missing, or an id is no integer >= 0 or is there twice.
    """
    return sorted(_rows_by_id(path, ["Index"]))


def read_vocabulary(path: str | Path) -> dict[int, str]:
    """Class id -> name of a CSV file with columns Index and Name; raises as read_class_list."""
    return {number: row["Name"] for number, row in _rows_by_id(path, ["Index", "Name"]).items()}


def _rows_by_id(path: str | Path, columns: Sequence[str]) -> dict[int, dict[str, str]]:
    rows: dict[int, dict[str, str]] = {}
    for line, row in _csv_rows(path, columns):
        text = (row["Index"] or "").strip()
        if not (text.isascii() and text.isdigit()):
            raise InputError(f"{path}: line {line}: Index {text!r} is no class id: correct it")
        if int(text) in rows:
            raise InputError(f"{path}: line {line}: class {text} is there twice: remove one")
        rows[int(text)] = row
    if not rows:
        raise InputError(f"{path}: holds no class: give at least one")
    return rows


def _csv_rows(path: str | Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = set(columns) - set(reader.fieldnames or ())
            if missing:
                raise InputError(f"{path}: no column {min(missing)}: its first line must name it")
            for row in reader:
                yield reader.line_num, row
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}): check the path") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path}: is no UTF-8 CSV file ({error}): correct it") from error
