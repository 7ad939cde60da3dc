"""What no job will use, counted by hand on a small index (tests/small_records.py)."""

import re
from dataclasses import replace

import numpy as np
import pytest

from segment_em.left_out import left_out

CLASSES = np.array([3, 8, 20, 99])


def lines_of(index, classes=CLASSES, max_frames=60, name="test"):
    """All lines but that of video c, which has no frames."""
    empty, *lines = left_out({name: index}, classes, max_frames)
    assert empty.startswith(f"data.{name}: 1 of {len(index)} videos have no frames (c)")
    return lines


def test_nothing_is_said_of_data_that_are_used_whole(small_index):
    assert lines_of(small_index) == []
    assert left_out({"test": small_index.take(np.array([0, 1, 3, 4]))}, CLASSES, 60) == []


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


def test_ratings_whose_starts_are_in_another_unit_are_told(small_index):
    ratings = small_index.ratings._replace(start_second=small_index.ratings.start_second * 5)
    (line,) = lines_of(replace(small_index, ratings=ratings))
    # a (12 frames) at 0, 25, 50; b (7) at 0, 25, 75; d at 0; e (31) at 125, 150.
    assert line.startswith("data.test: 6 of 9 ratings start past the end of their video")


def test_modalities_of_different_rates_are_told(small_index):
    audio = small_index.modalities["audio"]
    faster = replace(audio, frames=audio.frames * 10)
    index = replace(small_index, modalities=small_index.modalities | {"audio": faster})
    (line,) = lines_of(index)
    # All but c, which has no frames.
    assert line.startswith(
        "data.test: 4 of 5 videos have more or fewer frames of audio than of rgb"
    )


def test_a_frame_more_or_less_is_not_told(small_index):
    audio = small_index.modalities["audio"]
    uneven = replace(audio, frames=small_index.first.frames + 1)
    assert not lines_of(replace(small_index, modalities=small_index.modalities | {"audio": uneven}))


def test_files_in_which_nothing_is_labelled_or_rated_are_named(small_index):
    file = np.array([0, 0, 1, 1, 2], np.int32)
    first = replace(small_index.first, file=file)
    names = ["one", "two", "three"]
    index = replace(small_index, files=names, modalities={"rgb": first})
    empty = index.take(np.array([0, 1, 3]))  # of the second file d alone, which has no label
    (line,) = left_out({"train": empty}, CLASSES, 60)
    assert line.startswith("data.train: 1 of 3 files have no label for any of their 1 videos (two")
    rated = index.take(np.array([0, 1, 2, 4]))  # of the second file c alone, which has no rating
    assert lines_of(rated, name="test") == []
    (line,) = lines_of(rated, name="segments")
    assert line.startswith("data.segments: 1 of 3 files have no rating for any of their 1 videos")
