"""The wire format of protobuf, and the features of tensorflow/core/example/feature.proto in it.

Fields are located in a view of the mapped file; nothing is copied but keys and short lists.
"""

import numpy as np

VARINT, EIGHT_BYTES, DELIMITED, FOUR_BYTES = 0, 1, 2, 5  # protobuf's wire types
BYTES_LIST, FLOAT_LIST, INT64_LIST = 1, 2, 3  # field numbers in Feature
NUMBER_BYTES = {EIGHT_BYTES: 8, FOUR_BYTES: 4}
# Tags of fields 1 and 2 that hold a message or a string.
FIRST_DELIMITED, SECOND_DELIMITED = 1 << 3 | DELIMITED, 2 << 3 | DELIMITED
LIST_NAMES = {BYTES_LIST: "byte strings", FLOAT_LIST: "floats", INT64_LIST: "integers"}
REWRITE = "write the record anew"


class MalformedError(Exception):
    """What is wrong with a payload and the remedy; `of` names the video where it is known."""

    of = ""


def varint(view: memoryview, at: int, end: int) -> tuple[int, int]:
    """Unsigned value of the varint at `at`, and the offset behind it."""
    value, shift, first = 0, 0, at
    while at < end and shift < 70:
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> 64:
                break
            return value, at
        shift += 7
    raise MalformedError(f"no valid varint at byte {first}: not a SequenceExample? {REWRITE}")


def fields(view: memoryview, start: int, end: int) -> list[tuple[int, int, int]]:
    """Tag, start and end of each field's value in the message [start, end).

    Much of what a record takes beside its CRC is spent here: hence a list, and varints of one
    byte, as nearly all are, read in place. The message must not be the last of the view.
    """
    found, at = [], start
    while at < end:
        tag_at = at
        tag = view[at]
        at += 1
        if tag >= 0x80:
            tag, at = varint(view, tag_at, end)
        if tag & 7 == DELIMITED:
            size = view[at]  # behind the message there are other bytes, at least a record's CRC
            at += 1
            if size >= 0x80:
                size, at = varint(view, at - 1, end)
            stop = at + size
        else:
            stop = _end_of_number(view, at, end, tag & 7)
        if stop > end or tag < 8:
            raise MalformedError(
                f"no valid field at byte {tag_at}: not a SequenceExample? {REWRITE}"
            )
        found.append((tag, at, stop))
        at = stop
    return found


def _end_of_number(view: memoryview, at: int, end: int, wire: int) -> int:
    """End of the number at `at`; beyond `end` if there is no such wire type."""
    if wire == VARINT:
        return varint(view, at, end)[1]
    return at + NUMBER_BYTES.get(wire, end)


def require(expected_wire_type: bool, at: int) -> None:
    if not expected_wire_type:
        raise MalformedError(f"unexpected wire type at byte {at}: {REWRITE}")


def map_of(view: memoryview, start: int, end: int) -> dict[bytes, tuple[int, int]]:
    """Key -> place of the value, of the map in field 1 of a message.

    Key and value come in either order and may be left out; of equal keys the last counts.
    """
    found = {}
    for entry_tag, entry_at, entry_stop in fields(view, start, end):
        if entry_tag != FIRST_DELIMITED:
            require(entry_tag >> 3 != 1, entry_at)
            continue
        key, value = b"", None
        for tag, at, stop in fields(view, entry_at, entry_stop):
            if tag == FIRST_DELIMITED:
                key = bytes(view[at:stop])
            elif tag == SECOND_DELIMITED:
                require(value is None, at)
                value = at, stop
            else:  # parsers differ on what such an entry says
                raise MalformedError(
                    f"more than key and value in the map entry at byte {entry_at}: {REWRITE}"
                )
        found[key] = value or (entry_stop, entry_stop)
    return found


def values(
    view: memoryview, place: tuple[int, int], kind: int, name: str
) -> list[tuple[int, int, int]]:
    """Wire type, start and end of each entry in the `kind` list of a Feature."""
    found = []
    for tag, list_at, list_stop in fields(view, *place):
        if tag >> 3 == kind:
            require(tag & 7 == DELIMITED, list_at)
            found += [
                (entry_tag & 7, at, stop)
                for entry_tag, at, stop in fields(view, list_at, list_stop)
                if entry_tag >> 3 == 1
            ]
        elif tag >> 3 in LIST_NAMES:
            raise MalformedError(
                f"{name} holds {LIST_NAMES[tag >> 3]}, not {LIST_NAMES[kind]}: {REWRITE}"
            )
    return found


def strings(view: memoryview, place: tuple[int, int], name: str) -> list[bytes]:
    """The values of a BytesList, in order."""
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
            value = view[at]
            at += 1
            if value >= 0x80:
                value, at = varint(view, at - 1, stop)
                if value >> 63:
                    raise MalformedError(f"{name} holds {value - 2**64}, below 0: {REWRITE}")
            found.append(value)
    return np.array(found, np.int64)
