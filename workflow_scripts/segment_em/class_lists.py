"""The two CSV files about classes: which are localised, and what classes are called.

Nothing heavy is imported: the workflow reads them at each start.
"""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from segment_em.errors import InputError

LARGEST_ID = 2**63 - 1  # ids are int64


def read_class_list(path: str | Path) -> list[int]:
    """Class ids of a CSV file with a column Index, ascending.

    Raises InputError where the column is missing, an id is no integer from 0 to 2^63 - 1 or is
    there twice, or a row has more fields than the first line names.
    """
    return sorted(_rows_by_id(path, ["Index"]))


def read_vocabulary(path: str | Path) -> dict[int, str]:
    """Class id -> name, maybe "", of a CSV file with columns Index and Name.

    Raises InputError as read_class_list, and where a row ends before its name.
    """
    return {number: row["Name"] for number, row in _rows_by_id(path, ["Index", "Name"]).items()}


def _rows_by_id(path: str | Path, columns: Sequence[str]) -> dict[int, dict[str, str]]:
    rows: dict[int, dict[str, str]] = {}
    for line, row in _csv_rows(path, columns):
        text = row["Index"].strip()
        if not (text.isascii() and text.isdigit()) or int(text) > LARGEST_ID:
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
            named = reader.fieldnames or []
            missing = set(columns) - set(named)
            if missing:
                raise InputError(
                    f"{path}: no column {min(missing)}: its first line must name it, and names "
                    f"{', '.join(map(repr, named)) or 'nothing'}"
                )
            for row in reader:
                place = f"{path}: line {reader.line_num}"
                if None in row:  # where DictReader keeps what it has no column for
                    raise InputError(
                        f"{place}: more than {len(named)} fields: quote the one that has a comma"
                    )
                absent = [column for column in columns if row[column] is None]
                if absent:
                    raise InputError(f"{place}: has no {absent[0]}: add it, or a comma alone")
                yield reader.line_num, row
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}): check the path") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path}: is no UTF-8 CSV file ({error}): correct it") from error
