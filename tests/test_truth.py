"""What truly occurs in a segment: by hand, and against a count of frames one by one."""

import numpy as np
import pytest

from segment_em.errors import InputError
from segment_em.truth import Truth


def write_truth(path, videos):
    """videos: {id: (frames, [(class, start, end), ...])}."""
    entries = [entry for _, entries in videos.values() for entry in entries]
    counts = [len(entries) for _, entries in videos.values()]
    columns = np.array(entries, np.int64).reshape(-1, 3).T
    np.savez(
        path,
        video_ids=np.array(list(videos)),
        frames=np.array([frames for frames, _ in videos.values()]),
        indptr=np.concatenate([[0], np.cumsum(counts)]),
        **dict(zip(("class_id", "start_frame", "end_frame"), columns, strict=True)),
    )
    return path


def test_a_class_is_true_of_a_segment_of_which_it_fills_half(tmp_path):
    # 12 frames: segments of 5, 5 and 2. Class 3 fills 3 of 5, 2 of 5 and 1 of 2 frames.
    path = write_truth(tmp_path / "t.npz", {"a": (12, [(3, 2, 7), (3, 11, 12), (9, 0, 12)])})
    found = Truth(path).segments("a", [3, 4], 5, 100)
    assert found.tolist() == [[True, False], [False, False], [True, False]]


def test_a_video_is_cut_where_the_process_cuts_it(tmp_path):
    path = write_truth(tmp_path / "t.npz", {"a": (12, [(3, 9, 12)])})
    assert Truth(path).segments("a", [3], 5, 10).tolist() == [[False], [False]]


def test_segments_agree_with_a_count_of_frames_one_by_one(tmp_path):
    random = np.random.default_rng(0)
    videos = {}
    for name in "abcdef":
        frames = int(random.integers(1, 40))
        starts = random.integers(0, frames, 4)
        ends = [int(random.integers(start + 1, frames + 1)) for start in starts]
        # One occurrence a class, as occurrences of a class do not overlap.
        videos[name] = (frames, list(zip((1, 2, 5, 7), starts.tolist(), ends, strict=True)))
    truth = Truth(write_truth(tmp_path / "t.npz", videos))
    for name, (frames, entries) in videos.items():
        found = truth.segments(name, [1, 2, 5, 7], 5, 30)
        cut = min(frames, 30)
        for column, (_, start, end) in enumerate(entries):
            for segment in range(-(-cut // 5)):
                covered = [start <= f < end for f in range(5 * segment, min(cut, 5 * segment + 5))]
                assert found[segment, column] == (2 * sum(covered) >= len(covered))


def test_a_video_that_the_truth_does_not_hold_is_named(tmp_path):
    truth = Truth(write_truth(tmp_path / "t.npz", {"a": (5, [])}))
    with pytest.raises(InputError, match="no video 'b'"):
        truth.occurrences("b")


@pytest.mark.parametrize("kept", [0, 100, -100, None])
def test_a_file_that_is_no_truth_is_refused(tmp_path, kept):
    whole = write_truth(tmp_path / "t.npz", {"a": (5, [])}).read_bytes()
    (tmp_path / "t.npz").write_bytes(b"nonsense" if kept is None else whole[:kept])
    with pytest.raises(InputError, match=r"t\.npz: not the truth"):
        Truth(tmp_path / "t.npz")


def test_a_truth_whose_zip_asks_for_another_version_is_refused(tmp_path):
    path = write_truth(tmp_path / "t.npz", {"a": (5, [])})
    whole = bytearray(path.read_bytes())
    whole[whole.index(b"PK\x01\x02") + 6] = 99  # the version needed to extract the first array
    path.write_bytes(whole)
    with pytest.raises(InputError, match=r"t\.npz: not the truth .*version"):
        Truth(path)
