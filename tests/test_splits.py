"""A video in two splits is refused before training; features on another scale are told."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from small_records import (
    FEATURES,
    MORE_VIDEOS,
    VIDEOS,
    video_frames,
    write_small_records,
)

from segment_em.errors import InputError
from segment_em.index_files import read_index, write_index
from segment_em.indexing import build_index
from segment_em.splits import check_splits, trained_scale

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
    found = json.loads((tmp_path / "out.json").read_text())
    counts = {split: told["videos"] for split, told in found.items()}
    assert counts == {"train": 3, "segments": 2, "test": 2}


def test_the_size_of_features_is_that_of_all_their_values(tmp_path):
    paths = indexed(tmp_path, train="abc", segments="de", test="gh")
    check_splits(paths, tmp_path / "out.json")
    stored = [video_frames(name)["rgb"].ravel() for name in "abc"]
    values = np.concatenate(stored) * (4 / 255) + (4 / 512 - 2)
    assert trained_scale(tmp_path / "out.json")["rgb"] == pytest.approx((values**2).mean() ** 0.5)


def test_a_split_on_another_scale_is_told_with_both_sizes(tmp_path, caplog):
    """The test split's audio is stored without the range that the others' bytes stand for."""
    paths = indexed(tmp_path, train="abc", segments="de", test="gh")
    test = read_index(paths["test"])
    audio = replace(test.modalities["audio"], scale=1.0, bias=0.0)
    write_index(paths["test"][0], replace(test, modalities=test.modalities | {"audio": audio}), {})
    check_splits(paths, tmp_path / "out.json")
    (line,) = caplog.messages
    assert re.match(r"warning: data\.test: values of audio .* of 1\d\d, .* trained on 1\.", line)


def test_a_split_without_frames_has_no_size(tmp_path):
    paths = indexed(tmp_path, train="abc", segments="de", test="gh")
    write_index(paths["test"][0], read_index(paths["test"]).take([]), {})
    check_splits(paths, tmp_path / "out.json")
    told = json.loads((tmp_path / "out.json").read_text())
    assert told["test"] == {"videos": 0, "feature_rms": {}}


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
