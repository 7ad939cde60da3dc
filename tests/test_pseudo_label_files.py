"""Which scores the E-step stores."""

import numpy as np
import pytest

from segment_em import pseudo_label_files

# Two videos of two and one segments; video a carries class 3, video b class 20.
SCORES = np.array([[0.9, 0.6, 0.02], [0.2, 0.7, 0.8], [0.5, 0.01, 0.04]], np.float32)
CARRIED = np.array([[1, 0, 0], [1, 0, 0], [0, 0, 1]], bool)
SPREAD = np.array([[0.125, 0.25, 0], [0.5, 0, 0], [0.25, 0, 0.375]], np.float32)


def test_carried_classes_are_stored_and_of_the_others_the_best_above_the_floor():
    sparse = pseudo_label_files.sparse_scores(SCORES, CARRIED, 0.05, 1, SPREAD)
    assert sparse.indptr.tolist() == [0, 2, 4, 6]
    # 0.7 of the second segment is below 0.8, the best; the third segment's 0.5 is above the floor.
    assert sparse.indices.tolist() == [0, 1, 0, 2, 0, 2]
    assert sparse.scores.tolist() == np.float16([0.9, 0.6, 0.2, 0.8, 0.5, 0.04]).tolist()
    assert sparse.spread.tolist() == [0.125, 0.25, 0.5, 0, 0.25, 0.375]
    assert sparse.in_video_labels.tolist() == [True, False, True, False, False, True]


@pytest.mark.parametrize(("top", "stored"), [(0, 3), (1, 6), (2, 7), (5, 7)])
def test_top_limits_the_classes_that_the_video_does_not_carry(top, stored):
    assert pseudo_label_files.sparse_scores(SCORES, CARRIED, 0.05, top, SPREAD).indptr[-1] == stored


@pytest.mark.parametrize("top", [0, 1, 3, 9])
def test_what_is_stored_is_what_sorting_each_segment_by_hand_gives(top):
    random = np.random.default_rng(0)
    scores = (random.integers(0, 6, (40, 8)) / 10).astype(np.float32)  # ties at every limit
    carried = random.random((40, 8)) < 0.2
    sparse = pseudo_label_files.sparse_scores(scores, carried, 0.15, top, np.zeros_like(scores))
    for row, (first, stop) in enumerate(zip(sparse.indptr[:-1], sparse.indptr[1:], strict=True)):
        others = sorted((s for s, own in zip(scores[row], carried[row], strict=True) if not own))
        limit = ([*reversed(others), 0.0][:top] or [np.inf])[-1]
        expected = [
            column
            for column, score in enumerate(scores[row])
            if carried[row, column] or (score > 0.15 and score >= limit)
        ]
        assert sparse.indices[first:stop].tolist() == expected


def test_parts_joined_equal_the_whole():
    whole = pseudo_label_files.sparse_scores(SCORES, CARRIED, 0.05, 2, SPREAD)
    parts = [
        pseudo_label_files.sparse_scores(
            *(a[i : i + 1] for a in (SCORES, CARRIED)), 0.05, 2, SPREAD[i : i + 1]
        )
        for i in range(3)
    ]
    for found, expected in zip(
        pseudo_label_files.joined([pseudo_label_files.empty(), *parts]), whole, strict=True
    ):
        np.testing.assert_array_equal(found, expected)
