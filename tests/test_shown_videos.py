"""Which videos the report shows: all, or the worst and a sample that stays."""

import hashlib

import numpy as np
import pytest
from small_records import FEATURES

from segment_em.index_files import read_index, write_index
from segment_em.indexing import build_index
from segment_em.prediction_files import write_predictions
from segment_em.records import Ratings, encode_example, write_records
from segment_em.shown_videos import choose, rating_errors, read_shown

CLASS_IDS = np.array([3, 8])
NAMES = [f"v{number:02d}" for number in range(12)]
# Each video is 7 frames long and rated: class 3 occurs from second 5. The last two are not rated.
SCORES = dict(zip(NAMES, np.linspace(0.05, 0.6, 12), strict=True))


def write_split(folder, name, names, rated):
    frames = {key: np.zeros((7, width), np.uint8) for key, width in FEATURES.items()}
    one = Ratings(np.array([5, 20]), np.array([3, 3]), np.array([1, 1], np.float32))
    none = Ratings(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
    payloads = [
        encode_example(name, np.array([3]), frames, one if name in rated else none)
        for name in names
    ]
    records = folder / f"{name}.tfrecord"
    write_records(records, payloads)
    write_index(folder / f"{name}.h5", build_index([records], FEATURES, 5), {})
    return folder / f"{name}.h5"


@pytest.fixture
def sources(tmp_path):
    index = write_split(tmp_path, "test", NAMES, NAMES[:10])
    rated = write_split(tmp_path, "rated", ["r1", "r2", "r3"], ["r1", "r2", "r3"])
    scores = np.array([[0, 0, SCORES[n], 0] for n in NAMES], np.float32).reshape(-1, 2)
    path = tmp_path / "predictions.h5"
    write_predictions(path, [scores], np.array(NAMES), np.full(12, 7), CLASS_IDS, 5, {})
    return [index], [path], [rated]


def chosen(sources, tmp_path, test, validation=9):
    limits = {"test": test, "validation": validation}
    choose(*sources, 1.0, limits, tmp_path / "videos.csv")
    return read_shown(tmp_path / "videos.csv")


def test_a_videos_error_is_its_mean_distance_from_its_ratings_within_the_video(sources):
    errors = rating_errors(read_index(sources[0]), sources[1])
    # The rating at second 20 lies past the end.
    np.testing.assert_allclose(errors[:10], [1 - SCORES[name] for name in NAMES[:10]], rtol=1e-6)
    assert np.isnan(errors[10:]).all()


def test_few_videos_are_all_shown(sources, tmp_path):
    assert chosen(sources, tmp_path, 12) == {"test": NAMES, "validation": ["r1", "r2", "r3"]}


def test_of_many_the_worst_half_is_shown_and_a_sample(sources, tmp_path):
    found = chosen(sources, tmp_path, 6, 2)
    assert len(found["test"]) == 6
    assert len(found["validation"]) == 2
    assert set(NAMES[:3]) < set(found["test"])
    assert found["test"] == sorted(found["test"])


def test_the_sample_stays_when_the_limit_falls(sources, tmp_path):
    more, fewer = (set(chosen(sources, tmp_path, limit)["test"]) for limit in (8, 6))
    assert fewer < more


def test_none_may_be_shown(sources, tmp_path):
    assert chosen(sources, tmp_path, 0, 0) == {"test": [], "validation": []}


def one_video(folder, frames, ratings, scores):
    """Index and scores of class 3 of one video. ratings: (start, class, score) of each."""
    arrays = {key: np.zeros((frames, width), np.uint8) for key, width in FEATURES.items()}
    columns = list(zip(*ratings, strict=True)) or [(), (), ()]
    rated = Ratings(*map(np.array, columns, (np.int64, np.int64, np.float32)))
    write_records(folder / "one.tfrecord", [encode_example("🎬", np.array([3]), arrays, rated)])
    index = folder / "one.h5"
    write_index(index, build_index([folder / "one.tfrecord"], FEATURES, 5), {})
    path = folder / "one-scores.h5"
    scores = np.array(scores, np.float32).reshape(-1, 1)
    write_predictions(path, [scores], np.array(["🎬"]), np.array([frames]), np.array([3]), 5, {})
    return [index], [path]


def test_a_video_of_one_frame_and_one_class_is_held_against_its_first_segment(tmp_path):
    """Rated .75 off in class 3; class 9 is not among the classes, second 5 past the end."""
    ratings = [(0, 3, 1), (0, 9, 1), (5, 3, 0)]
    index, path = one_video(tmp_path, 1, ratings, [0.25])
    assert rating_errors(read_index(index), path).tolist() == [0.75]
    rated = [write_split(tmp_path, "rated", ["r"], ["r"])]
    for limit in (1, 2):
        assert chosen((index, path, rated), tmp_path, limit)["test"] == ["🎬"]


def test_a_video_without_frames_has_no_error_and_is_shown(tmp_path):
    index, path = one_video(tmp_path, 0, [(0, 3, 1)], [])
    assert np.isnan(rating_errors(read_index(index), path)).all()
    rated = [write_split(tmp_path, "rated", ["r"], ["r"])]
    assert chosen((index, path, rated), tmp_path, 1)["test"] == ["🎬"]


def test_of_a_test_set_without_ratings_a_sample_is_shown(sources, tmp_path):
    """Reference: the ids with the lowest SHA-256."""
    index = write_split(tmp_path, "unrated", NAMES, [])
    found = chosen(([index], *sources[1:]), tmp_path, 5)["test"]
    lowest = sorted(NAMES, key=lambda name: hashlib.sha256(name.encode()).hexdigest())[:5]
    assert found == sorted(lowest)


def test_of_no_videos_none_is_shown(sources, tmp_path):
    index = write_split(tmp_path, "none", [], [])
    path = tmp_path / "none-scores.h5"
    write_predictions(path, [], np.array([], dtype=object), np.zeros(0, int), CLASS_IDS, 5, {})
    found = chosen(([index], [path], [index]), tmp_path, 5)
    assert found == {"test": [], "validation": []}


def test_an_id_that_reads_like_a_number_or_nothing_stays_an_id(tmp_path):
    (tmp_path / "videos.csv").write_text("part,video_id\ntest,007\ntest,NA\n")
    assert read_shown(tmp_path / "videos.csv")["test"] == ["007", "NA"]


def test_ids_come_back_whatever_is_in_them(tmp_path):
    names = ['a,"b"', "c\rd", "e\nf", " g ", "ü"]
    index = write_split(tmp_path, "test", names, [])
    rated = write_split(tmp_path, "rated", ["r"], ["r"])
    path = tmp_path / "predictions.h5"
    scores = np.zeros((10, 2), np.float32)
    write_predictions(path, [scores], np.array(names), np.full(5, 7), CLASS_IDS, 5, {})
    assert sorted(chosen(([index], [path], [rated]), tmp_path, 9)["test"]) == sorted(names)
