"""Which videos the report shows: all, or the worst and a sample that stays."""

import numpy as np
import pytest
from small_records import FEATURES

from segment_em.index import write_index
from segment_em.indexing import build_index
from segment_em.predictions import write_predictions
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
    from segment_em.index import read_index

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
