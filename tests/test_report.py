"""The page and its numbers, from result files that never ran."""

import base64
import json
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_records import FEATURES
from small_report import (
    CLASS_IDS,
    HOSTILE,
    LEAST,
    NAMES,
    ODD,
    PAGE,
    PROCESS,
    RUNS,
    SCORERS,
    SHOWN,
    SmallReport,
)

from segment_em import figures, report, report_tables, viewer
from segment_em.index_files import write_index
from segment_em.indexing import build_index
from segment_em.prediction_files import read_predictions
from segment_em.records import encode_example, write_records


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    before = os.getcwd()
    os.chdir(tmp_path_factory.mktemp("small"))
    yield SmallReport()
    os.chdir(before)


@pytest.fixture(scope="module")
def text(small):
    return small.write().read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def data(text):
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.S)[1])


def test_what_people_wrote_never_becomes_markup(text):
    assert "<script>window.broken" not in text
    assert len(re.findall(r"<script\b", text)) == 3
    assert len(re.findall(r"</script>", text)) == 3


def test_the_page_refers_to_nothing_outside_but_its_own_files(text):
    addresses = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert addresses
    assert all(re.match(r"(#|figures/|table\.csv|data:)", address) for address in addresses)


def test_names_and_ids_come_back_as_they_were(data):
    assert [entry["name"] for entry in data["classes"]] == list(NAMES.values())
    assert data["viewer"]["videos"][0]["id"] == "test" + HOSTILE


def scores_of(data, number):
    """uint8 [scorers, classes, segments] of a video, by the layout that viewer_data states."""
    packed = np.frombuffer(base64.b64decode(data["viewer"]["scores"]), np.uint8)
    first = 0
    for video in data["viewer"]["videos"]:
        shape = (len(SCORERS), len(video["classes"]), -(-video["seconds"] // 5))
        if video is data["viewer"]["videos"][number]:
            return packed[first : first + np.prod(shape)].reshape(shape)
        first += np.prod(shape)
    return None


@pytest.mark.parametrize("number", [0, 17, 58, 59, 70])
def test_the_viewer_holds_each_scorers_scores_to_half_a_255th_but_for_the_threshold(
    small, data, number
):
    video = data["viewer"]["videos"][number]
    part = "test" if number < SHOWN["test"] else "validation"
    assert video["part"] == (part == "validation")
    found = scores_of(data, number)
    for place, scorer in enumerate(SCORERS):
        chunk = read_predictions(small.scores[scorer, part])
        row = chunk.video_ids.tolist().index(video["id"])
        first, stop = chunk.video_indptr[row : row + 2]
        expected = np.asarray(chunk.scores[first:stop])[:, video["classes"]].T
        over = expected >= PAGE.threshold
        np.testing.assert_array_equal(found[place] / 255 >= PAGE.threshold, over)
        rounded = np.rint(expected * 255) / 255
        crossing = (rounded >= PAGE.threshold) != over
        tolerance = np.where(crossing, 1 / 255, 0.5 / 255) + 1e-6
        assert (np.abs(found[place] / 255 - expected) <= tolerance).all()


@pytest.mark.parametrize("threshold", [0.0, 0.015, 0.3, 0.5, 0.6, 0.7, 1.0])
def test_no_score_crosses_the_threshold_by_rounding(threshold):
    near = threshold + np.linspace(-0.004, 0.004, 41)
    scores = np.append(near, threshold).clip(0, 1).astype(np.float32)
    found = viewer._bytes(scores, threshold) / 255
    np.testing.assert_array_equal(found >= threshold, scores >= threshold)
    assert np.abs(found - scores).max() <= 1 / 255


def test_a_videos_classes_are_those_rated_labelled_or_true_and_the_highest(data):
    for number, video in enumerate(data["viewer"]["videos"]):
        wanted = {*video["labels"], *video["ratings"][::3], *video["truth"][::3]}
        assert wanted <= set(video["classes"])
        assert len(video["classes"]) == max(PAGE.classes_a_video, len(wanted))
        best = scores_of(data, number)[-1].max(axis=1, initial=0).astype(int)
        assert (np.diff(best) <= 0).all()


def test_a_videos_error_is_its_mean_distance_from_its_ratings(small, data):
    video = data["viewer"]["videos"][3]
    chunk = read_predictions(small.scores["ensemble", "test"])
    first = chunk.video_indptr[chunk.video_ids.tolist().index(video["id"])]
    distances = [
        abs(float(chunk.scores[first + segment, column]) - positive)
        for column, segment, positive in zip(*[iter(video["ratings"])] * 3, strict=True)
    ]
    assert video["error"] == pytest.approx(np.mean(distances), abs=1e-4)


def test_steps_explain_what_changed_and_name_what_estimates(small, data):
    pairs = [(step["before"], step["after"]) for step in data["steps"]]
    assert pairs == [("F0", "ensemble"), ("controls", "ensemble"), ("F0", "T1"), ("T1", "T2")]
    assert all(len(rows) <= 10 for step in data["steps"] for rows in step["segments"].values())
    assert any(step["segments"] for step in data["steps"])
    assert data["columns"] == [*SCORERS, "controls"]
    known = json.loads((small.folder / "em/iteration-1/ensemble/test.json").read_text())
    aps = known["results"]["ensemble"]["ap"]
    assert [entry["ap"][1] for entry in data["classes"]] == [
        pytest.approx(aps[entry["id"]], abs=1e-4) for entry in data["classes"]
    ]


def test_counts_of_ratings_by_class_are_those_of_the_index(small, data):
    from segment_em.index_files import read_index

    ratings = read_index([small.index["test"]]).ratings
    for entry in data["classes"]:
        chosen = ratings.class_id == int(entry["id"])
        assert entry["rated"] == chosen.sum()
        assert entry["positives"] == ratings.positive[chosen].sum()


def maps(**values):
    rows = [("F", 0, "logistic", None, values["first"])]
    rows += [("ensemble", 2, "mean", None, values["ensemble"])]
    if "controls" in values:
        rows += [("control_ensemble", None, "mean", None, values["controls"])]
    table = pd.DataFrame(rows, columns=["kind", "iteration", "model", "x", "validation_map"])
    return table.assign(test_map=table["validation_map"] if values.get("rated", True) else np.nan)


def test_the_result_in_one_sentence():
    assert report.sentence(maps(first=0.7, ensemble=0.8, controls=0.815), PROCESS) == (
        "After 2 iterations of EM the ensemble reaches a test mAP of 0.800, 0.015 below that "
        "of models trained without EM and 0.100 above the model it began with (logistic)."
    )
    one = replace(PROCESS, members=PROCESS.members[:2])
    assert report.sentence(maps(first=0.8, ensemble=0.8, rated=False), one) == (
        "After 1 iteration of EM the ensemble reaches a validation mAP of 0.800, level with the "
        "model it began with (logistic). The test set is not rated; these ratings selected the "
        "models too."
    )


def test_the_table_says_how_far_each_model_is_above_its_control(small):
    table = pd.read_csv(small.folder / "table.csv")
    table.loc[(table["kind"] == "control") & (table["model"] == "early"), "test_map"] = 0.42
    rows = report.table_rows(table)
    gains = {(row["kind"], row["iteration"], row["model"]): row["gain"] for row in rows}
    assert gains["member", 1, "early"] == pytest.approx(0.08)
    assert gains["member", 0, "logistic"] is None
    assert gains["ensemble", 2, "mean"] == pytest.approx(0.65 - 0.6321)
    assert [row["model"] for row in rows if row["selected"]] == ["logistic", "early"]


def results_table_of(text):
    return re.search(r'<table class="results".*?</table>', text, re.S)[0]


def test_means_that_teach_have_rows_and_a_line_of_their_own(small, text):
    assert results_table_of(text).count('<th scope="row">Teacher</th>') == 2
    assert "A teacher is a weighted mean of models" in text
    assert ">teacher</text>" in (small.folder / "figures/map_by_iteration.svg").read_text()


def test_where_f_teaches_the_page_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = SmallReport(teacher="best")
    text = small.write().read_text(encoding="utf-8")
    assert "It estimates the labels of the next iteration." in text
    assert "Teacher" not in results_table_of(text)
    assert ">teacher</text>" not in (small.folder / "figures/map_by_iteration.svg").read_text()
    assert "An iteration is what estimates after it: F." in text
    # F of iteration 2 is that of iteration 1, so nothing is explained between them.
    steps = data_of(small.folder / "report.html")["steps"]
    pairs = [("F0", "ensemble"), ("controls", "ensemble"), ("F0", "F1")]
    assert [(step["before"], step["after"]) for step in steps] == pairs


def test_a_model_that_is_f_before_its_fine_tuning_has_a_row(small):
    table = pd.read_csv(small.folder / "table.csv")
    of_first = (table["kind"] == "member") & (table["iteration"] == 0)
    table.loc[of_first, "selected"] = (table.loc[of_first, "stage"] == "pretrained").astype(int)
    found = [row for row in report.table_rows(table) if row["selected"]]
    assert [(row["model"], row["stage"]) for row in found] == [
        ("logistic", "pretrained"),
        ("early", "finetuned"),
    ]


def test_figures_of_the_same_tables_are_the_same_bytes(small):
    first = {path: Path(path).read_bytes() for path in small.figures}
    assert small._figures() == small.figures
    for path in small.figures:
        assert Path(path).read_bytes() == first[path], path


def test_a_class_is_named_in_a_figure_as_it_is(small):
    drawn = (small.folder / "figures/ap_by_class.svg").read_text()
    assert "<script>window" not in drawn
    assert "&lt;/script&gt;" in drawn


def test_the_names_of_models_stay_within_the_figure(tmp_path):
    names = [f"{number}_a_model_with_a_long_name" for number in range(4)]
    row = {"kind": "member", "iteration": 0, "validation_map": 0.5, "test_map": 0.5}
    table = pd.DataFrame([row | {"model": name} for name in names] + [row | {"kind": "F"}])
    figures.map_by_iteration(table, tmp_path / "figure.svg")
    drawn = (tmp_path / "figure.svg").read_text()
    width = float(re.search(r'viewBox="0 0 ([\d.]+) ', drawn)[1])
    places = [re.search(rf' x="([\d.]+)"[^>]*>{name}<', drawn)[1] for name in names]
    # A letter of 8.5 points is some 4.5 wide.
    assert max(float(x) + 4.5 * len(names[0]) for x in places) < width


def test_precision_and_recall_are_those_of_the_counts(small):
    labels = report_tables.estimated_labels(report_tables.Results(small.results))
    totals = report_tables.label_totals(labels).set_index(["iteration", "estimation"])
    row = totals.loc[(1, "label_corrected")]
    # 31 + 21 + 11 + 5 + 1 labels, of which 15 + 10 + 5 + 2 + 0 are right, of 5 x 25.
    assert row["precision"] == pytest.approx(32 / 69)
    assert row["recall"] == pytest.approx(32 / 125)
    assert row["agreement"] == pytest.approx(64 / 69)
    assert row["videos_with_positive_share"] == pytest.approx(19 / 27)


def test_the_columns_of_classes_are_sorted_by_id(small):
    results = report_tables.Results([*small.results])
    table = report_tables.ap_by_class(results, PROCESS, NAMES)
    assert table["class"].tolist() == CLASS_IDS.tolist()
    known = json.loads((small.folder / "ensemble/test.json").read_text())
    assert table["ensemble"].tolist() == list(known["results"]["ensemble"]["ap"].values())


def test_a_run_without_an_e_step_has_figures_that_say_so(small, tmp_path):
    results = report_tables.Results([])
    labels = report_tables.estimated_labels(results)
    totals = report_tables.label_totals(labels)
    assert totals.empty
    assert {"agreement", "precision", "recall"} <= set(totals)
    for draw, table in (
        (figures.positives_by_class, labels),
        (figures.videos_with_positive, labels),
        (figures.agreement, totals),
        (figures.against_truth, totals),
        (figures.localisation_quality, report_tables.localisation_quality(results)),
    ):
        draw(table, tmp_path / "figure.svg")
        drawn = (tmp_path / "figure.svg").read_text()
        assert "no E-step" in drawn or "not known" in drawn


def test_where_the_test_set_is_not_rated_validation_stands_for_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = SmallReport(rated=False).write().read_text(encoding="utf-8")
    assert re.search(r"reaches a validation mAP of 0\.700, 0\.020 above that", text)
    assert text.count(">not rated<") == len(RUNS) + 4
    assert "The test set is not rated; these ratings selected the models too." in text
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.S)[1])
    assert data["part"] == "validation"
    assert all(None not in entry["ap"] for entry in data["classes"])


def test_the_page_says_by_what_f_was_selected(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = SmallReport().write().read_text(encoding="utf-8")
    assert "was selected, by average precision with each class counted by its rated" in text


def data_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page.read_text("utf-8"), re.S)[1])


def test_a_class_without_positives_has_neither_ap_nor_change_and_stands_in_the_table(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    small = SmallReport(without_positives=[8])
    data = data_of(small.write())
    by_id = {entry["id"]: entry["ap"] for entry in data["classes"]}
    assert by_id["8"] == [None] * len(data["columns"])
    assert all(None not in by_id[number] for number in by_id if number != "8")
    explained = [step["segments"].keys() for step in data["steps"]]
    assert all(explained)
    assert not any("8" in classes for classes in explained)
    drawn = (small.folder / "figures/ap_by_class.svg").read_text()
    assert NAMES[3] in drawn
    assert f">{NAMES[8]}<" not in drawn


def test_a_run_in_which_no_class_has_positives_has_figures_that_say_so(tmp_path):
    table = pd.DataFrame({"class": [3], "name": ["Guitar"], "F0": [np.nan], "ensemble": [np.nan]})
    figures.ap_by_class(table, tmp_path / "figure.svg")
    assert "No class has a rated positive" in (tmp_path / "figure.svg").read_text()


def test_one_class_and_one_video_of_one_frame_are_enough_for_a_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = SmallReport(size=LEAST)
    page = small.write()
    # Nothing scores so high that its precision were known, at some of the thresholds.
    assert "nan %" not in page.read_text(encoding="utf-8")
    data = data_of(page)
    assert [entry["id"] for entry in data["classes"]] == ["3"]
    assert data["totals"] == {"test": 1, "validation": 1}
    videos = data["viewer"]["videos"]
    told = [(one["id"], one["seconds"], one["classes"]) for one in videos]
    assert told == [("test" + HOSTILE, 1, [0]), (ODD, 1, [0])]
    # A byte for each scorer of the one segment and class.
    packed = list(base64.b64decode(data["viewer"]["scores"]))
    known = [
        float(read_predictions(small.scores[scorer, part]).scores[0, 0])
        for part in ("test", "validation")
        for scorer in SCORERS
    ]
    np.testing.assert_allclose(np.divide(packed, 255), known, atol=0.5 / 255 + 1e-6)


def test_records_that_were_skipped_are_told_with_their_place_and_reason(small):
    assert 'id="skipped"' not in small.write().read_text(encoding="utf-8")
    records = small.folder / "train<1>.tfrecord"
    frames = {name: np.zeros((6, width), np.uint8) for name, width in FEATURES.items()}
    payloads = [encode_example(name, np.array([3]), frames, None) for name in ("a", "b", "c")]
    write_records(records, payloads)
    whole = bytearray(records.read_bytes())
    # Each record is 8 + 4 bytes of length, its payload, 4 of CRC: a byte of the second payload.
    second = 16 + len(payloads[0])
    whole[second + 12 + 5] ^= 1
    records.write_bytes(whole)
    index = small.folder / "train.h5"
    write_index(index, build_index([records], FEATURES, 5, skip_damaged=True), {})
    small.train = [str(index)]
    text = small.write().read_text(encoding="utf-8")
    small.train = []
    section = text[text.index('id="skipped"') :]
    assert "1 damaged record was left out" in section
    assert "train&lt;1&gt;.tfrecord" in section
    size = 16 + len(payloads[1])
    cells = "".join(f'<td class="n">{number}</td>' for number in (1, second, size))
    assert cells in section


def test_iterations_are_in_the_order_of_their_numbers():
    names = [f"results/long/em/iteration-{i}/inspection.csv" for i in (10, 2, 1)]
    found = report_tables.Results(names).inspections()
    assert [i for i, _ in found] == [1, 2, 10]
    assert found[-1][1] == "em/iteration-10/inspection.csv"
