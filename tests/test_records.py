"""Records against files that TensorFlow wrote, and against every kind of damage."""

import hashlib
import json
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from crc32c import crc32c
from hypothesis import given, settings
from hypothesis import strategies as st

from segment_em.errors import InputError
from segment_em.records import (
    Ratings,
    encode_example,
    examples_in,
    frame_array,
    mapped,
    read_examples,
    write_records,
)

FIXTURES = Path(__file__).parent / "fixtures"
EXPECTED = json.loads((FIXTURES / "expected.json").read_text(encoding="utf-8"))
OFFICIAL, SMALL = {"rgb": 1024, "audio": 128}, {"rgb": 8, "audio": 4}
RATED = "official.tfrecord"  # its second record carries ratings


def masked(data):
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) % 2**32


def record(payload, size=None):
    length = struct.pack("<Q", len(payload) if size is None else size)
    return length + struct.pack("<I", masked(length)) + payload + struct.pack("<I", masked(payload))


def varint(value):
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + varint(value >> 7)


def part(number, *contents):
    """A delimited protobuf field."""
    content = b"".join(contents)
    return varint(number << 3 | 2) + varint(len(content)) + content


def entry(key, value):
    return part(1, part(1, key), part(2, value))


ID = entry(b"id", part(1, part(1, b"x4Qp")))


def frame(content=b"12345678"):
    """One frame of a FeatureList."""
    return part(1, part(1, part(1, content)))


RGB, AUDIO = frame() * 3, frame(b"1234") * 2


def example(context=ID, rgb=RGB, audio=AUDIO):
    return part(1, context) + part(2, entry(b"rgb", rgb), entry(b"audio", audio))


def read(path, features=SMALL):
    return list(read_examples(path, features))


def error(tmp_path, content, features=SMALL):
    """Message of the error that reading a file with this content raises."""
    path = tmp_path / "train0007.tfrecord"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read(path, features)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


# What is read.


@pytest.mark.parametrize("name", ["official", "small", "odd_order", "empty"])
def test_records_read_as_tensorflow_reads_them(name):
    path = FIXTURES / f"{name}.tfrecord"
    features = OFFICIAL if name == "official" else SMALL
    buffer = mapped(path)
    found = []
    for one in read(path, features):
        frames = {
            modality: frame_array(buffer, one.frames[modality], width)
            for modality, width in features.items()
        }
        starts = one.ratings.start_second.tolist()
        found.append(
            {
                "id": one.id,
                "labels": one.labels.tolist(),
                "segment_start_times": starts,
                "segment_end_times": [start + 5 for start in starts],
                "segment_labels": one.ratings.class_id.tolist(),
                "segment_scores": one.ratings.score.tolist(),
                "frames": {
                    modality: {
                        "count": len(array),
                        "sha256": hashlib.sha256(array.tobytes()).hexdigest(),
                    }
                    for modality, array in frames.items()
                },
            }
        )
    assert found == EXPECTED[f"{name}.tfrecord"]


def test_arrays_have_the_stated_types():
    for one in read(FIXTURES / RATED, OFFICIAL):
        assert one.labels.dtype == np.int64
        assert [array.dtype for array in one.ratings] == [np.int64, np.int64, np.float32]


def test_frames_are_views_of_the_map_that_cannot_be_written():
    buffer = mapped(FIXTURES / RATED)
    one = next(examples_in(buffer, RATED, OFFICIAL))
    view = frame_array(buffer, one.frames["rgb"], 1024)
    assert np.shares_memory(view, np.frombuffer(buffer, np.uint8))
    assert not view.flags.writeable


def test_payload_place_and_crc_are_those_in_the_file():
    content = (FIXTURES / RATED).read_bytes()
    for one in read(FIXTURES / RATED, OFFICIAL):
        payload = content[one.payload_offset :][: one.payload_bytes]
        (stored,) = struct.unpack_from("<I", content, one.payload_offset + one.payload_bytes)
        assert one.payload_crc == stored == masked(payload)


def test_an_empty_feature_list_is_a_video_without_frames(tmp_path):
    (tmp_path / "a").write_bytes(record(example(rgb=b"")))
    (one,) = read(tmp_path / "a")
    assert one.frames["rgb"].count == 0
    assert frame_array(mapped(tmp_path / "a"), one.frames["rgb"], 8).shape == (0, 8)


def test_modalities_that_are_not_asked_for_are_left_alone(tmp_path):
    (tmp_path / "a").write_bytes(record(example(audio=b"\xff\xff")))
    (one,) = read(tmp_path / "a", {"rgb": 8})
    assert list(one.frames) == ["rgb"]


# What is written.


def written_again(path, features):
    """Payloads of our writer for the content of a file that TensorFlow wrote."""
    buffer = mapped(path)
    for one in examples_in(buffer, path, features):
        frames = {
            name: frame_array(buffer, one.frames[name], width) for name, width in features.items()
        }
        yield encode_example(
            one.id, one.labels, frames, one.ratings if len(one.ratings.score) else None
        )


def test_written_file_equals_tensorflows_byte_for_byte(tmp_path):
    write_records(tmp_path / "again", written_again(FIXTURES / RATED, OFFICIAL))
    assert (tmp_path / "again").read_bytes() == (FIXTURES / RATED).read_bytes()


def test_odd_but_legal_content_is_written_as_tensorflow_writes_it(tmp_path):
    theirs = {}
    content = (FIXTURES / "small.tfrecord").read_bytes()
    for one in read(FIXTURES / "small.tfrecord"):
        theirs[one.id] = content[one.payload_offset :][: one.payload_bytes]
    ours = written_again(FIXTURES / "small.tfrecord", SMALL)
    same = {
        video_id: payload == again
        for (video_id, payload), again in zip(theirs.items(), ours, strict=True)
    }
    # These three hold what we do not write: another key for the id, an empty list, more features.
    assert [v for v, equal in same.items() if not equal] == ["older", "empty labels", "more keys"]


@settings(max_examples=60, deadline=None)
@given(
    labels=st.lists(st.integers(0, 2**63 - 1), max_size=20),
    ratings=st.lists(
        st.tuples(st.integers(0, 2**40), st.integers(0, 2**63 - 1), st.floats(width=32)), max_size=9
    ),
    video_id=st.text(
        st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=60
    ),
    counts=st.tuples(st.integers(0, 300), st.integers(0, 300)),
)
def test_whatever_is_written_is_read_again(tmp_path_factory, labels, ratings, video_id, counts):
    path = tmp_path_factory.mktemp("again") / "a.tfrecord"
    columns = list(zip(*ratings, strict=True)) or [(), (), ()]
    rated = Ratings(*map(np.array, columns, (np.int64, np.int64, np.float32)))
    random = np.random.default_rng(0)
    frames = {
        name: random.integers(0, 256, (count, width), dtype=np.uint8)
        for (name, width), count in zip(SMALL.items(), counts, strict=True)
    }
    write_records(path, [encode_example(video_id, np.array(labels, np.int64), frames, rated)])
    (one,) = read(path)
    assert (one.id, one.labels.tolist()) == (video_id, labels)
    for found, given_array in zip(one.ratings, rated, strict=True):
        np.testing.assert_array_equal(found, given_array)
    for name, width in SMALL.items():
        np.testing.assert_array_equal(
            frame_array(mapped(path), one.frames[name], width), frames[name]
        )


def test_a_write_that_fails_leaves_no_file(tmp_path):
    def payloads():
        yield b"first"
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_records(tmp_path / "a.tfrecord", payloads())
    assert not list(tmp_path.iterdir())


# Damage.


def test_a_file_cut_at_any_byte_is_an_error_except_between_records(tmp_path):
    content = (FIXTURES / RATED).read_bytes()
    ends = [one.payload_offset + one.payload_bytes + 4 for one in read(FIXTURES / RATED, OFFICIAL)]
    assert ends[-1] == len(content)
    for size in range(1, len(content)):
        if size not in ends:
            number = 0 if size < ends[0] else 1
            message = error(tmp_path, content[:size], OFFICIAL)
            assert message.startswith(f"record {number} at byte {[0, ends[0]][number]}")


def test_a_bit_flipped_anywhere_is_an_error(tmp_path):
    content = (FIXTURES / RATED).read_bytes()
    bits = np.random.default_rng(1).integers(0, 8, len(content)).tolist()
    for position, bit in enumerate(bits):
        damaged = bytearray(content)
        damaged[position] ^= 1 << bit
        assert "CRC" in error(tmp_path, bytes(damaged), OFFICIAL)


def test_an_absurd_length_allocates_nothing(tmp_path):
    (tmp_path / "a").write_bytes(record(example(), size=2**60))
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="1152921504606846980 bytes announced"):
            read(tmp_path / "a")
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_an_absurd_length_inside_a_payload_is_an_error(tmp_path):
    assert "no valid field" in error(tmp_path, record(b"\x0a" + varint(2**60) + b"x"))


@pytest.mark.parametrize("tag", [b"\x0a", b"\x12", b"\x08", b"\x09", b"\x0d"])
def test_a_tag_at_the_end_of_a_payload_is_an_error(tmp_path, tag):
    assert "not a SequenceExample" in error(tmp_path, record(example() + tag) + record(example()))


def test_a_file_that_is_no_tfrecord_is_named_as_one(tmp_path):
    assert "not a TFRecord" in error(tmp_path, b"\x1f\x8b\x08 compressed, perhaps, or a web page")


def test_a_missing_file_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match=r"cannot be read .*: check the path"):
        read(tmp_path / "none.tfrecord")


def test_error_counts_records_and_states_the_byte(tmp_path):
    good = record(example())
    message = error(tmp_path, good + good + record(b"\xff"))
    assert message.startswith(f"record 2 at byte {2 * len(good)}: no valid varint at byte ")


# Well-formed records that do not fit.


def test_wrong_width_names_the_video_and_the_config_key(tmp_path):
    assert error(tmp_path, record(example()), {"rgb": 16}) == (
        "record 0 at byte 0 (id 'x4Qp'): rgb frame has 8 bytes, expected 16: correct "
        "data.features.rgb, or give records like those that the models learnt from"
    )


def test_missing_modality_lists_those_that_are_there(tmp_path):
    message = error(tmp_path, record(example()), {"depth": 8})
    assert "no feature list 'depth' (there are: ['audio', 'rgb'])" in message


def test_video_level_record_is_named_as_such():
    with pytest.raises(InputError, match=r"\(id 'vL01'\): a video-level record \(mean_rgb"):
        read(FIXTURES / "video_level.tfrecord")


@pytest.mark.parametrize(
    "context",
    [
        b"",
        entry(b"id", b""),
        entry(b"id", part(1, part(1, b""))),
        entry(b"id", part(1, part(1, b"a"), part(1, b"b"))),
        entry(b"id", part(1, part(1, b"x" * 256))),
    ],
    ids=["absent", "no value", "empty", "two", "too long"],
)
def test_id_must_be_one_string_of_sane_length(tmp_path, context):
    assert "needs one `id`" in error(tmp_path, record(example(context)))


def test_id_must_be_utf8_without_nul(tmp_path):
    for content, expected in ((b"\xff\xfe", "is not UTF-8"), (b"a\0b", "contains a NUL")):
        context = entry(b"id", part(1, part(1, content)))
        assert expected in error(tmp_path, record(example(context)))


def test_id_with_a_line_break_stays_within_one_line(tmp_path):
    context = entry(b"id", part(1, part(1, b"a\nb")))
    assert r"(id 'a\nb')" in error(tmp_path, record(example(context)), {"rgb": 9})


@pytest.mark.parametrize(
    ("rgb", "expected"),
    [
        (frame() + frame(b"1234567"), "rgb frame 1 at byte "),
        (frame() * 2 + frame(b"123456789") + frame(), "rgb frame 2 at byte "),
        (frame() + part(1, part(1, part(1, b"12345678")), b"\x48\x01") + frame(), "rgb frame 1 "),
        (part(1, part(1, part(1, b"1234"), part(1, b"5678"))), "more than one byte string"),
        (part(1, part(1, b"")) + frame(), "holds no bytes"),
        (part(1, b"") + frame(), "holds no bytes"),
        (part(1, part(3, part(1, b"12345678"))), "holds no bytes"),
        (frame() * 2 + b"\x48\x01", "not stored like frame 0"),
        (frame()[:-1], "is cut short"),
        (b"\x0a\xff\xff\xff", "no valid varint"),
    ],
)
def test_frames_that_do_not_lie_at_a_fixed_stride_are_an_error(tmp_path, rgb, expected):
    assert expected in error(tmp_path, record(example(rgb=rgb)))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (b"\xff" * 9 + b"\x01", "labels holds -1, below 0"),
        (b"\xff" * 9 + b"\x02", "no valid varint"),
        (b"\x80" * 10 + b"\x01", "no valid varint"),
        (b"\x80", "no valid varint"),
    ],
    ids=["negative", "beyond 64 bits", "eleven bytes", "cut"],
)
def test_varints_beyond_class_ids_are_an_error(tmp_path, values, expected):
    context = ID + entry(b"labels", part(3, part(1, values)))
    assert expected in error(tmp_path, record(example(context)))


def test_a_map_entry_with_more_than_key_and_value_is_an_error(tmp_path):
    # Parsers differ on it: the one of TensorFlow's Python leaves the entry out.
    odd = part(1, part(1, b"labels"), part(2, part(3, part(1, b"\x05"))), part(6, b"more"))
    assert "more than key and value" in error(tmp_path, record(example(ID + odd)))


def test_labels_of_another_type_are_an_error(tmp_path):
    context = ID + entry(b"labels", part(2, part(1, bytes(4))))
    message = error(tmp_path, record(example(context)))
    assert "labels holds floats, not integers" in message


def test_rating_lists_must_be_as_long_as_each_other(tmp_path):
    two, one = part(3, part(1, b"\x05\x0a")), part(3, part(1, b"\x0a"))
    context = ID + entry(b"segment_start_times", two) + entry(b"segment_end_times", one)
    message = error(tmp_path, record(example(context)))
    assert "2 segment_start_times, 1 segment_end_times, 0 segment_labels" in message


# Anything at all.


def outcome(path, payload):
    """The example that a file with this one payload holds, or the message of a clear error."""
    path.write_bytes(record(payload))
    try:
        (one,) = read(path)
    except InputError as problem:
        return str(problem)
    for name, width in SMALL.items():
        offset, stride, count = one.frames[name]
        end = one.payload_offset + one.payload_bytes
        assert count == 0 or (offset >= 12 and offset + (count - 1) * stride + width <= end)
    return one


@settings(max_examples=300, deadline=None)
@given(payload=st.binary(max_size=200))
def test_random_payloads_give_a_clear_error(tmp_path_factory, payload):
    message = outcome(tmp_path_factory.getbasetemp() / "random", payload)
    assert isinstance(message, str)
    assert "\n" not in message


@settings(max_examples=500, deadline=None)
@given(data=st.data())
def test_mutated_payloads_give_an_error_or_frames_within_the_record(tmp_path_factory, data):
    payload = bytearray(example(ID + entry(b"labels", part(3, part(1, b"\x05\x96\x01")))))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(payload) - 1))
        cut = data.draw(st.integers(0, 3))
        payload[at : at + cut] = data.draw(st.binary(max_size=3))
    found = outcome(tmp_path_factory.getbasetemp() / "mutated", bytes(payload))
    assert not isinstance(found, str) or "\n" not in found
