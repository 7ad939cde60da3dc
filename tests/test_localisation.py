"""Merging against hand computations and a plain loop; the file read by another CSV reader."""

import csv
import math

import numpy as np
import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segment_em.localisation import Localisation, merge, rows_of, write_localisations


def as_tuples(intervals):
    return list(zip(*(array.tolist() for array in intervals), strict=True))


def merged(scores, frames, threshold=0.5):
    scores = np.array(scores, np.float32)
    return as_tuples(merge(scores, np.array(frames, np.int64), 5, threshold))


def by_loop(scores, frames, segment_frames, threshold):
    """The definition: walk through each video and class, second by second."""
    rows, first = [], 0
    for video, count in enumerate(frames):
        segments = math.ceil(count / segment_frames)
        for column in range(scores.shape[1]):
            run = []
            for s in range(segments + 1):
                if s < segments and scores[first + s, column] >= threshold:
                    run.append(float(scores[first + s, column]))
                elif run:
                    start, end = (s - len(run)) * segment_frames, min(s * segment_frames, count)
                    rows.append((video, start, end, column, sum(run) / len(run)))
                    run = []
        first += segments
    return sorted(rows, key=lambda row: (row[0], row[1], row[3]))


def test_neighbouring_segments_become_one_interval_with_their_mean_score():
    scores = [[0.5], [1.0], [0.1], [0.75]]
    assert merged(scores, [20]) == [(0, 0, 10, 0, 0.75), (0, 15, 20, 0, 0.75)]


def test_an_interval_ends_with_its_video():
    assert merged([[1.0], [1.0], [1.0]], [12]) == [(0, 0, 12, 0, 1.0)]


def test_an_interval_does_not_reach_into_the_next_video():
    scores = [[1.0], [1.0], [0.5], [0.5]]
    assert merged(scores, [8, 0, 10]) == [(0, 0, 8, 0, 1.0), (2, 0, 10, 0, 0.5)]


def test_a_score_at_the_threshold_counts():
    assert len(merged([[0.25], [0.0], [0.2499]], [15], threshold=0.25)) == 1


def test_intervals_go_by_video_then_start_then_class():
    scores = [[0, 1, 1], [1, 0, 1], [1, 1, 1]]
    order = [row[:2] + row[3:4] for row in merged(scores, [10, 5])]
    assert order == [(0, 0, 1), (0, 0, 2), (0, 5, 0), (1, 0, 0), (1, 0, 1), (1, 0, 2)]


def test_nothing_above_the_threshold_gives_no_interval():
    assert merged([[0.1, 0.2]], [3]) == []
    assert merged(np.zeros((0, 4)), [0, 0]) == []
    assert merged(np.zeros((0, 4)), []) == []


@given(st.lists(st.integers(0, 23), max_size=6), st.integers(1, 6), st.integers(0, 10**6))
@settings(max_examples=300, deadline=None)
def test_merging_equals_a_walk_through_every_video(frames, segment_frames, seed):
    segments = sum(math.ceil(count / segment_frames) for count in frames)
    levels = np.array([0.1, 0.4, 0.5, 0.6, 0.9], np.float32)
    scores = np.random.default_rng(seed).choice(levels, (segments, 3))
    intervals = as_tuples(merge(scores, np.array(frames, np.int64), segment_frames, 0.5))
    expected = by_loop(scores, frames, segment_frames, 0.5)
    assert [row[:4] for row in intervals] == [row[:4] for row in expected]
    assert [row[4] for row in intervals] == pytest.approx([row[4] for row in expected])


def test_chunks_of_videos_give_the_intervals_of_all_videos_at_once():
    random = np.random.default_rng(0)
    frames = random.integers(0, 40, 30)
    scores = random.random((int(np.ceil(frames / 5).sum()), 3), dtype=np.float32)
    first = int(np.ceil(frames[:11] / 5).sum())
    chunks = [
        (0, merge(scores[:first], frames[:11], 5, 0.5)),
        (11, merge(scores[first:], frames[11:], 5, 0.5)),
    ]
    together = [(v + offset, *rest) for offset, c in chunks for v, *rest in as_tuples(c)]
    assert together == as_tuples(merge(scores, frames, 5, 0.5))


def test_rows_carry_ids_and_names():
    intervals = merge(np.array([[0.75, 0.0], [0.0, 1.0]], np.float32), np.array([4, 5]), 5, 0.5)
    rows = list(rows_of(intervals, ["x4Qp", "é"], np.array([3, 1831]), {3: "Guitar"}))
    assert rows == [
        Localisation("x4Qp", 0, 4, 3, "Guitar", 0.75),
        Localisation("é", 0, 5, 1831, "", 1.0),
    ]


def test_the_file_has_one_plain_row_an_interval(tmp_path):
    rows = [
        Localisation("x4Qp", 0, 15, 3, "Guitar", 0.5),
        Localisation("x4Qp", 5, 12, 7, "", 0.123456789),
    ]
    write_localisations(tmp_path / "localisations.csv", iter(rows))
    assert (tmp_path / "localisations.csv").read_bytes() == (
        b"video_id,start,end,class,name,score\nx4Qp,0,15,3,Guitar,0.5\nx4Qp,5,12,7,,0.123457\n"
    )


def test_ids_and_names_with_commas_quotes_and_line_breaks_are_quoted(tmp_path):
    rows = [
        Localisation('a,"b"', 0, 5, 1, "Rock, Paper", 1.0),
        Localisation("a\nb", 0, 5, 2, "carriage\rreturn", 1.0),
        Localisation("a\r\nb", 0, 5, 3, 'Foo "Bar"', 1.0),
        Localisation(" ’;$(ls)", 0, 5, 4, "Žižkov, Прага", 1.0),
    ]
    path = tmp_path / "localisations.csv"
    write_localisations(path, rows)
    assert path.read_bytes().splitlines()[1] == b'"a,""b""",0,5,1,"Rock, Paper",1'
    with open(path, encoding="utf-8", newline="") as file:
        by_csv = [(row["video_id"], row["name"]) for row in csv.DictReader(file)]
    assert by_csv == [(row.video_id, row.name) for row in rows]
    table = pandas.read_csv(path, keep_default_na=False)
    assert list(zip(table["video_id"], table["name"], strict=True)) == by_csv


def test_no_rows_leave_the_header_alone(tmp_path):
    write_localisations(tmp_path / "localisations.csv", [])
    assert (tmp_path / "localisations.csv").read_text() == "video_id,start,end,class,name,score\n"


def test_a_failure_half_way_leaves_no_file(tmp_path):
    def rows():
        yield Localisation("a", 0, 5, 1, "", 1.0)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_localisations(tmp_path / "localisations.csv", rows())
    assert list(tmp_path.iterdir()) == []
