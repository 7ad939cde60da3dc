"""A reader never sees half a file."""

import errno
import os
import shutil

import numpy as np
import pytest

from segment_em.errors import InputError
from segment_em.files import replacing, scratch, write_json


def test_a_file_appears_whole_when_its_block_ends(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    with replacing(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError):
        half_written(path, RuntimeError())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def half_written(path, error):
    with replacing(path) as temporary:
        temporary.write_text("half")
        raise error


def test_what_a_killed_attempt_left_is_removed_and_that_of_another_target_is_not(tmp_path):
    left = [tmp_path / ".a.csv.12345.part", tmp_path / ".a.csv.0a7f.part"]
    others = [tmp_path / ".a.csv.old.12345.part", tmp_path / ".b.csv.7.part", tmp_path / "a.csv.1"]
    for path in left + others:
        path.write_text("half")
    with replacing(tmp_path / "a.csv") as temporary:
        temporary.write_text("whole")
    assert sorted(tmp_path.iterdir()) == sorted([*others, tmp_path / "a.csv"])


def test_of_two_attempts_at_once_the_first_is_told_why_it_ends(tmp_path):
    path = tmp_path / "a.csv"
    with pytest.raises(InputError, match=r"a\.csv: another attempt at it took away what this one"):
        overtaken(path)
    assert path.read_text() == "second"
    assert list(tmp_path.iterdir()) == [path]


def overtaken(path):
    """Write it while another attempt writes it too, from a process of the same number elsewhere."""
    with replacing(path) as temporary:
        temporary.write_text("first")
        with replacing(path) as second:
            second.write_text("second")


def test_an_attempt_that_was_overtaken_does_not_publish_what_another_has_begun(tmp_path):
    path = tmp_path / "a.csv"
    first, second = replacing(path), replacing(path)
    first.__enter__().write_text("first")
    second.__enter__().write_text("half of the sec")
    with pytest.raises(InputError, match="another attempt"):
        first.__exit__(None, None, None)
    assert not path.exists()
    second.__exit__(None, None, None)
    assert path.read_text() == "half of the sec"


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "free some space, or ask for a larger quota"),
        (errno.EROFS, "mount it for writing"),
    ],
)
def test_a_disk_that_refuses_is_one_line_with_file_space_and_remedy(tmp_path, number, remedy):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(InputError) as caught:
        half_written(path, OSError(number, os.strerror(number)))
    total, _, _ = shutil.disk_usage(tmp_path)
    assert str(caught.value).startswith(f"{path}: cannot be written: {os.strerror(number)} (")
    assert f"of {total / 1e6:,.1f} MB, 0.0 MB of it begun); {remedy}, then" in str(caught.value)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_may_not_be_written_is_told_but_not_one_that_may_not_be_read(tmp_path):
    path = tmp_path / "a.txt"
    with pytest.raises(InputError, match="let this user write there"):
        half_written(path, PermissionError(errno.EACCES, "Permission denied", str(tmp_path)))
    with pytest.raises(PermissionError):
        half_written(path, PermissionError(errno.EACCES, "Permission denied", "/somewhere/else"))


def test_a_scratch_file_has_its_space_and_no_name(tmp_path):
    with scratch(tmp_path / "deep" / "scores.json", 1000) as file:
        assert not list((tmp_path / "deep").iterdir())
        assert os.fstat(file.fileno()).st_size == 1000
        numbers = np.memmap(file, np.uint8, "r+", shape=(1000,))
        numbers[:] = 7
        assert numbers.sum() == 7000


def test_a_scratch_file_that_does_not_fit_is_refused_before_it_is_used(tmp_path, monkeypatch):
    def full(descriptor, offset, size):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with (
        pytest.raises(InputError, match=r"a\.json: cannot be written: .* 8\.0 MB of it begun"),
        scratch(tmp_path / "a.json", 8_000_000),
    ):
        pytest.fail("it was yielded")
    assert not list(tmp_path.iterdir())


def test_json_with_a_nan_is_refused_and_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"map": None})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"map": float("nan")})
    assert path.read_text() == '{\n "map": null\n}\n'
    assert list(tmp_path.iterdir()) == [path]
