"""What no job will use, counted by hand on a small index (tests/small_records.py)."""

import re
from dataclasses import replace

import numpy as np
import pytest

from segment_em.left_out import left_out, rating_of_segment

CLASSES = np.array([3, 8, 20, 99])


def lines_of(index, classes=CLASSES, max_frames=60):
    return left_out({"test": index}, classes, max_frames)


def test_nothing_is_said_of_data_that_are_used_whole(small_index):
    assert lines_of(small_index) == []


def test_videos_that_are_cut_are_told_with_the_ratings_that_go(small_index):
    # Longer than 10 frames: a (12) and e (31). One rating of a starts at 10, both of e later.
    (line,) = lines_of(small_index, max_frames=10)
    assert line.startswith(
        "data.test: 2 of 5 videos are longer than data.max_frames (10), the longest 31 frames"
    )
    assert line.endswith("with 3 of 9 ratings: raise data.max_frames")
    # Longer than 31 seconds is none, and at 30 the last frame of e alone goes, with its rating.
    (line,) = lines_of(small_index, max_frames=30)
    assert "1 of 5 videos" in line
    assert "with 1 of 9 ratings" in line


@pytest.mark.parametrize(
    ("classes", "said"),
    [([3, 8, 20], "1 of 9 ratings are of 1 classes .* (99)"), ([8], "8 of 9 .* 3 classes .* (3,")],
)
def test_ratings_of_classes_that_are_not_listed_are_told(small_index, classes, said):
    (line,) = lines_of(small_index, classes=np.array(classes))
    assert re.search(said.replace("(", r"\(").replace(")", r"\)"), line)


def test_contradictory_ratings_are_told(small_index):
    ratings = small_index.ratings._replace(contradictory=np.array([0, 2, 0, 0, 1]))
    (line,) = lines_of(replace(small_index, ratings=ratings))
    assert line.startswith("data.test: 3 times a segment and class has both answers")


def test_a_rating_past_the_end_or_the_cut_is_of_no_segment(small_index):
    # In the order of the index: a at 0, 5, 10; b (7 frames) at 0, 5, 15; d at 0; e at 25, 30.
    exists = rating_of_segment(small_index, 60, 5)
    assert exists.tolist() == [True, True, True, True, True, False, True, True, True]
    exists = rating_of_segment(small_index, 10, 5)
    assert exists.tolist() == [True, True, False, True, True, False, True, False, False]
