"""The wire format of protobuf, and the features of tensorflow/core/example/feature.proto in it.

Fields are located in a view of the mapped file; nothing is copied but keys and short lists.
"""

from collections.abc import Iterator

import numpy as np

VARINT, EIGHT_BYTES, DELIMITED, FOUR_BYTES = 0, 1, 2, 5  # protobuf's wire types
BYTES_LIST, FLOAT_LIST, INT64_LIST = 1, 2, 3  # field numbers in Feature
LIST_NAMES = {BYTES_LIST: "byte strings", FLOAT_LIST: "floats", INT64_LIST: "integers"}
REWRITE = "write the record anew"


class MalformedError(Exception):
    """What is wrong with a payload and the remedy; `of` names the video where it is known."""

    of = ""


def varint(view: memoryview, at: int, end: int) -> tuple[int, int]:
    """Unsigned value of the varint at `at`, and the offset behind it."""
    if at < end and view[at] < 0x80:  # most are one byte
        return view[at], at + 1
    value = shift = 0
    for position in range(at, min(end, at + 10)):
        byte = view[position]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> 64:
                break
            return value, position + 1
        shift += 7
    raise MalformedError(f"no valid varint at byte {at}: not a SequenceExample? {REWRITE}")


def fields(view: memoryview, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Number, wire type, start and end of each field's value in the message [start, end)."""
    at = start
    while at < end:
        tag_at = at
        tag, at = varint(view, at, end)
        number, wire = tag >> 3, tag & 7
        if wire == DELIMITED:
            size, at = varint(view, at, end)
            stop = at + size
        elif wire == VARINT:
            stop = varint(view, at, end)[1]
        elif wire == EIGHT_BYTES:
            stop = at + 8
        elif wire == FOUR_BYTES:
            stop = at + 4
        else:
            stop = end + 1
        if stop > end or number == 0:
            raise MalformedError(
                f"no valid field at byte {tag_at}: not a SequenceExample? {REWRITE}"
            )
        yield number, wire, at, stop
        at = stop


def messages(view: memoryview, start: int, end: int, wanted: int) -> Iterator[tuple[int, int]]:
    """Start and end of each message in field `wanted`; other fields are skipped."""
    for number, wire, at, stop in fields(view, start, end):
        if number == wanted:
            require(wire == DELIMITED, at)
            yield at, stop


def require(expected_wire_type: bool, at: int) -> None:
    if not expected_wire_type:
        raise MalformedError(f"unexpected wire type at byte {at}: {REWRITE}")


def entry(view: memoryview, start: int, end: int) -> tuple[bytes, tuple[int, int]]:
    """Key, and the place of the value, of a map entry; either may come first or be left out."""
    key, value = b"", None
    for number, wire, at, stop in fields(view, start, end):
        if number == 1:
            require(wire == DELIMITED, at)
            key = bytes(view[at:stop])
        elif number == 2:
            require(wire == DELIMITED and value is None, at)
            value = at, stop
    return key, value or (end, end)


def values(view: memoryview, place: tuple[int, int], kind: int, name: str):
    """Wire type, start and end of each entry in the `kind` list of a Feature."""
    for number, wire, at, stop in fields(view, *place):
        if number == kind:
            require(wire == DELIMITED, at)
            for entry_number, entry_wire, entry_at, entry_stop in fields(view, at, stop):
                if entry_number == 1:
                    yield entry_wire, entry_at, entry_stop
        elif number in LIST_NAMES:
            raise MalformedError(
                f"{name} holds {LIST_NAMES[number]}, not {LIST_NAMES[kind]}: {REWRITE}"
            )


def strings(view: memoryview, place: tuple[int, int], name: str) -> list[bytes]:
    found = []
    for wire, at, stop in values(view, place, BYTES_LIST, name):
        require(wire == DELIMITED, at)
        found.append(bytes(view[at:stop]))
    return found


def floats(view: memoryview, place: tuple[int, int], name: str) -> np.ndarray:
    """float32 [n], packed or not."""
    packed = bytearray()
    for wire, at, stop in values(view, place, FLOAT_LIST, name):
        require(wire == FOUR_BYTES or (wire == DELIMITED and (stop - at) % 4 == 0), at)
        packed += view[at:stop]
    return np.frombuffer(packed, "<f4").astype(np.float32)


def counts(view: memoryview, place: tuple[int, int], name: str) -> np.ndarray:
    """int64 [n], packed or not. Class ids and seconds: a negative value is an error."""
    found = []
    for wire, at, stop in values(view, place, INT64_LIST, name):
        require(wire in (VARINT, DELIMITED), at)
        while at < stop:
            value, at = varint(view, at, stop)
            if value >> 63:
                raise MalformedError(f"{name} holds {value - 2**64}, below 0: {REWRITE}")
            found.append(value)
    return np.array(found, np.int64)
