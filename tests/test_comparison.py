"""Experiments side by side: reference are stamps written by hand."""

import json

import pandas as pd
import pytest

from segment_em import comparison
from segment_em.errors import InputError


def experiment(folder, name, results):
    """results: {path: (config, code, inputs)}"""
    for path, (config, code, inputs) in results.items():
        target = folder / name / path
        target.parent.mkdir(parents=True, exist_ok=True)
        stamp = {"config": config, "code": code, "inputs": inputs}
        target.write_text(json.dumps({"stamp": stamp}))
    return folder / name


def found(*folders):
    table = comparison.differences(folders)
    return {row[0]: tuple(row[1:]) for row in table.itertuples(index=False)}, list(table)


def test_settings_and_code_that_differ_are_told_with_where(tmp_path):
    a = experiment(
        tmp_path,
        "a",
        {
            "x.json": ({"t": {"share": 0.3, "rule": "q"}}, {"m.py": "1"}, {}),
            "y.how.json": ({"t": {"share": 0.3, "rule": "q"}}, {"m.py": "1"}, {}),
        },
    )
    b = experiment(
        tmp_path,
        "b",
        {
            "x.json": ({"t": {"share": 0.5, "rule": "q"}}, {"m.py": "1"}, {}),
            "y.how.json": ({"t": {"share": 0.5, "rule": "q"}}, {"m.py": "2"}, {}),
        },
    )
    assert found(a, b) == (
        {"t.share": ("0.3", "0.5", "x y"), "code: m.py": ('"1"', '"2"', "y")},
        ["setting", "a", "b", "where"],
    )


def test_results_that_only_one_has_are_told(tmp_path):
    a = experiment(tmp_path, "a", {"x.json": ({}, {}, {}), "y.json": ({}, {}, {})})
    b = experiment(tmp_path, "b", {"x.json": ({}, {}, {})})
    assert found(a, b)[0] == {"result": ("present", "", "y")}


def test_another_index_is_told_by_name_even_where_settings_agree(tmp_path):
    a = experiment(tmp_path, "a", {"x.json": ({}, {}, {"results/index/one/train/000.h5": "1"})})
    b = experiment(tmp_path, "b", {"x.json": ({}, {}, {"results/index/two/train/000.h5": "1"})})
    (one, two, where), *others = found(a, b)[0].values()
    assert (json.loads(one).split()[0], json.loads(two).split()[0]) == ("one", "two")
    assert where == "data"
    assert not others


def test_tables_stand_under_each_other_to_the_digit(tmp_path):
    for name, value in (("a", "0.1234567890123456789"), ("b", "")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "table.csv").write_text(f"kind,test_map\nmember,{value}\n")
    table = comparison.joined_tables([tmp_path / "a", tmp_path / "b"])
    expected = {
        "experiment": ["a", "b"],
        "kind": ["member"] * 2,
        "test_map": ["0.1234567890123456789", ""],
    }
    pd.testing.assert_frame_equal(table, pd.DataFrame(expected))


def test_a_folder_without_provenance_is_refused(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(InputError, match="nothing here tells how it was made"):
        comparison.differences([tmp_path / "a"])
