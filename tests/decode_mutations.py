"""Decode mutations FIRST to LAST in bounded memory and time; prints how many were read or refused.

A process of its own, so that a crash, a hang or a large allocation is seen and hurts nobody.
"""

import resource
import signal
import sys

from mutations import WIDTHS, mutated

from segment_em.errors import InputError
from segment_em.framing import framed
from segment_em.records import examples_in

MEMORY = 32 * 2**20  # bytes beside what Python and numpy hold at the start
HANG_SECONDS = 20  # for 1,000 records that take a tenth of a second


def used():
    """Bytes of address space of this process."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def check_places(one, buffer):
    """Frames lie within their record."""
    for name, width in WIDTHS.items():
        offset, stride, count = one.frames[name]
        assert count == 0 or stride >= width
        end = offset + (count - 1) * stride + width
        assert count == 0 or 12 <= offset <= end <= len(buffer) - 4, (one, name)


def main(first, last):
    mutated(0)
    limit = used() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    found = refused = 0
    for number in range(first, last):
        if number % 1000 == 0:
            signal.alarm(HANG_SECONDS)
        buffer = framed(mutated(number))
        try:
            (one,) = examples_in(buffer, "mutated", WIDTHS)
        except InputError as problem:
            refused += "\n" not in str(problem)
        else:
            check_places(one, buffer)
            found += 1
    print(found, refused)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
