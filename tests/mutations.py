"""Mutated record payloads, the same for the same number on every machine (no packages needed)."""

import random
import struct
from functools import cache
from pathlib import Path

FIXTURES = Path(__file__).parent / "fixtures"
WIDTHS = {"rgb": 8, "audio": 4}


@cache
def originals():
    """What TensorFlow wrote, as far as it is so short that a mutation often hits structure."""
    found = []
    for name in ("small.tfrecord", "odd_order.tfrecord"):
        content, at = (FIXTURES / name).read_bytes(), 0
        while at < len(content):
            (size,) = struct.unpack_from("<Q", content, at)
            found.append(content[at + 12 : at + 12 + size])
            at += size + 16
    return [payload for payload in found if len(payload) < 1000]


def mutated(number):
    """An original with one to three changes: bytes flipped, overwritten, cut, inserted, doubled."""
    draw = random.Random(number)
    payload = bytearray(draw.choice(originals()))
    for _ in range(draw.choice((1, 1, 2, 3))):
        # Structure is denser at the ends: keys before the frames, and the context behind them.
        at = min(int(len(payload) * draw.betavariate(0.5, 0.7)), max(0, len(payload) - 1))
        length = draw.choice((1, 1, 1, 2, 4, 13, 60))
        # Cuts and insertions mostly end in a refusal: lengths do not agree any more.
        kind = draw.choice((0, 0, 0, 1, 1, 2, 3, 4, 5))
        if kind == 0 and payload:
            payload[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            payload[at : at + 1] = bytes([draw.choice((0, 1, 8, 10, 18, 127, 128, 255))])
        elif kind == 2:
            del payload[at : at + length]
        elif kind == 3:
            payload[at:at] = draw.randbytes(length)
        elif kind == 4:
            payload[at:at] = payload[at : at + length]
        else:
            other = draw.choice(originals())
            start = draw.randrange(len(other))
            payload[at : at + length] = other[start : start + length]
    return bytes(payload)
