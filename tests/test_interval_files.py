"""The same rows as CSV, JSON and Parquet, each read by another reader than our own."""

import csv
import json

import numpy as np
import pandas as pd
import pytest

from segment_em import interval_files
from segment_em.errors import InputError
from segment_em.localisation import Localisation

ROWS = [
    Localisation("x4Qp", 0, 15, 3, "Guitar", 0.5),
    Localisation('a,"b"\n', 5, 12, 7, "", 0.123456789),
    Localisation("é", 0, 5, 1831, "Žižkov, Прага", 1.0),
]
NAMES = ["video_id", "start", "end", "class", "name", "score"]


def by_csv(path):
    with open(path, encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    numbers = {"start": int, "end": int, "class": int, "score": float}
    return [{key: numbers.get(key, str)(value) for key, value in row.items()} for row in found]


def by_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def by_pandas(path):
    return pd.read_parquet(path).to_dict("records")


READERS = {".csv": by_csv, ".json": by_json, ".parquet": by_pandas}


@pytest.mark.parametrize("ending", READERS)
@pytest.mark.parametrize("rows", [ROWS, ROWS[:1], []], ids=["three", "one", "none"])
def test_another_reader_finds_the_rows_in_their_order(tmp_path, ending, rows):
    path = tmp_path / f"found{ending}"
    assert interval_files.write(path, iter(rows)) == len(rows)
    found = READERS[ending](path)
    assert [list(row) for row in found] == [NAMES] * len(rows)
    assert [tuple(row.values())[:5] for row in found] == [row[:5] for row in rows]
    np.testing.assert_allclose([row["score"] for row in found], [r.score for r in rows], rtol=1e-5)


def test_parquet_has_the_types_of_the_columns_even_where_nothing_was_found(tmp_path):
    interval_files.write(tmp_path / "found.parquet", [])
    table = pd.read_parquet(tmp_path / "found.parquet")
    assert list(table) == NAMES
    kinds = [table[name].dtype for name in ("start", "end", "class", "score")]
    assert kinds == [np.int64, np.int64, np.int64, np.float32]


def test_parquet_is_written_in_slabs(tmp_path, monkeypatch):
    monkeypatch.setattr(interval_files, "SLAB", 2)
    assert interval_files.write(tmp_path / "found.parquet", ROWS) == 3
    assert [row["class"] for row in by_pandas(tmp_path / "found.parquet")] == [3, 7, 1831]


def test_an_ending_in_capitals_is_known(tmp_path):
    interval_files.write(tmp_path / "FOUND.JSON", ROWS)
    assert len(by_json(tmp_path / "FOUND.JSON")) == 3


@pytest.mark.parametrize("name", ["found.txt", "found", "found.csv.gz"])
def test_an_unknown_ending_is_refused_with_the_known_ones(tmp_path, name):
    with pytest.raises(InputError, match=r"unknown ending '.*'; give \.csv, \.json or \.parquet"):
        interval_files.write(tmp_path / name, ROWS)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", READERS)
def test_a_failure_half_way_leaves_the_old_file_as_it_was(tmp_path, ending):
    def rows():
        yield ROWS[0]
        raise RuntimeError

    path = tmp_path / f"found{ending}"
    path.write_text("old")
    with pytest.raises(RuntimeError):
        interval_files.write(path, rows())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
