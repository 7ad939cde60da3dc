"""Experiments side by side: reference are stamps written by hand."""

import json

import pandas as pd
import pytest

from segment_em import comparison
from segment_em.errors import InputError
from segment_em.provenance import file_digest


@pytest.fixture
def results(tmp_path, monkeypatch):
    """The folder of results, below the one in which Snakemake runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "results"


def experiment(results, name, made):
    """made: {path: (config, code, inputs)} in the order in which they are made."""
    for path, (config, code, inputs) in made.items():
        target = results / name / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(f"{path} {config}")
        digests = {f"results/{file}": file_digest(results / file) for file in inputs}
        stamp = {"config": config, "code": code, "inputs": digests}
        target.with_suffix(".json").write_text(json.dumps({"stamp": stamp}))
    return results / name


def index(results, name, content="index"):
    path = results / f"index/{name}/train/000.h5"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    return f"index/{name}/train/000.h5"


def found(*folders):
    table = comparison.differences(folders)
    return {row[0]: tuple(row[1:]) for row in table.itertuples(index=False)}, list(table)


def trained(name, share=0.3, code="1"):
    """A run of a model and its table."""
    return {
        "em/x.h5": ({"t": {"share": share, "rule": "q"}}, {"m.py": "1"}, []),
        "table.csv": ({}, {"t.py": code}, [f"{name}/em/x.h5"]),
    }


def test_settings_and_code_that_differ_are_told_with_where(results):
    a = experiment(results, "a", trained("a"))
    b = experiment(results, "b", trained("b", share=0.5, code="2"))
    assert found(a, b) == (
        {"t.share": ("0.3", "0.5", "em/x"), "code: t.py": ('"1"', '"2"', "table")},
        ["setting", "a", "b", "where"],
    )


def test_the_weights_that_join_an_ensemble_are_no_setting(results):
    """They lie in each experiment's own folder; what they are, their own stamps tell."""
    a, b = (
        experiment(results, name, {"table.csv": ({"joins": {f"{name}/x": f"{name}/x"}}, {}, [])})
        for name in ("a", "b")
    )
    assert found(a, b)[0] == {}


def test_results_that_only_one_was_made_from_are_told(results):
    a = experiment(results, "a", trained("a"))
    b = experiment(results, "b", {"table.csv": ({}, {"t.py": "1"}, [])})
    assert found(a, b)[0] == {"result": ("present", "", "em/x")}


def test_what_is_left_over_from_earlier_settings_does_not_count(results):
    left_over = {"em/y.h5": ({"rate": 1}, {}, [])}
    a, b = (
        experiment(results, "a", trained("a") | left_over),
        experiment(results, "b", trained("b")),
    )
    assert found(a, b)[0] == {}


def test_what_another_experiment_shares_counts(results):
    a = experiment(results, "a", trained("a", share=0.5))
    b = experiment(results, "b", {"table.csv": ({}, {"t.py": "1"}, ["a/em/x.h5"])})
    c = experiment(results, "c", trained("c", share=0.3))
    assert found(a, b)[0] == {}
    assert found(b, c)[0] == {"t.share": ("0.5", "0.3", "em/x")}


def test_a_table_that_is_older_than_what_it_was_made_from_is_refused(results):
    a = experiment(results, "a", trained("a"))
    experiment(results, "a", {"em/x.h5": ({"t": {"share": 0.9}}, {}, [])})
    with pytest.raises(InputError, match=r"table\.csv: results/a/em/x\.h5, of which it was made"):
        comparison.differences([a])


def test_a_result_that_is_missing_is_told(results):
    a = experiment(results, "a", trained("a"))
    (a / "em/x.h5").unlink()
    with pytest.raises(InputError, match=r"table\.csv: results/a/em/x\.h5, .* is missing"):
        comparison.differences([a])


def test_an_end_of_earlier_settings_does_not_count(results):
    """A submission that is no longer asked for, made from a model that has been trained again."""
    submission = {"submission.csv": ({"top": 3}, {}, ["a/em/x.h5"])}
    a = experiment(results, "a", trained("a", share=0.5) | submission)
    experiment(results, "a", trained("a"))
    b = experiment(results, "b", trained("b"))
    assert found(a, b)[0] == {}
    more = experiment(results, "a", submission)
    assert found(more, b)[0] == {"result": ("present", "", "submission")}


def test_an_index_that_was_made_again_or_is_gone_stops_no_comparison(results):
    path = index(results, "one")
    a = experiment(results, "a", {"table.csv": ({}, {}, [path])})
    b = experiment(results, "b", {"table.csv": ({}, {}, [path])})
    (results / path).write_text("another")
    assert found(a, b)[0] == {}
    (results / path).unlink()
    assert found(a, b)[0] == {}


def test_times_of_the_jobs_behind_a_report_do_not_count(results):
    a = experiment(results, "a", trained("a"))
    report = {"report.html": ({}, {}, ["a/em/x.json", "a/table.csv"])}
    experiment(results, "a", report)
    path = results / "a/em/x.json"
    path.write_text(path.read_text().replace('"stamp"', '"seconds": 3, "stamp"'))
    b = experiment(results, "b", trained("b"))
    assert found(a, b)[0] == {"result": ("present", "", "report")}


def test_experiments_elsewhere_and_of_any_name_can_be_compared(results, tmp_path):
    experiment(results, "results", trained("results"))
    experiment(results, "b", trained("b", share=0.5))
    results.rename(tmp_path / "moved")
    told = found(tmp_path / "moved/results", tmp_path / "moved/b")[0]
    assert told == {"t.share": ("0.3", "0.5", "em/x")}


def test_another_index_is_told_by_name_even_where_settings_agree(results):
    one, two = index(results, "one"), index(results, "two")
    a = experiment(results, "a", {"table.csv": ({}, {}, [one])})
    b = experiment(results, "b", {"table.csv": ({}, {}, [two])})
    (first, second, where), *others = found(a, b)[0].values()
    assert (json.loads(first).split()[0], json.loads(second).split()[0]) == ("one", "two")
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
