"""TFRecord files of frame-level SequenceExamples, read and written without TensorFlow.

The payload of each record (framing.py) is a tf.train.SequenceExample
(tensorflow/core/example/{example,feature}.proto):

    SequenceExample  1: context Features         2: feature_lists FeatureLists
    Features         1: map<string, Feature>
    FeatureLists     1: map<string, FeatureList>
    Feature          1: BytesList | 2: FloatList | 3: Int64List, each with field 1 repeated
    FeatureList      1: repeated Feature, here one a frame with one byte string in its BytesList

Frames are located, not copied: a file is mapped, and what is returned says where they lie.

Shapes: T frames, F bytes a frame, H header bytes before the bytes of a frame.
"""

import mmap
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from segment_em.errors import InputError
from segment_em.files import replacing
from segment_em.framing import CRC, Damage, DamagedError, framed, payload_at
from segment_em.protobuf import (
    BYTES_LIST,
    DELIMITED,
    FIRST_DELIMITED,
    FLOAT_LIST,
    INT64_LIST,
    REWRITE,
    SECOND_DELIMITED,
    MalformedError,
    counts,
    fields,
    floats,
    map_of,
    require,
    strings,
    varint,
)

SEGMENT_SECONDS = 5  # the official format's; only to write segment_end_times
LONGEST_ID = 255  # bytes; the index keeps ids in an array as wide as its longest
RATING_KEYS = frozenset(
    (b"segment_start_times", b"segment_end_times", b"segment_labels", b"segment_scores")
)
FETCH = "fetch the file again"


class Frames(NamedTuple):
    """Where the frames of one modality lie in a file."""

    offset: int  # bytes from the start of the file to the first frame's bytes
    stride: int  # bytes from one frame to the next
    count: int


class Ratings(NamedTuple):
    """A video's human ratings, one entry a rating."""

    start_second: np.ndarray  # int64 [r], start of the rated segment
    class_id: np.ndarray  # int64 [r]
    score: np.ndarray  # float32 [r], as stored: 1 if the rater saw the class there, 0 if not


NO_RATINGS = Ratings(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))


class Example(NamedTuple):
    """One record: a video, its labels and ratings, and where its frames lie."""

    id: str
    labels: np.ndarray  # int64 [n], class ids, as stored
    ratings: Ratings  # empty arrays if the record has none
    frames: dict[str, Frames]  # modality -> place
    payload_offset: int  # bytes from the start of the file
    payload_bytes: int
    payload_crc: int  # masked, as stored behind the payload


def stop(damage: Damage) -> None:
    """What to do about damage unless one is told otherwise. Raises InputError."""
    raise InputError(f"{damage}: {FETCH}")


def read_examples(
    path: str | Path, features: Mapping[str, int], on_damage: Callable[[Damage], None] = stop
) -> Iterator[Example]:
    """Read a record file, checking both CRCs of every record.

    features: modality -> bytes a frame. Frames are located, not copied (see frame_array).
    on_damage: called where a CRC is wrong or the file ends too early; if it returns, reading goes
    on behind what is lost. Raises InputError with file, record (counted from 0), byte and remedy
    for foreign records, and for records that `features` does not fit: those are not damaged.
    """
    yield from examples_in(mapped(path), path, features, on_damage)


def mapped(path: str | Path) -> mmap.mmap | bytes:
    """Map a file for reading; an empty file gives b""."""
    try:
        with open(path, "rb") as file:
            empty = file.seek(0, 2) == 0
            return b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}): check the path") from error


def examples_in(
    buffer: mmap.mmap | bytes,
    path: str | Path,
    features: Mapping[str, int],
    on_damage: Callable[[Damage], None] = stop,
) -> Iterator[Example]:
    """read_examples of a file that is already mapped; `path` is for messages."""
    view = memoryview(buffer)
    offset = number = 0
    while offset < len(view):
        try:
            start, size, crc = payload_at(view, offset)
        except DamagedError as problem:
            on_damage(Damage(str(path), number, offset, problem.size, str(problem)))
            offset += problem.size
        else:
            try:
                yield _decode(view, start, size, crc, features)
            except MalformedError as problem:
                place = f"{path}: record {number} at byte {offset}"
                raise InputError(f"{place}{problem.of}: {problem}") from None
            offset = start + size + CRC.size
        number += 1


def frame_array(buffer, frames: Frames, width: int) -> np.ndarray:
    """View frames as uint8 [T, F] without copying.

    buffer: the mapped file. width: F, bytes a frame. The view keeps the map alive.
    """
    return np.ndarray((frames.count, width), np.uint8, buffer, frames.offset, (frames.stride, 1))


# The SequenceExample.


def _decode(
    view: memoryview, start: int, size: int, crc: int, features: Mapping[str, int]
) -> Example:
    context: dict[bytes, tuple[int, int]] = {}
    lists: dict[bytes, tuple[int, int]] = {}
    for tag, at, stop in fields(view, start, start + size):
        if tag == FIRST_DELIMITED:
            context |= map_of(view, at, stop)
        elif tag == SECOND_DELIMITED:
            lists |= map_of(view, at, stop)
        else:
            require(tag >> 3 not in (1, 2), at)
    video_id = _video_id(view, context)
    try:
        labels = counts(view, context.get(b"labels", (0, 0)), "labels")
        ratings = _ratings(view, context)
        _require_frame_level(context, lists, features)
        frames = {
            name: _frames(view, lists[name.encode()], name, width)
            for name, width in features.items()
        }
    except MalformedError as problem:
        problem.of = f" (id {video_id!r})"
        raise
    return Example(video_id, labels, ratings, frames, start, size, crc)


def _video_id(view: memoryview, context: dict[bytes, tuple[int, int]]) -> str:
    """The one string under `id`, or `video_id` in some older files."""
    key = "id" if b"id" in context else "video_id"
    found = strings(view, context.get(key.encode(), (0, 0)), key)
    if len(found) != 1 or not 0 < len(found[0]) <= LONGEST_ID:
        raise MalformedError(
            "the context needs one `id` (or `video_id`) of 1 to "
            f"{LONGEST_ID} bytes: not a frame-level SequenceExample? {REWRITE}"
        )
    try:
        video_id = found[0].decode()
    except UnicodeDecodeError:
        raise MalformedError(f"{key} {found[0]!r} is not UTF-8: {REWRITE}") from None
    if "\0" in video_id:
        raise MalformedError(f"{key} {video_id!r} contains a NUL: {REWRITE}")
    return video_id


def _ratings(view: memoryview, context: dict[bytes, tuple[int, int]]) -> Ratings:
    """The four parallel lists; end times only need to be as many."""
    if RATING_KEYS.isdisjoint(context):
        return NO_RATINGS
    start, end, labels = (
        counts(view, context.get(name.encode(), (0, 0)), name)
        for name in ("segment_start_times", "segment_end_times", "segment_labels")
    )
    score = floats(view, context.get(b"segment_scores", (0, 0)), "segment_scores")
    if not len(start) == len(end) == len(labels) == len(score):
        raise MalformedError(
            f"{len(start)} segment_start_times, {len(end)} segment_end_times, {len(labels)} "
            f"segment_labels, {len(score)} segment_scores: must be as many: {REWRITE}"
        )
    return Ratings(start, labels, score)


def _require_frame_level(context, lists, features: Mapping[str, int]) -> None:
    missing = [name for name in features if name.encode() not in lists]
    if not missing:
        return
    if any(f"mean_{name}".encode() in context for name in missing):
        raise MalformedError(
            f"a video-level record (mean_{missing[0]}, no frames): give the frame-level files"
        )
    have = sorted(key[:40].decode(errors="replace") for key in lists)[:10]
    raise MalformedError(
        f"no feature list {missing[0]!r} (there are: {have}): give frame-level records with it, "
        f"or train without it (data.features.{missing[0]}: null)"
    )


def _frames(view: memoryview, place: tuple[int, int], name: str, width: int) -> Frames:
    """Locate the frames of one FeatureList.

    Frames of one size have the same header, so that they lie at a fixed stride: the first header
    gives it, and the others are compared with the first all at once.
    """
    start, end = place
    if start == end:
        return Frames(start, width, 0)
    offset = start + len(_frame_header(width))
    if offset + width > end or view[start:offset] != _frame_header(width):
        offset, stop = _first_frame(view, start, end, name)
        if stop - offset != width:
            raise MalformedError(
                f"{name} frame has {stop - offset} bytes, expected {width}: correct "
                f"data.features.{name}, or give records like those that the models learnt from"
            )
    stride = offset + width - start
    count, rest = divmod(end - start, stride)
    headers_T = np.ndarray(count, f"V{offset - start}", view, start, (stride,))
    if rest or headers_T.tobytes() != bytes(view[start:offset]) * count:
        differs_T = headers_T != headers_T[0]
        frame = int(differs_T.argmax()) if differs_T.any() else count
        raise MalformedError(
            f"{name} frame {frame} at byte {start + frame * stride} is not stored like frame 0 "
            f"({width} bytes in one byte string): {REWRITE} with frames of one size"
        )
    return Frames(offset, stride, count)


@cache
def _frame_header(width: int) -> bytes:
    """What protobuf writes before the bytes of a frame."""
    feature = _delimited(1, _feature(BYTES_LIST, _delimited(1, bytes(width))))
    return feature[: len(feature) - width]


def _first_frame(view: memoryview, start: int, end: int, name: str) -> tuple[int, int]:
    """Start and end of the first frame's bytes: Feature, BytesList and value around them."""
    at, stops = start, [end]
    for _ in range(3):
        if at == stops[-1] or view[at] != FIRST_DELIMITED:
            raise MalformedError(f"{name} frame 0 at byte {start} holds no bytes: {REWRITE}")
        size, at = varint(view, at + 1, stops[-1])
        stops.append(at + size)
        if stops[-1] > stops[-2]:
            raise MalformedError(f"{name} frame 0 at byte {start} is cut short: {REWRITE}")
    if not stops[1] == stops[2] == stops[3]:
        raise MalformedError(
            f"{name} frame 0 at byte {start} is more than one byte string: {REWRITE}"
        )
    return at, stops[1]


# Writing.


def write_records(path: str | Path, payloads: Iterable[bytes]) -> None:
    """Write payloads as a TFRecord file, which appears under `path` when it is complete."""
    with replacing(path) as temporary, open(temporary, "wb") as file:
        for payload in payloads:
            file.write(framed(payload))


def encode_example(
    id: str, labels: np.ndarray, frames: Mapping[str, np.ndarray], ratings: Ratings | None
) -> bytes:
    """Serialise a frame-level SequenceExample, byte for byte as TensorFlow does (keys sorted).

    labels: int [n], class ids >= 0; left out of the record if there are none.
    frames: modality -> uint8 [T, F]. ratings: left out if None.
    """
    context = {"id": _feature(BYTES_LIST, _delimited(1, id.encode()))}
    if len(labels):
        context["labels"] = _int64_feature(labels)
    if ratings is not None:
        context["segment_start_times"] = _int64_feature(ratings.start_second)
        context["segment_end_times"] = _int64_feature(ratings.start_second + SEGMENT_SECONDS)
        context["segment_labels"] = _int64_feature(ratings.class_id)
        scores = np.asarray(ratings.score, "<f4").tobytes()
        context["segment_scores"] = _feature(FLOAT_LIST, _packed(scores))
    lists = {name: _frame_list(array) for name, array in frames.items()}
    return _delimited(1, _map(context)) + _delimited(2, _map(lists))


def _map(entries: Mapping[str, bytes]) -> bytes:
    return b"".join(
        _delimited(1, _delimited(1, key.encode()) + _delimited(2, entries[key]))
        for key in sorted(entries)
    )


def _frame_list(array_TF: np.ndarray) -> bytes:
    """FeatureList of one byte string a frame: the same header before each."""
    assert array_TF.dtype == np.uint8
    frames, width = array_TF.shape
    header = np.frombuffer(_frame_header(width), np.uint8)
    list_TF = np.empty((frames, len(header) + width), np.uint8)
    list_TF[:, : len(header)] = header
    list_TF[:, len(header) :] = array_TF
    return list_TF.tobytes()


def _int64_feature(values: np.ndarray) -> bytes:
    assert np.min(values, initial=0) >= 0
    return _feature(INT64_LIST, _packed(b"".join(_encoded_varint(int(v)) for v in values)))


def _feature(kind: int, entries: bytes) -> bytes:
    return _delimited(kind, entries)


def _packed(values: bytes) -> bytes:
    return _delimited(1, values) if values else b""


def _delimited(number: int, value: bytes) -> bytes:
    return bytes([number << 3 | DELIMITED]) + _encoded_varint(len(value)) + value


def _encoded_varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
