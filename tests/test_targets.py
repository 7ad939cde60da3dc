"""Labels of batches, against the records they were written from (small_records.VIDEOS)."""

import numpy as np

from segment_em.targets import Ratings, VideoLabels

CLASS_IDS = np.array([3, 8, 20])
SEGMENTS = np.array([3, 2, 0, 1, 7])


def listed(entries):
    assert (entries.weight == 1).all()
    return sorted(zip(*(array.tolist() for array in entries[:4]), strict=True))


def test_video_labels_are_those_of_the_models_classes(small_index):
    found = VideoLabels(small_index, CLASS_IDS).entries(np.array([4, 0, 3]))
    # e carries 3 and 99, which is not a class here; a carries 3 and 8; d carries nothing.
    assert listed(found) == [(0, 0, 0, 1.0), (1, 0, 0, 1.0), (1, 0, 1, 1.0)]


def test_the_prior_of_video_labels_is_the_share_of_videos(small_index):
    assert VideoLabels(small_index, CLASS_IDS).prior().tolist() == [3 / 5, 1 / 5, 1 / 5]


def test_ratings_past_the_end_and_of_unknown_classes_are_left_out(small_index):
    source = Ratings(small_index, CLASS_IDS, SEGMENTS, 5, False)
    # b's rating at second 15 lies past its 7 frames; d's is of class 99.
    assert listed(source.entries(np.array([1]))) == [(0, 0, 2, 1.0), (0, 1, 0, 0.0)]
    assert source.rated_videos().tolist() == [0, 1, 4]


def test_ratings_keep_their_segment_and_answer(small_index):
    source = Ratings(small_index, CLASS_IDS, SEGMENTS, 5, False)
    assert listed(source.entries(np.array([4, 0]))) == [
        (0, 5, 0, 1.0),
        (0, 6, 0, 0.0),
        (1, 0, 0, 1.0),
        (1, 1, 1, 0.0),
        (1, 2, 2, 1.0),
    ]


def test_labels_of_the_video_are_spared_where_a_segment_is_rated_for_others(small_index):
    """Video a carries 3 and 8; its segments are rated for 3, 8 and 20, one each."""
    source = Ratings(small_index, CLASS_IDS, SEGMENTS, 5, True)
    found = source.entries(np.array([0]))
    rows = sorted(zip(*(array.tolist() for array in found[1:]), strict=True))
    assert rows == [
        *[(0, 0, 1.0, 1.0), (0, 1, 0.0, 0.0)],
        *[(1, 0, 0.0, 0.0), (1, 1, 0.0, 1.0)],
        *[(2, 0, 0.0, 0.0), (2, 1, 0.0, 0.0), (2, 2, 1.0, 1.0)],
    ]
