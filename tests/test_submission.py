"""TopSegments against a full sort, the file against its format, both against the metric."""

import csv

import independent_map
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segment_em.errors import InputError
from segment_em.metrics import Rated, evaluate
from segment_em.submission import TopSegments, check_ids, write_submission

SCORES = [-np.inf, -2.5, -1e-40, -0.0, 0.0, 1e-40, 1e-30, 0.25, 0.5, np.float32(0.1), 1.0, np.inf]


def top_of(scores, k, cuts=()):
    """TopSegments of the rows of `scores`, taken in as the chunks between the cuts."""
    top = TopSegments(scores.shape[1], k)
    for rows in np.split(np.arange(len(scores)), cuts):
        top.add(scores[rows], rows)
    return top


def assert_best(top, scores, k):
    for column in range(scores.shape[1]):
        expected = sorted(range(len(scores)), key=lambda row: (-scores[row, column], row))[:k]
        assert top.best(column).tolist() == expected


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_the_best_k_equal_a_full_sort_with_ties(data):
    rows = data.draw(st.integers(0, 15))
    values = data.draw(st.lists(st.sampled_from(SCORES), min_size=2 * rows, max_size=2 * rows))
    scores = np.array(values, np.float32).reshape(rows, 2)
    cuts = sorted(data.draw(st.lists(st.integers(0, rows), max_size=4)))
    k = data.draw(st.integers(1, 18))
    assert_best(top_of(scores, k, cuts), scores, k)


@pytest.mark.parametrize("chunk", [1000, 2048, 5001, 20_000])
@pytest.mark.parametrize("order", ["random", "ascending", "descending", "three levels", "constant"])
def test_the_best_k_do_not_depend_on_the_chunks(chunk, order):
    random = np.random.default_rng(0)
    scores = random.random((20_000, 2), dtype=np.float32)
    if order == "ascending":
        scores.sort(axis=0)
    elif order == "descending":
        scores = -np.sort(-scores, axis=0)
    elif order == "three levels":
        scores = np.ceil(scores * 3) / np.float32(3)
    elif order == "constant":
        scores[:] = 0.5
    assert_best(top_of(scores, 300, range(chunk, 20_000, chunk)), scores, 300)


def test_the_best_k_do_not_depend_on_the_order_of_the_chunks():
    scores = np.random.default_rng(1).integers(50, size=(9000, 2)).astype(np.float32)
    top = TopSegments(2, 700)
    for rows in reversed(np.array_split(np.arange(9000), 7)):
        top.add(scores[rows], rows)
    assert_best(top, scores, 700)


def test_segments_can_be_added_after_the_best_were_asked_for():
    scores = np.random.default_rng(2).random((500, 1), dtype=np.float32)
    top = TopSegments(1, 20)
    top.add(scores[:300], np.arange(300))
    assert_best(top, scores[:300], 20)
    top.add(scores[300:], np.arange(300, 500))
    assert_best(top, scores, 20)


def test_rows_that_are_left_out_are_not_among_the_best():
    top = TopSegments(1, 5)
    top.add(np.array([[0.1], [0.9], [0.5]], np.float32), np.array([10, 4_000_000_000, 12]))
    assert top.best(0).tolist() == [4_000_000_000, 12, 10]


def test_a_score_that_is_nan_is_refused_with_its_place():
    scores = np.zeros((3000, 2), np.float32)
    scores[2500, 1] = np.nan
    with pytest.raises(InputError, match="segment 12500, column 1"):
        TopSegments(2, 5).add(scores, np.arange(10_000, 13_000))


def test_the_file_has_a_header_and_a_line_a_class_best_first(tmp_path):
    scores = np.array([[0.2, 0.5], [0.9, 0.5], [0.4, 0.6]], np.float32)
    path = tmp_path / "submission.csv"
    write_submission(path, [3, 1831], top_of(scores, 2), ["x4Qp", "x4Qp", "é-_0"], [0, 5, 120])
    assert path.read_bytes() == (
        b"Class,Segments\n3,x4Qp:5 \xc3\xa9-_0:120\n1831,\xc3\xa9-_0:120 x4Qp:0\n"
    )


def test_numpy_arrays_of_ids_starts_and_classes_are_written_alike(tmp_path):
    ids, starts = np.array(["ab", "cd"]), np.array([0, 295])
    top = top_of(np.array([[1.0], [2.0]], np.float32), 100_000)
    write_submission(tmp_path / "submission.csv", np.array([7]), top, ids, starts)
    assert (tmp_path / "submission.csv").read_bytes() == b"Class,Segments\n7,cd:295 ab:0\n"


def test_without_segments_each_class_has_an_empty_line(tmp_path):
    top = top_of(np.zeros((0, 2), np.float32), 5)
    write_submission(tmp_path / "submission.csv", [1, 2], top, [], [])
    assert (tmp_path / "submission.csv").read_bytes() == b"Class,Segments\n1,\n2,\n"


@pytest.mark.parametrize("bad", ["", "a b", "a,b", "a:b", 'a"b', "a\nb", "a\u00a0b", "a\rb"])
def test_an_id_that_the_format_cannot_carry_is_refused(tmp_path, bad):
    with pytest.raises(InputError, match="submission cannot hold") as error:
        check_ids(["fine", bad])
    assert "\n" not in str(error.value)
    top = top_of(np.ones((1, 1), np.float32), 5)
    with pytest.raises(InputError, match=r"^video id '"):
        write_submission(tmp_path / "submission.csv", [1], top, np.array([bad]), [0])
    assert list(tmp_path.iterdir()) == []


def test_ids_with_dashes_quotes_and_other_alphabets_are_accepted():
    check_ids(["-x_Q", "$(ls)", "it's", "видео", ";"])


@pytest.mark.parametrize("seed", range(20))
def test_the_map_of_a_written_submission_is_that_of_the_scores(tmp_path, seed):
    random = np.random.default_rng(seed)
    videos, segments, classes, cut = 30, 8, 4, int(random.choice([20, 60, 100_000]))
    levels = int(random.choice([4, 1_000_000]))
    scores = random.integers(levels, size=(videos * segments, classes)).astype(np.float32) / levels
    video_ids = np.repeat([f"v{v:03d}" for v in range(videos)], segments)
    starts = np.tile(np.arange(segments) * 5, videos)
    class_ids = [4, 11, 300, 1201]

    # Segment number `segments` of a video lies past its end.
    rated = random.random((videos, segments + 1, classes)) < 0.1
    video, segment, column = np.nonzero(rated)
    positive = random.random(len(video)) < 0.557
    row = np.where(segment < segments, video * segments + segment, -1)
    with open(tmp_path / "ratings.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["video_id", "start", "class", "score"])
        for v, s, c, p in zip(video, segment, column, positive, strict=True):
            writer.writerow([f"v{v:03d}", s * 5, class_ids[c], int(p)])

    path = tmp_path / "submission.csv"
    write_submission(path, class_ids, top_of(scores, cut), video_ids, starts)
    evaluation = evaluate(scores, Rated(row, column, positive, video), cut, 2, 0)
    alone = independent_map.mean_average_precision(path, tmp_path / "ratings.csv", cut)
    assert evaluation.map == pytest.approx(alone, abs=1e-12)


def test_the_independent_map_of_hits_at_ranks_1_and_3_is_five_sixths(tmp_path):
    (tmp_path / "submission.csv").write_text("Class,Segments\n7,a:0 b:5 a:10 a:5\n9,\n")
    (tmp_path / "ratings.csv").write_text(
        "video_id,start,class,score\na,0,7,1\na,5,7,1\na,10,7,0\na,0,9,0\n"
    )
    paths = tmp_path / "submission.csv", tmp_path / "ratings.csv"
    assert independent_map.mean_average_precision(*paths) == pytest.approx(5 / 6)
    assert independent_map.mean_average_precision(*paths, cut=3) == pytest.approx(1 / 2)
