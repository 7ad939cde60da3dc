"""Submission and localisations from prediction chunks: by hand, and whatever the chunks."""

import logging

import numpy as np
import pytest
from small_records import FEATURES, VIDEOS, video_frames

from segment_em import outputs
from segment_em.errors import InputError
from segment_em.index_files import write_index
from segment_em.indexing import build_index
from segment_em.prediction_files import write_predictions
from segment_em.records import encode_example, write_records

CLASS_IDS = np.array([3, 8])
# Segments of each video of small_records at most 25 frames long: 3, 2, 0, 1, 5.
SCORES = {
    "a": [[0.9, 0.1], [0.8, 0.1], [0.1, 0.6]],
    "b": [[0.8, 0.2], [0.2, 0.2]],
    "c": [],
    "d": [[0.7, 0.9]],
    "e": [[0.6, 0.0], [0.0, 0.0], [0.6, 0.0], [0.6, 0.0], [0.0, 0.0]],
}


def chunk(folder, number, names):
    """An index and a prediction file of some videos; returns their paths."""
    records = folder / f"test{number}.tfrecord"
    payloads = [encode_example(n, np.zeros(0, np.int64), video_frames(n), None) for n in names]
    write_records(records, payloads)
    write_index(folder / f"index{number}.h5", build_index([records], FEATURES, 5), {})
    frames = np.array([min(VIDEOS[name][0], 25) for name in names])
    scores = np.array([row for name in names for row in SCORES[name]], np.float32).reshape(-1, 2)
    path = folder / f"predictions{number}.h5"
    write_predictions(path, [scores], np.array(list(names)), frames, CLASS_IDS, 5, {})
    return folder / f"index{number}.h5", path


def spread(folder, groups):
    return tuple(zip(*(chunk(folder, n, names) for n, names in enumerate(groups)), strict=True))


SUBMISSION = (
    "Class,Segments\n"
    "3,a:0 a:5 b:0 d:0 e:0 e:10 e:15 b:5\n"  # equal scores in the order of the videos
    "8,d:0 a:10 b:0 b:5 a:0 a:5 e:0 e:5\n"
)
LOCALISATIONS = (
    "video_id,start,end,class,name,score\n"
    "a,0,10,3,,0.85\n"
    "a,10,12,8,,0.6\n"  # ends with the video
    "b,0,5,3,,0.8\n"
    "d,0,5,3,,0.7\n"
    "d,0,5,8,,0.9\n"
    "e,0,5,3,,0.6\n"
    "e,10,20,3,,0.6\n"
)


@pytest.mark.parametrize("groups", [["abcde"], ["ab", "cde"]])
def test_classes_that_no_segment_scores_high_enough_for_are_named(tmp_path, caplog, groups):
    caplog.set_level(logging.INFO)
    index, predictions = spread(tmp_path, groups)
    outputs.localise(index, predictions, None, 0.9, tmp_path / "none.csv")
    assert "2 intervals in 5 videos" in caplog.text
    assert "warning" not in caplog.text
    outputs.localise(index, predictions, None, 0.95, tmp_path / "none.csv")
    assert "no segment has 2 of 2 classes (3 at most 0.9, 8 at most 0.9): they score" in caplog.text


@pytest.mark.parametrize("groups", [["abcde"], ["ab", "cde"], ["a", "b", "c", "d", "e"]])
def test_the_files_are_those_made_by_hand_whatever_the_chunks(tmp_path, groups):
    index_paths, prediction_paths = spread(tmp_path, groups)
    outputs.submit(index_paths, prediction_paths, 8, tmp_path / "submission.csv")
    assert (tmp_path / "submission.csv").read_text() == SUBMISSION
    outputs.localise(index_paths, prediction_paths, None, 0.5, tmp_path / "localisations.csv")
    assert (tmp_path / "localisations.csv").read_text() == LOCALISATIONS


@pytest.mark.parametrize("videos_at_once", [1, 2, 3])
def test_merging_some_videos_at_a_time_changes_nothing(tmp_path, monkeypatch, videos_at_once):
    monkeypatch.setattr(outputs, "VIDEOS_AT_ONCE", videos_at_once)
    index_paths, prediction_paths = spread(tmp_path, ["abcde"])
    outputs.localise(index_paths, prediction_paths, None, 0.5, tmp_path / "localisations.csv")
    assert (tmp_path / "localisations.csv").read_text() == LOCALISATIONS


def test_predictions_of_other_videos_than_the_index_are_refused(tmp_path):
    index_paths, prediction_paths = spread(tmp_path, ["ab", "cd"])
    with pytest.raises(InputError, match="predictions and index hold different videos"):
        outputs.submit(index_paths, prediction_paths[:1], 8, tmp_path / "submission.csv")
    assert not (tmp_path / "submission.csv").exists()
