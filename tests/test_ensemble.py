import numpy as np
import pytest

from segment_em import ensemble
from segment_em.errors import InputError


def test_the_mean_of_probabilities_by_hand():
    first = np.array([[0.25, 1.0], [0.0, 0.5]], np.float32)
    second = np.array([[0.75, 0.5], [0.0, 1.0]], np.float32)
    joined = ensemble.mean([first, second])
    assert joined.dtype == np.float32
    np.testing.assert_array_equal(joined, [[0.5, 0.75], [0.0, 0.75]])


def test_the_mean_of_one_member_is_that_member():
    scores = np.random.default_rng(0).random((5, 3), dtype=np.float32)
    np.testing.assert_array_equal(ensemble.mean([scores]), scores)


def test_the_order_of_the_members_does_not_matter():
    members = list(np.random.default_rng(0).random((7, 500, 3), dtype=np.float32))
    np.testing.assert_array_equal(ensemble.mean(members), ensemble.mean(members[::-1]))


def test_the_members_stay_as_they_are():
    member = np.full((2, 2), 0.5, np.float32)
    ensemble.mean([member, np.ones((2, 2), np.float32)])
    assert (member == 0.5).all()


def test_members_of_other_sizes_are_refused():
    with pytest.raises(InputError, match=r"member 1 .*\(4, 3\).*\(4, 2\)"):
        ensemble.mean([np.zeros((4, 2), np.float32), np.zeros((4, 3), np.float32)])
