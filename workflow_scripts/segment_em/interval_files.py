"""Files of intervals for people and programs: CSV, JSON or Parquet, by the ending.

Rows are written as they come, so that a file may hold more than fits into memory.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from segment_em.errors import InputError
from segment_em.files import replacing
from segment_em.localisation import SLAB, Localisation, write_localisations

# Names and Parquet types of the columns, in the order of Localisation.
COLUMNS = {
    "video_id": "string",
    "start": "int64",
    "end": "int64",
    "class": "int64",
    "name": "string",
    "score": "float32",
}


def require_known(path: str | Path) -> None:
    """Raise InputError where the ending is none of those that `write` knows."""
    ending = Path(path).suffix.lower()
    if ending not in WRITERS:
        *others, last = WRITERS
        raise InputError(f"{path}: unknown ending '{ending}'; give {', '.join(others)} or {last}")


def write(path: str | Path, rows: Iterable[Localisation]) -> int:
    """Write the rows in the format that the ending says; returns their number.

    CSV as localisation.write_localisations has it; JSON is a list of objects; the columns are the
    same in each. Scores have six significant digits in text, and are float32 in Parquet.
    """
    require_known(path)
    count = 0

    def counted() -> Iterator[Localisation]:
        nonlocal count
        for count, row in enumerate(rows, start=1):  # noqa: B007
            yield row

    WRITERS[Path(path).suffix.lower()](path, counted())
    return count


def _write_json(path: str | Path, rows: Iterable[Localisation]) -> None:
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        separator = "[\n"
        for row in rows:
            values = dict(zip(COLUMNS, row, strict=True)) | {"score": float(f"{row.score:.6g}")}
            file.write(separator + json.dumps(values, ensure_ascii=False))
            separator = ",\n"
        file.write("[]\n" if separator == "[\n" else "\n]\n")


def _write_parquet(path: str | Path, rows: Iterable[Localisation]) -> None:
    pa, parquet = _pyarrow(path)
    schema = pa.schema(list(COLUMNS.items()))
    rows = iter(rows)
    with replacing(path) as temporary, parquet.ParquetWriter(temporary, schema) as file:
        while slab := list(islice(rows, SLAB)):
            columns = zip(*slab, strict=True)
            arrays = [
                pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)
            ]
            file.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _pyarrow(path: str | Path) -> tuple[Any, Any]:
    # Here, since it takes a quarter of a second and only this format needs it.
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise InputError(
            f"{path}: Parquet needs pyarrow ({error}); pip install pyarrow, or write .csv"
        ) from None
    return pyarrow, parquet


WRITERS: dict[str, Callable[[str | Path, Iterable[Localisation]], None]] = {
    ".csv": write_localisations,
    ".json": _write_json,
    ".parquet": _write_parquet,
}
