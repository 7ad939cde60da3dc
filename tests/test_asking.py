"""The memory that jobs ask for, by hand from the sizes of files."""

import asking
import pytest


def files(folder, **megabytes):
    for name, size in megabytes.items():
        with open(folder / name, "wb") as file:
            file.truncate(size * 10**6)
    return [str(folder / name) for name in megabytes]


def test_each_process_has_room_of_its_own_and_for_its_inputs(tmp_path):
    inputs = files(tmp_path, a=100, b=50)
    assert asking.megabytes(2000, 1, 1, inputs, []) == 2150
    assert asking.megabytes(2000, 1, 3, inputs, []) == 8150
    assert asking.megabytes(2000, 4, 1, inputs, []) == 4 * 2150
    assert asking.megabytes(2000, 1, 1, [*inputs, inputs[0]], []) == 2250


def test_what_is_counted_a_file_at_a_time_needs_room_for_the_largest(tmp_path):
    whole, counted = files(tmp_path, a=100), files(tmp_path, c=10, d=30)
    assert asking.megabytes(2000, 1, 1, whole, counted) == 2000 + 100 + 7 * 30


def test_an_input_that_is_not_there_yet_is_asked_for_later(tmp_path):
    with pytest.raises(FileNotFoundError):
        asking.megabytes(2000, 1, 1, [str(tmp_path / "none")], [])
