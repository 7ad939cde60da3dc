"""table.csv from the results of a small experiment, by hand."""

import json

import pandas as pd
import pytest

from segment_em import tables


def test_a_class_may_be_called_a_number_or_na(tmp_path):
    (tmp_path / "a.csv").write_text("class,name,ap\n3,7,0.5\n5,NA,\n8,,1\n")
    table = tables.read_table(tmp_path / "a.csv")
    assert table["name"].fillna("").tolist() == ["7", "NA", ""]
    (tmp_path / "a.csv").write_text("class,name\n3,7\n5,8\n")
    assert tables.read_table(tmp_path / "a.csv")["name"].tolist() == ["7", "8"]


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    """Results of one iteration with one member, its control, and both ensembles."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "results/x"

    def write(run, names, score):
        for part, shift in (("validation", 0.0), ("test", -0.1)):
            path = folder / run / f"{part}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            results = {
                name: {
                    "scorer": f"results/x/{run}/{name}.safetensors",
                    "map": score + shift,
                    "map_sd": 0.01,
                }
                for name in names
            }
            path.write_text(json.dumps({"results": results}))

    write("em/iteration-0/logistic", tables.STAGES, 0.5)
    write("em/iteration-1/bigru@video_prior", tables.STAGES, 0.6)
    write("controls/bigru", tables.STAGES, 0.55)
    write("ensemble", ["ensemble"], 0.6)
    write("controls/ensemble", ["ensemble"], 0.55)
    for i, run in enumerate(("logistic/pretrained", "bigru@video_prior/finetuned")):
        weights = f"results/x/em/iteration-{i}/{run}.safetensors"
        path = folder / f"em/iteration-{i}/selected.json"
        path.write_text(json.dumps({"selected": {"weights": weights}}))
    return sorted(path.relative_to(tmp_path) for path in folder.rglob("*.json"))


def test_each_stage_and_ensemble_has_its_row(experiment):
    table = tables.results_table(experiment, [["logistic"], ["bigru@video_prior"]], ["bigru"])
    rows = list(table.fillna("").itertuples(index=False, name=None))
    assert [row[:5] for row in rows] == [
        ("member", 0, "logistic", "video_labels", "pretrained"),
        ("member", 0, "logistic", "video_labels", "finetuned"),
        ("member", 1, "bigru", "video_prior", "pretrained"),
        ("member", 1, "bigru", "video_prior", "finetuned"),
        ("ensemble", 1, "mean", "", ""),
        ("control", "", "bigru", "video_labels", "pretrained"),
        ("control", "", "bigru", "video_labels", "finetuned"),
        ("control_ensemble", "", "mean", "", ""),
    ]
    assert table["selected"].tolist() == [1, 0, 0, 1, 0, 0, 0, 0]
    assert table["test_map"].tolist() == pytest.approx([0.4, 0.4, 0.5, 0.5, 0.5, 0.45, 0.45, 0.45])


def test_a_mean_that_teaches_has_a_row_after_its_iterations_members(experiment, tmp_path):
    paths = []
    for part, value in (("validation", 0.7), ("test", 0.65)):
        paths.append(tmp_path / f"results/x/em/iteration-1/ensemble/{part}.json")
        paths[-1].parent.mkdir(parents=True, exist_ok=True)
        paths[-1].write_text(json.dumps({"results": {"ensemble": {"map": value, "map_sd": 0.02}}}))
    found = [*experiment, *(path.relative_to(tmp_path) for path in paths)]
    table = tables.results_table(found, [["logistic"], ["bigru@video_prior"]], [])
    assert table["kind"].tolist() == ["member"] * 4 + ["teacher", "ensemble"]
    row = table.fillna("").iloc[4].tolist()
    assert row == ["teacher", 1, "mean", "", "", 0.7, 0.02, 0.65, 0]


def test_the_table_is_written_with_empty_fields_where_nothing_applies(experiment, tmp_path):
    table = tables.results_table(experiment, [["logistic"], ["bigru@video_prior"]], [])
    table["test_map"] = None
    tables.write_table(tmp_path / "table.csv", table)
    lines = (tmp_path / "table.csv").read_text().splitlines()
    assert lines[0] == ",".join(tables.COLUMNS)
    assert lines[-1] == "ensemble,1,mean,,,0.6,0.01,,0"
    assert len(pd.read_csv(tmp_path / "table.csv")) == 5


def test_the_printed_table_shows_three_places_and_an_asterisk(experiment):
    table = tables.results_table(experiment, [["logistic"], ["bigru@video_prior"]], [])
    printed = tables.printable(table)
    assert "0.600 ± 0.010" in printed
    assert printed.count("*") == 2
    assert "nan" not in printed.lower()


def test_where_no_spread_is_known_none_is_printed(experiment):
    table = tables.results_table(experiment, [["logistic"], ["bigru@video_prior"]], [])
    table["validation_map_sd"] = None
    assert "±" not in tables.printable(table)
    assert "0.600" in tables.printable(table)
