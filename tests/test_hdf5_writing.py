"""HDF5 files appear whole or not at all, wherever the disk fills up."""

import errno
import os

import h5py
import numpy as np
import pytest

from segment_em.errors import InputError
from segment_em.hdf5_writing import replacing_hdf5

LIBVER = "v110"


def arrays():
    random = np.random.default_rng(0)
    found = {f"group/{n}": random.random(3 * n + 1) for n in range(20)}
    return found | {"odd": np.arange(13, dtype=np.uint8), "large": random.random((300, 7))}


def write(path, names=("one", "zwei", "三")):
    with replacing_hdf5(path, LIBVER) as file:
        file.attrs["encoding-type"] = "a test"
        for name, values in arrays().items():
            file.create_dataset(name, data=values)
        file.create_dataset("names", data=np.array(names, object), dtype=h5py.string_dtype())
        rows = file.create_dataset("rows", (100, 7), np.float32)
        for first in range(0, 100, 30):
            rows[first : first + 30] = np.arange(first, min(100, first + 30))[:, None]


def test_h5py_reads_what_was_written_and_arrays_lie_where_numbers_may(tmp_path):
    write(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "r") as file:
        assert file.attrs["encoding-type"] == "a test"
        for name, values in arrays().items():
            np.testing.assert_array_equal(file[name][...], values)
            assert file[name].id.get_offset() % 8 == 0
        assert file["names"].asstr()[...].tolist() == ["one", "zwei", "三"]
        np.testing.assert_array_equal(file["rows"][:, 6], np.arange(100))


def test_equal_content_gives_equal_bytes(tmp_path):
    write(tmp_path / "a.h5")
    write(tmp_path / "b.h5")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


@pytest.fixture
def disk(monkeypatch):
    """A list whose one entry is the number of bytes that the disk still takes."""
    left, pwrite = [0], os.pwrite

    def limited(descriptor, data, offset):
        if not left[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = pwrite(descriptor, data[: left[0]], offset)
        left[0] -= written
        return written

    monkeypatch.setattr(os, "pwrite", limited)
    return left


def test_wherever_the_disk_fills_up_the_old_file_stays_and_nothing_else(tmp_path, disk):
    path = tmp_path / "a.h5"
    path.write_text("old")
    disk[0] = 10**9
    write(tmp_path / "whole.h5")
    needed = 10**9 - disk[0]
    for room in [*range(0, needed, needed // 200), needed - 1]:
        disk[0] = room
        with pytest.raises(InputError, match=r"a\.h5: cannot be written: No space left"):
            write(path)
        assert path.read_text() == "old"
        assert sorted(tmp_path.iterdir()) == [path, tmp_path / "whole.h5"]
    disk[0] = needed
    write(path)
    assert path.read_bytes() == (tmp_path / "whole.h5").read_bytes()


def test_an_error_of_the_block_is_raised_as_it_is(tmp_path):
    with pytest.raises(KeyError):
        fail_after_a_dataset(tmp_path / "a.h5")
    assert not list(tmp_path.iterdir())


def fail_after_a_dataset(path):
    with replacing_hdf5(path, LIBVER) as file:
        file.create_dataset("a", data=np.zeros(3))
        raise KeyError
