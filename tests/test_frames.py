"""Batches of frames against the frames that were written, and files that changed."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest

import segment_em.frames
from segment_em.errors import InputError
from segment_em.frames import FrameReader
from segment_em.indexing import build_index
from segment_em.records import encode_example, write_records

SMALL = {"rgb": 8, "audio": 4}
LENGTHS = [(3, 3), (7, 6), (0, 2), (12, 12), (5, 0), (1, 1), (20, 22)]  # rgb, audio


def arrays(number):
    random = np.random.default_rng(number)
    return {
        name: random.integers(1, 256, (count, width), np.uint8)
        for (name, width), count in zip(SMALL.items(), LENGTHS[number], strict=True)
    }


def write(path, numbers):
    payloads = [encode_example(f"v{n}", np.array([n]), arrays(n), None) for n in numbers]
    write_records(path, payloads)
    return path


@pytest.fixture
def index(tmp_path):
    """Seven videos in four files, in the order of LENGTHS."""
    spread = [[0, 1], [2], [3, 4, 5], [6]]
    paths = [write(tmp_path / f"train{n}.tfrecord", videos) for n, videos in enumerate(spread)]
    return build_index(paths, SMALL, 5)


def check(batch, rows, padded_frames, longest):
    """A batch must hold the frames that were written, cut, and zeros behind them."""
    found, counts = batch
    for name, width in SMALL.items():
        assert found[name].shape == (len(rows), padded_frames, width)
        assert found[name].dtype == np.uint8
        assert counts[name].dtype == np.int64
        for slot, row in enumerate(rows):
            written = arrays(row)[name][: min(longest, padded_frames)]
            assert counts[name][slot] == len(written)
            np.testing.assert_array_equal(found[name][slot, : len(written)], written)
            assert not found[name][slot, len(written) :].any()


@pytest.mark.parametrize("rows", [[0, 1, 2, 3, 4, 5, 6], [6, 0, 6, 3], [2], []])
@pytest.mark.parametrize("padded_frames", [25, 10, 5])
def test_batches_hold_the_written_frames_cut_and_padded_with_zeros(index, rows, padded_frames):
    for longest in (300, 12):
        reader = FrameReader(index, longest)
        check(reader.batch(np.array(rows, int), padded_frames), rows, padded_frames, longest)


def test_memory_that_was_used_before_is_overwritten_wholly(index):
    reader = FrameReader(index, 300)
    out = {name: np.full((7, 25, width), 99, np.uint8) for name, width in SMALL.items()}
    counts = reader.fill(np.arange(7), out)
    check((out, counts), range(7), 25, 300)


def test_frame_counts_are_those_of_the_first_modality_cut(index):
    assert FrameReader(index, 300).frame_counts.tolist() == [3, 7, 0, 12, 5, 1, 20]
    assert FrameReader(index, 6).frame_counts.tolist() == [3, 6, 0, 6, 5, 1, 6]


def test_rows_of_a_part_of_the_index_are_its_own(index):
    found, _ = FrameReader(index.take([6, 1]), 300).batch(np.array([1]), 7)
    np.testing.assert_array_equal(found["rgb"][0], arrays(1)["rgb"])


def test_no_more_files_are_kept_open_than_stated(index, monkeypatch):
    monkeypatch.setattr(segment_em.frames, "OPEN_FILES", 2)
    reader = FrameReader(index, 300)
    before = len(os.listdir("/proc/self/fd"))
    for rows in ([0, 2, 3, 6], [6, 3, 2, 0], [0, 6, 0, 2]):
        check(reader.batch(np.array(rows), 25), rows, 25, 300)
    assert len(os.listdir("/proc/self/fd")) <= before + 2


def test_threads_can_share_a_reader_that_keeps_fewer_files_than_they_use(index, monkeypatch):
    monkeypatch.setattr(segment_em.frames, "OPEN_FILES", 1)
    reader = FrameReader(index, 300)
    orders = [np.random.default_rng(n).permutation(7) for n in range(200)]
    with ThreadPoolExecutor(4) as pool:
        batches = list(pool.map(lambda rows: reader.batch(rows, 25), orders))
    for rows, batch in zip(orders, batches, strict=True):
        check(batch, rows.tolist(), 25, 300)


def test_a_reader_can_be_used_after_a_fork(index):
    reader = FrameReader(index, 300)
    reader.batch(np.array([0]), 25)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            check(reader.batch(np.arange(7), 25), range(7), 25, 300)
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    check(reader.batch(np.arange(7), 25), range(7), 25, 300)


# Files that are not as they were.


def test_a_file_of_another_size_changed_since_it_was_indexed(index):
    path = Path(index.files[1])
    path.write_bytes(path.read_bytes() + b"x")
    reader = FrameReader(index, 300)
    check(reader.batch(np.array([0]), 25), [0], 25, 300)
    with pytest.raises(InputError, match=r"train1.tfrecord changed since it was indexed"):
        reader.batch(np.array([2]), 25)


def test_a_record_of_another_content_changed_since_it_was_indexed(index):
    size = os.path.getsize(index.files[0])
    other = [
        encode_example(f"v{n}", np.array([n + 1]), arrays(n), None) for n in (0, 1)
    ]  # other labels, the same sizes
    write_records(index.files[0], other)
    assert os.path.getsize(index.files[0]) == size
    with pytest.raises(InputError, match=r"train0.tfrecord changed since .* video 'v1'"):
        FrameReader(index, 300).batch(np.array([1]), 25)


def test_a_file_that_is_cut_while_it_is_read_is_an_error_not_a_crash(index):
    reader = FrameReader(index, 300)
    reader.batch(np.arange(7), 25)  # all files are mapped
    os.truncate(index.files[3], 10)
    with pytest.raises(InputError, match=r"train3.tfrecord changed while it was read: .* now 10:"):
        reader.batch(np.array([6]), 25)


def test_a_file_that_is_replaced_while_it_is_read_stays_as_it_was(index, tmp_path):
    reader = FrameReader(index, 300)
    reader.batch(np.arange(7), 25)
    (tmp_path / "other").write_bytes(b"another file")
    os.replace(tmp_path / "other", index.files[3])
    check(reader.batch(np.array([6]), 25), [6], 25, 300)


def test_a_file_that_is_gone_or_empty_is_an_input_error(index):
    os.remove(index.files[3])
    with pytest.raises(InputError, match=r"train3.tfrecord: cannot be read"):
        FrameReader(index, 300).batch(np.array([6]), 25)
    open(index.files[3], "w").close()
    with pytest.raises(InputError, match=r"train3.tfrecord changed since it was indexed: 0 bytes"):
        FrameReader(index, 300).batch(np.array([6]), 25)


# Own features.


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32])
def test_own_features_are_read_as_records_are(index, tmp_path, dtype):
    with h5py.File(tmp_path / "own.h5", "w") as file:
        file["video_ids"] = index.video_ids.tolist()
        for name in SMALL:
            frames = [arrays(number)[name] for number in range(7)]
            stored = file.create_dataset(
                f"features/{name}/frames", data=np.concatenate(frames).astype(dtype)
            )
            stored.attrs["quantisation_range"] = [-2.0, 2.0]
            file[f"features/{name}/indptr"] = np.cumsum([0, *map(len, frames)])
    own = FrameReader(build_index([tmp_path / "own.h5"], SMALL, 5), 12)
    theirs, their_counts = FrameReader(index, 12).batch(np.arange(7), 15)
    ours, our_counts = own.batch(np.arange(7), 15)
    for name in SMALL:
        assert ours[name].dtype == dtype
        np.testing.assert_array_equal(ours[name], theirs[name].astype(dtype))
        np.testing.assert_array_equal(our_counts[name], their_counts[name])
