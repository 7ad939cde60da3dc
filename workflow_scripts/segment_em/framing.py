"""The frame of a TFRecord around its payload, and what is wrong with it where it is damaged.

A TFRecord file is a sequence of records: length (u64, little-endian), masked CRC-32C of those
eight bytes, payload, masked CRC-32C of the payload
(tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details).
"""

import struct
from typing import NamedTuple

# crc32c rather than google-crc32c: it takes a view of a map (no copy) and was four times as fast.
from crc32c import crc32c

LENGTH = struct.Struct("<QI")  # length of the payload, masked CRC of these eight bytes
CRC = struct.Struct("<I")


class Damage(NamedTuple):
    """Bytes of a file that are not the record they should be."""

    file: str
    record: int  # counted from 0, damaged ones too
    offset: int  # bytes from the start of the file
    bytes: int  # that are lost: to the next record or, where nothing tells where that is, all
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: record {self.record} at byte {self.offset}: {self.reason}"


class DamagedError(Exception):
    """What is wrong with the bytes; `size` of them are lost."""

    def __init__(self, reason: str, size: int) -> None:
        super().__init__(reason)
        self.size = size


def payload_at(view: memoryview, offset: int) -> tuple[int, int, int]:
    """Offset, size and stored CRC of the payload of the record at `offset`, both CRCs checked.

    Raises DamagedError: with a length that cannot be trusted, all that is left is lost.
    """
    start, rest = offset + LENGTH.size, len(view) - offset
    if start > len(view):
        raise DamagedError("the file ends inside the record's header", rest)
    size, length_crc = LENGTH.unpack_from(view, offset)
    if _masked_crc(view[offset : offset + 8]) != length_crc:
        reason = "wrong CRC of the length: damaged or not a TFRecord"
        if offset == 0:
            reason += " (your own features: .h5 or .hdf5)"
        raise DamagedError(reason, rest)
    left = len(view) - start
    if size > left - CRC.size:
        raise DamagedError(f"{size + 4} bytes announced, {left} left in the file", rest)
    (crc,) = CRC.unpack_from(view, start + size)
    if _masked_crc(view[start : start + size]) != crc:
        whole = LENGTH.size + size + CRC.size
        raise DamagedError("wrong CRC of the data: the record is damaged", whole)
    return start, size, crc


def framed(payload: bytes) -> bytes:
    """The record that holds a payload."""
    length = struct.pack("<Q", len(payload))
    head = length + CRC.pack(_masked_crc(length))
    return head + payload + CRC.pack(_masked_crc(payload))


def _masked_crc(data) -> int:
    """CRC-32C rotated right by 15 bits plus a constant, as TFRecord stores it."""
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
