"""Memory is used again, and never while anybody can still see it."""

import numpy as np
import pytest
import torch

from segment_em.buffers import MOST_FREE, Buffers

HOLDERS = {
    "the array": lambda array: array,
    "a slice": lambda array: array[1:, ::2],
    "a view of another type": lambda array: array.view(np.uint16)[:1],
    "a slice of a slice": lambda array: array[1:][:, :2],
    "a tensor": torch.from_numpy,
    "a slice of a tensor": lambda array: torch.from_numpy(array)[1:, ::2],
}


def address(array):
    return array.__array_interface__["data"][0]


def test_memory_that_nobody_holds_is_used_again():
    buffers = Buffers()
    first = address(buffers.empty((3, 4), np.uint8))
    assert address(buffers.empty((3, 4), np.uint8)) == first
    assert address(buffers.empty((2, 2), np.float16)) == first, "large enough, not twice as large"


@pytest.mark.parametrize("holder", HOLDERS)
def test_memory_that_somebody_holds_is_left_alone(holder):
    buffers = Buffers()
    array = buffers.empty((3, 4), np.uint8)
    array[:] = 7
    held = HOLDERS[holder](array)
    before = held.tolist()
    del array
    others = [buffers.empty((3, 4), np.uint8) for _ in range(5)]
    for other in others:
        other[:] = 9
    assert held.tolist() == before


def test_arrays_are_writable_and_as_asked_for():
    array = Buffers().empty((2, 3, 4), np.float32)
    assert (array.shape, array.dtype, array.flags.writeable) == ((2, 3, 4), np.float32, True)
    assert Buffers().empty((0, 5), np.uint8).shape == (0, 5)


def test_far_larger_memory_is_not_taken_for_a_small_array():
    buffers = Buffers()
    large = address(buffers.empty((1000,), np.uint8))
    small = buffers.empty((10,), np.uint8)
    assert address(small) != large
    assert address(buffers.empty((1000,), np.uint8)) == large


def test_no_more_is_kept_than_a_few():
    buffers = Buffers()
    arrays = [buffers.empty((100,), np.uint8) for _ in range(3 * MOST_FREE)]
    del arrays
    assert len(buffers._free) == MOST_FREE
