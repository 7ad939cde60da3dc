"""Damaged record files: what is found, and what is left out where damage is to be skipped."""

import logging
import struct
from pathlib import Path

import h5py
import numpy as np
import pytest
from crc32c import crc32c

from segment_em.errors import InputError
from segment_em.index_files import read_index, write_index
from segment_em.indexing import build_index
from segment_em.records import encode_example, write_records
from segment_em.skipped import skipped_records

FEATURES = {"rgb": 8, "audio": 4}
IDS = ["first", "second", "third", "fourth"]


def payload(video_id, seed):
    random = np.random.default_rng(seed)
    frames = {
        name: random.integers(0, 256, (9, width), np.uint8) for name, width in FEATURES.items()
    }
    return encode_example(video_id, np.array([3]), frames, None)


@pytest.fixture
def whole(tmp_path):
    """A file with a record of each of IDS, and where each begins."""
    payloads = [payload(name, seed) for seed, name in enumerate(IDS)]
    write_records(tmp_path / "whole.tfrecord", payloads)
    begins = np.cumsum([0, *(len(one) + 16 for one in payloads)]).tolist()
    return (tmp_path / "whole.tfrecord").read_bytes(), begins


def at(begins, record, what):
    """Byte of a part of a record: its length, the CRC of that, its data, the CRC of those."""
    return {
        "length": begins[record] + 1,
        "CRC of the length": begins[record] + 9,
        "data": begins[record] + 100,
        "CRC of the data": begins[record + 1] - 2,
    }[what]


def flipped(content, place):
    return content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :]


def damaged(content, begins):
    """{kind of damage: (content, ids that are left, record, its reason)}"""
    end, rest = len(content), "wrong CRC of the length"
    ends = {
        f"bit flipped in {what}": (
            flipped(content, at(begins, 1, what)),
            ["first"] if "length" in what else ["first", "third", "fourth"],
            *(1, rest if "length" in what else "wrong CRC of the data"),
        )
        for what in ("length", "CRC of the length", "data", "CRC of the data")
    }
    inside = begins[1] + 60
    return ends | {
        "bytes cut": (content[:inside] + content[inside + 7 :], ["first"], 1, "CRC of the data"),
        "bytes inserted": (
            content[:inside] + b"seven b" + content[inside:],
            *(["first"], 1, "CRC of the data"),
        ),
        "bytes written twice": (
            content[:inside] + content[inside - 20 :],
            *(["first"], 1, "CRC of the data"),
        ),
        "bytes inserted between records": (
            content[: begins[2]] + bytes(16) + content[begins[2] :],
            *(["first", "second"], 2, rest),
        ),
        "a page of zeros": (
            content[:inside] + bytes(50) + content[inside + 50 :],
            *(["first", "third", "fourth"], 1, "wrong CRC of the data"),
        ),
        "a record written twice": (
            content[: begins[2]] + content[begins[1] :],
            *(IDS, 2, "a repetition of record 1"),
        ),
        "cut in a header": (content[: begins[3] + 5], IDS[:3], 3, "inside the record's header"),
        "cut in the data": (content[: end - 30], IDS[:3], 3, "left in the file"),
        "an absurd length": (
            content[: begins[2]] + header(2**60) + content[begins[2] + 12 :],
            *(["first", "second"], 2, "1152921504606846980 bytes announced"),
        ),
    }


def header(size):
    length = struct.pack("<Q", size)
    crc = crc32c(length)
    return length + struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) % 2**32)


KINDS = list(damaged(bytes(1000), [0, 200, 400, 600, 800]))


@pytest.mark.parametrize("kind", KINDS)
def test_damage_stops_with_the_file_the_record_and_the_remedy(tmp_path, whole, kind):
    path = tmp_path / "train0007.tfrecord"
    content, _, record, reason = damaged(*whole)[kind]
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        build_index([path], FEATURES, 5)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    if reason.startswith("a repetition"):
        assert "a video may occur once: remove one" in message
    else:
        assert f"record {record} at byte {whole[1][record]}: " in message
        assert reason in message
        assert message.endswith(": fetch the file again")


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_skipped_and_told(tmp_path, whole, kind, caplog):
    path = tmp_path / "train0007.tfrecord"
    content, left, record, reason = damaged(*whole)[kind]
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        index = build_index([path], FEATURES, 5, skip_damaged=True)
    assert index.video_ids.tolist() == left
    first = index.skipped[0]
    assert (first.file, first.record, first.offset) == (str(path), record, whole[1][record])
    assert reason in first.reason
    assert [str(one) in caplog.text for one in index.skipped] == [True] * len(index.skipped)
    # Every byte is in a whole record or told of.
    sizes = dict(zip(IDS, np.diff(whole[1]).tolist(), strict=True))
    told = sum(one.bytes for one in index.skipped)
    assert told + sum(sizes[name] for name in left) == len(content)


def test_the_records_around_damage_are_read_as_they_were(tmp_path, whole):
    content, begins = whole
    (tmp_path / "a.tfrecord").write_bytes(flipped(content, at(begins, 1, "data")))
    (tmp_path / "b.tfrecord").write_bytes(content)
    with_damage = build_index([tmp_path / "a.tfrecord"], FEATURES, 5, skip_damaged=True)
    without = build_index([tmp_path / "b.tfrecord"], FEATURES, 5).take([0, 2, 3])
    for name in FEATURES:
        ours, theirs = with_damage.modalities[name], without.modalities[name]
        assert ours.offset.tolist() == theirs.offset.tolist()
        assert ours.frames.tolist() == theirs.frames.tolist()
    assert with_damage.payload_crc.tolist() == without.payload_crc.tolist()


def test_an_index_file_tells_what_was_left_out(tmp_path, whole):
    content, begins = whole
    (tmp_path / "b.tfrecord").write_bytes(flipped(content, at(begins, 2, "data")))
    files = [tmp_path / "b.tfrecord"]
    write_index(tmp_path / "b.h5", build_index(files, FEATURES, 5, skip_damaged=True), {})
    (only,) = skipped_records(tmp_path / "b.h5")
    assert only == read_index([tmp_path / "b.h5"]).skipped[0]
    assert (Path(only.file).name, only.record, only.offset) == ("b.tfrecord", 2, begins[2])
    assert only.bytes == begins[3] - begins[2]
    assert only.reason == "wrong CRC of the data: the record is damaged"


def test_an_index_of_whole_files_has_no_such_group_and_skips_nothing(tmp_path, whole):
    path = tmp_path / "whole.tfrecord"
    write_index(tmp_path / "skip.h5", build_index([path], FEATURES, 5, skip_damaged=True), {})
    write_index(tmp_path / "stop.h5", build_index([path], FEATURES, 5), {})
    assert skipped_records(tmp_path / "skip.h5") == []
    assert (tmp_path / "skip.h5").read_bytes() == (tmp_path / "stop.h5").read_bytes()


@pytest.mark.parametrize("key", ["file", "record", "reason"])
def test_a_damaged_list_of_what_was_left_out_is_refused(tmp_path, whole, key):
    content, begins = whole
    (tmp_path / "a.tfrecord").write_bytes(flipped(content, at(begins, 1, "data")))
    index = build_index([tmp_path / "a.tfrecord"], FEATURES, 5, skip_damaged=True)
    write_index(tmp_path / "a.h5", index, {})
    with h5py.File(tmp_path / "a.h5", "a") as file:
        if key == "file":
            file["skipped/file"][0] = 7
        else:
            del file[f"skipped/{key}"]
    with pytest.raises(InputError, match=r"skipped/.*: delete it and build the index again"):
        read_index([tmp_path / "a.h5"])


@pytest.mark.parametrize("content", [b"<html>not found</html>", b"\x1f\x8b\x08" + bytes(100)])
def test_a_file_of_another_kind_is_not_damage(tmp_path, content):
    (tmp_path / "a.tfrecord").write_bytes(content)
    with pytest.raises(InputError, match=r"no record of the file is whole: take it out"):
        build_index([tmp_path / "a.tfrecord"], FEATURES, 5, skip_damaged=True)


def test_records_that_the_config_does_not_fit_are_not_damage(tmp_path, whole):
    with pytest.raises(InputError, match=r"expected 16: correct data\.features\.rgb"):
        build_index([tmp_path / "whole.tfrecord"], {"rgb": 16}, 5, skip_damaged=True)
