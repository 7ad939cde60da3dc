"""Pseudo-labels: what is read back, and made into label sets."""

import os
import resource
import sys
from types import SimpleNamespace

import h5py
import numpy as np
import pandas as pd
import pytest

from segment_em import estimators, label_set_files, labels, pseudo_label_files
from segment_em.calibration import Calibration
from segment_em.errors import InputError
from segment_em.estimators import video_prior
from segment_em.label_sets import label_set
from segment_em.tables import write_table

CLASS_IDS = np.array([3, 8, 20])
# Two videos of two and one segments; video a carries class 3, video b class 20.
SCORES = np.array([[0.9, 0.6, 0.02], [0.2, 0.7, 0.8], [0.5, 0.01, 0.04]], np.float32)
CARRIED = np.array([[1, 0, 0], [1, 0, 0], [0, 0, 1]], bool)
SPREAD = np.array([[0.125, 0.25, 0], [0.5, 0, 0], [0.25, 0, 0.375]], np.float32)


def rule_of(estimation, delta, **changes):
    plain = {"calibration": None, "soft": False, "agreement": False}
    keep = estimators.load(estimation)
    return labels.LabelRule(keep, np.full((3, 2), delta), **(plain | changes))


@pytest.fixture
def chunk_path(tmp_path):
    path = tmp_path / "000.h5"
    write(path, SCORES, CARRIED, ["a", "b"], [0, 2, 3])
    return path


def write(path, scores, carried, ids, indptr, floor=0.05, top=1, spread=None):
    spread = np.zeros_like(scores) if spread is None else spread
    sparse = pseudo_label_files.sparse_scores(scores, carried, floor, top, spread)
    pseudo_label_files.write_pseudo_labels(
        path, sparse, ids, np.array(indptr), CLASS_IDS, {"config": "{}"}
    )


@pytest.mark.parametrize(
    ("estimation", "expected"),
    [
        ("video_prior", {("a", 0, 0)}),
        ("label_corrected", {("a", 0, 0), ("a", 0, 1), ("a", 1, 2), ("b", 0, 0)}),
    ],
)
def test_entries_are_the_scores_above_delta(chunk_path, estimation, expected):
    source = labels.PseudoLabels(
        [chunk_path], ["b", "a"], [1, 2], rule_of(estimation, 0.4), CLASS_IDS, np.zeros(3)
    )
    found = source.entries(np.array([0, 1]))
    names = np.array(["b", "a"])[found.clip]
    assert set(zip(names, found.segment, found.column, strict=True)) == expected
    assert (found.value == 1).all()


def test_videos_are_found_in_whichever_chunk_they_are(tmp_path):
    write(tmp_path / "0.h5", SCORES[2:], CARRIED[2:], ["b"], [0, 1])
    write(tmp_path / "1.h5", SCORES[:2], CARRIED[:2], ["a"], [0, 2])
    source = labels.PseudoLabels(
        [tmp_path / "0.h5", tmp_path / "1.h5"],
        ["a", "b"],
        [2, 1],
        rule_of("video_prior", 0.0),
        CLASS_IDS,
        np.zeros(3),
    )
    found = source.entries(np.array([0, 1]))
    assert sorted(zip(found.clip, found.segment, found.column, strict=True)) == [
        (0, 0, 0),
        (0, 1, 0),
        (1, 0, 2),
    ]


def test_no_chunk_stays_open(tmp_path):
    paths = [tmp_path / f"{number}.h5" for number in range(20)]
    for number, path in enumerate(paths):
        write(path, SCORES[:2], CARRIED[:2], [f"v{number}"], [0, 2])
    open_before = len(os.listdir("/proc/self/fd"))
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_before + 20, allowed[1]))
    try:
        label_set(paths, "video_prior", "fixed", {"delta": 0.4}, None, 0.0)
        ids = [f"v{number}" for number in range(20)]
        source = labels.PseudoLabels(
            paths, ids, [2] * 20, rule_of("video_prior", 0.4), CLASS_IDS, np.zeros(3)
        )
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, allowed)
    assert len(os.listdir("/proc/self/fd")) == open_before
    assert len(source.entries(np.arange(20)).clip) == 20


def test_a_video_without_scores_is_named(chunk_path):
    with pytest.raises(InputError, match="no scores for video 'c'"):
        labels.PseudoLabels(
            [chunk_path], ["a", "c"], [2, 1], rule_of("video_prior", 0.4), CLASS_IDS, np.zeros(3)
        )


@pytest.mark.parametrize("segments", [1, 3])
def test_a_video_of_which_another_number_of_segments_was_scored_is_named(chunk_path, segments):
    told = f"scores of 2 segments of video 'a', which is read as {segments} \\(data.max_frames"
    with pytest.raises(InputError, match=told):
        labels.PseudoLabels(
            *([chunk_path], ["b", "a"], [1, segments], rule_of("video_prior", 0.4)),
            *(CLASS_IDS, np.zeros(3)),
        )


def test_the_same_scores_give_the_same_bytes(tmp_path, chunk_path):
    write(tmp_path / "again.h5", SCORES, CARRIED, ["a", "b"], [0, 2, 3])
    assert (tmp_path / "again.h5").read_bytes() == chunk_path.read_bytes()


def test_another_encoding_version_is_refused(chunk_path):
    with h5py.File(chunk_path, "a") as file:
        file.attrs["encoding-version"] = "9.0"
    with pytest.raises(InputError, match=r"000\.h5: encoding is .* 9\.0, this version reads"):
        labels.read_chunk(chunk_path)


def test_a_cut_file_is_refused(chunk_path):
    chunk_path.write_bytes(chunk_path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"000\.h5: not a readable HDF5 file"):
        labels.read_chunk(chunk_path)


def test_label_set_counts_by_hand(chunk_path):
    table = label_set([chunk_path], "label_corrected", "fixed", {"delta": 0.4}, None, 0.0)
    expected = pd.DataFrame(
        {
            "class": [3, 8, 20],
            "threshold_others": [0.4, 0.4, 0.4],
            "threshold": [0.4, 0.4, 0.4],
            "videos": [1, 0, 1],  # a carries 3, b carries 20
            "videos_with_positive": [1, 0, 0],  # b's own 0.04 for class 20 is too low
            "positives": [2, 1, 1],
            "score_sum": [float(np.float16(0.9)) + 0.5, np.float16(0.6), np.float16(0.8)],
            "segments": [3, 3, 3],
        }
    )
    pd.testing.assert_frame_equal(table, expected, check_dtype=False)


def test_a_label_set_is_read_as_it_was_made_also_of_a_class_that_scores_zero(tmp_path):
    scores = np.where(np.arange(3) == 1, 0, SCORES).astype(np.float32)
    write(tmp_path / "0.h5", scores, np.ones((3, 3), bool), ["a", "b"], [0, 2, 3])
    options = {"share": 0.35, "other_share": 0.05}
    table = label_set([tmp_path / "0.h5"], "video_prior", "class_quantile", options, None, 0.0)
    assert table["threshold"][1] < 0  # so that its best segments are labelled all the same
    write_table(tmp_path / "set.csv", table)
    found = pd.DataFrame(label_set_files.read(tmp_path / "set.csv"))
    pd.testing.assert_frame_equal(found, table)


def test_label_set_does_not_depend_on_the_chunks(tmp_path, chunk_path):
    write(tmp_path / "a.h5", SCORES[:2], CARRIED[:2], ["a"], [0, 2])
    write(tmp_path / "b.h5", SCORES[2:], CARRIED[2:], ["b"], [0, 1])
    quantile = {"share": 0.5, "other_share": 0.2}
    for rule, options in [("fixed", {"delta": 0.4}), ("class_quantile", quantile)]:
        whole = label_set([chunk_path], "video_prior", rule, options, None, 0.0)
        parts = label_set(
            [tmp_path / "a.h5", tmp_path / "b.h5"], "video_prior", rule, options, None, 0.0
        )
        pd.testing.assert_frame_equal(whole, parts)


def test_thresholds_below_what_is_stored_are_warned_of(tmp_path, caplog):
    """The first class's best score is .03: elsewhere neither .01 nor .04 would be stored."""
    scores = np.array([[0.03, 0.02, 0], [0.01, 0.9, 0]], np.float32)
    carried = np.array([[True, False, False], [False, True, False]])
    write(tmp_path / "x.h5", scores, carried, ["a", "b"], [0, 1, 2])
    options = {"share": 0.5, "other_share": 0.5}
    label_set([tmp_path / "x.h5"], "video_prior", "class_quantile", options, None, 0.05)
    assert "em.keep.floor" not in caplog.text
    label_set([tmp_path / "x.h5"], "label_corrected", "class_quantile", options, None, 0.05)
    assert "label_corrected: 1 of 2 classes have thresholds outside their videos" in caplog.text


def test_starved_classes_are_warned_of(chunk_path, caplog):
    label_set([chunk_path], "video_prior", "fixed", {"delta": 0.4}, None, 0.0)
    assert "1 of 2 classes that videos carry have no positive segment: 20" in caplog.text


def test_an_e_step_without_any_positive_stops_and_names_delta_and_the_highest_score(chunk_path):
    with pytest.raises(InputError, match=r"'delta': 0\.95.*highest score is 0\.900"):
        label_set([chunk_path], "video_prior", "fixed", {"delta": 0.95}, None, 0.0)


def entries_of(chunk_path, rule, video="a"):
    """{(segment, column): (value, weight)}."""
    found = labels.PseudoLabels(
        [chunk_path], [video], [{"a": 2, "b": 1}[video]], rule, CLASS_IDS, np.zeros(3)
    ).entries(np.array([0]))
    places = zip(found.segment.tolist(), found.column.tolist(), strict=True)
    return dict(zip(places, zip(found.value, found.weight, strict=True), strict=True))


@pytest.mark.parametrize(
    "keep",
    [lambda s, t, v: (s > t) * 1, lambda s, t, v: (s > t)[:1], lambda s, t, v: None],
)
def test_an_estimator_that_returns_no_mask_is_named(chunk_path, monkeypatch, keep):
    keep.__module__ = "segment_em.estimators.mine"
    monkeypatch.setattr(video_prior, "keep", keep)
    with pytest.raises(InputError, match=r"estimators\.mine: keep must return an array of bool"):
        label_set([chunk_path], "video_prior", "fixed", {"delta": 0.4}, None, 0.0)


def test_soft_labels_are_the_teachers_scores_where_the_estimator_keeps_them(chunk_path):
    found = entries_of(chunk_path, rule_of("label_corrected", 0.4, soft=True))
    expected = {(0, 0): 0.9, (0, 1): 0.6, (1, 2): 0.8}
    assert {place: value for place, (value, _) in found.items()} == pytest.approx(
        expected, rel=1e-3
    )


def test_where_teachers_disagree_a_label_counts_less_kept_or_not(tmp_path):
    write(tmp_path / "x.h5", SCORES, CARRIED, ["a", "b"], [0, 2, 3], spread=SPREAD)
    found = entries_of(tmp_path / "x.h5", rule_of("label_corrected", 0.4, agreement=True))
    assert found == {(0, 0): (1, 0.75), (0, 1): (1, 0.5), (1, 0): (0, 0.0), (1, 2): (1, 1.0)}


def test_calibrated_scores_are_thresholded_and_nothing_is_estimated_again(chunk_path):
    """An offset of log 9 takes odds of 1 / 4 (0.2) to 9 / 4, a score of 9 / 13."""
    calibration = Calibration(1.0, 0.0, {3: float(np.log(9))})
    taken = rule_of("video_prior", 0.6, calibration=calibration, soft=True)
    found = entries_of(chunk_path, taken)
    assert found[(1, 0)][0] == pytest.approx(9 / 13, rel=1e-3)
    table = label_set([chunk_path], "video_prior", "fixed", {"delta": 0.6}, calibration, 0.0)
    assert table["positives"].tolist() == [2, 0, 0]
    expected = 9 / 13 + 81 / 82  # 0.9 has odds of 9, then 81
    assert table["score_sum"][0] == pytest.approx(expected, rel=1e-3)


def test_an_estimator_of_ones_own_that_keeps_nothing_is_named(chunk_path, monkeypatch):
    nothing = SimpleNamespace(keep=lambda scores, *_: scores > 2, __file__=__file__)
    monkeypatch.setitem(sys.modules, "segment_em.estimators.mine", nothing)
    told = (
        r"E-step \(mine\): no segment passes .* 0\.900; look at thresholds/class_quantile\.py and"
    )
    options = {"share": 0.5, "other_share": 0.5}
    with pytest.raises(InputError, match=told + r" estimators/mine\.py"):
        label_set([chunk_path], "mine", "class_quantile", options, None, 0.0)
