"""A video in two splits is refused before anything is trained."""

import json

import pytest
from small_records import FEATURES, MORE_VIDEOS, VIDEOS, write_small_records

from segment_em.errors import InputError
from segment_em.index_files import write_index
from segment_em.indexing import build_index
from segment_em.splits import check_splits

ALL = VIDEOS | MORE_VIDEOS


def indexed(folder, **splits):
    """{split: [index file]} of small records, given by the letters of their ids."""
    paths = {}
    for split, names in splits.items():
        record = folder / f"{split}.tfrecord"
        write_small_records(record, {name: ALL[name] for name in names})
        paths[split] = [folder / f"{split}.h5"]
        write_index(paths[split][0], build_index([record], FEATURES, 5), {})
    return paths


def test_splits_without_a_common_video_are_counted(tmp_path):
    check_splits(indexed(tmp_path, train="abc", segments="de", test="gh"), tmp_path / "out.json")
    counts = json.loads((tmp_path / "out.json").read_text())
    assert counts == {"train": 3, "segments": 2, "test": 2}


@pytest.mark.parametrize(
    ("splits", "one", "other", "name"),
    [
        ({"train": "abc", "segments": "de", "test": "eg"}, "segments", "test", "e"),
        ({"train": "abc", "segments": "de", "test": "cbg"}, "train", "test", "b"),
        ({"train": "abc", "segments": "da", "test": "g"}, "train", "segments", "a"),
    ],
)
def test_a_video_in_two_splits_is_named_with_both_files(tmp_path, splits, one, other, name):
    where = [rf"data\.{split} \(.*/{split}\.tfrecord\)" for split in (one, other)]
    expected = f"video '{name}' is in {where[0]} and in {where[1]}"
    with pytest.raises(InputError, match=expected):
        check_splits(indexed(tmp_path, **splits), tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()
