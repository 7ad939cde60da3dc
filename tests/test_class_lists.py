"""The lists of classes: read whatever their order, refused where they cannot be meant."""

import csv

import pytest

from segment_em.class_lists import read_class_list, read_vocabulary
from segment_em.errors import InputError


def csv_file(path, *rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


def test_class_list_is_sorted_whatever_its_order(tmp_path):
    path = csv_file(tmp_path / "classes.csv", ["Index"], [1831], [3], [70])
    assert read_class_list(path) == [3, 70, 1831]


def test_vocabulary_ignores_other_columns(tmp_path):
    path = csv_file(
        tmp_path / "v.csv", ["Url", "Name", "Index"], ["u", "Rock, paper", 1], ["", "é", 0]
    )
    assert read_vocabulary(path) == {1: "Rock, paper", 0: "é"}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([["Id"], [3]], "no column Index: its first line must name it, and names 'Id'"),
        ([["Index;Name"], ["3;a"]], "and names 'Index;Name'"),
        ([["Index"], [3], [3]], "line 3: class 3 is there twice"),
        ([["Index"], ["3.5"]], "line 2: Index '3.5' is no class id"),
        ([["Index"], [-1]], "line 2: Index '-1' is no class id"),
        ([["Index"], [2**63]], "line 2: Index '9223372036854775808' is no class id"),
        ([["Index", "Name"], [3, "Rock", " paper"]], "line 2: more than 2 fields: quote"),
        ([["Index"]], "holds no class"),
        ([], "no column Index: its first line must name it, and names nothing"),
    ],
)
def test_class_lists_that_cannot_be_meant_are_an_error(tmp_path, rows, expected):
    with pytest.raises(InputError, match=expected):
        read_class_list(csv_file(tmp_path / "classes.csv", *rows))


def test_a_name_may_be_empty_but_not_missing(tmp_path):
    path = tmp_path / "v.csv"
    path.write_text("Index,Name\n3,\n")
    assert read_vocabulary(path) == {3: ""}
    path.write_text("Index,Name\n3,Rock\n4\n")
    with pytest.raises(InputError, match=r"v.csv: line 3: has no Name: add it, or a comma"):
        read_vocabulary(path)


def test_missing_class_list_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_class_list(tmp_path / "none.csv")
