"""Labels of devices: the pages that a device begins and ends with, changed, and what reads them."""

from __future__ import annotations

import contextlib
import struct
from functools import cache
from random import Random
from uuid import UUID

import google_crc32c
from msgspec.structs import replace

from drystone.base.errors import DamagedError, DrystoneError
from drystone.formats.label.label import Extent, Label, build_label, choose_copy, parse_label
from drystone.formats.label.layout import CHECKSUM_AT, MOST_LISTED, MOST_REGIONS, PAGE
from drystone.formats.label.signatures import find_signatures
from drystone.testing.fuzz.mutate import mutate_fixed
from drystone.testing.fuzz.oracles import demand

_SIZE = 1 << 20


@cache
def _labels() -> tuple[Label, ...]:
    uuids = [str(UUID(int=number << 64 | 1)) for number in range(1, MOST_LISTED + 1)]
    regions = tuple(Extent(2 * number + 1, 2 * number + 2) for number in range(MOST_REGIONS))
    small = Label(uuids[7], "vg", uuids[0], _SIZE, (Extent(1, 33), Extent(40, 60)), 3, 2, tuple(uuids[:2]))
    return (
        small,
        replace(small, generation=4, name="other-name"),
        replace(small, regions=(), members=1 << 20, listed=()),
        replace(small, regions=regions, members=MOST_LISTED, listed=tuple(uuids)),
    )


def make_label_pages(random: Random) -> bytes:
    """The first page and the last one, one of them or both changed; most with a checksum that fits again."""
    pages = [build_label(random.choice(_labels()), copy) for copy in range(2)]
    for copy in random.choice(((0,), (1,), (0, 1))):
        pages[copy] = mutate_fixed(pages[copy], random)
        if random.random() < 0.9:
            pages[copy] = _seal(pages[copy])
    return b"".join(pages)


def _seal(page: bytes) -> bytes:
    rest = page[CHECKSUM_AT + 4 :]
    value = int(google_crc32c.value(page[:CHECKSUM_AT] + bytes(4) + rest))
    return page[:CHECKSUM_AT] + struct.pack("<I", value) + rest


def read_label_pages(data: bytes) -> None:
    """The label that counts, and the marks of others.

    :raises DamagedError: something of ours is there, and no label.
    """
    first, last = data[:PAGE], data[PAGE:]
    for size in (_SIZE, len(data)):
        for mark in find_signatures(first, last, size):
            demand(0 <= mark.offset < mark.offset + mark.length <= size, "a mark is not within its device")
    for page in (first, last):
        with contextlib.suppress(DrystoneError):
            demand(build_label(*parse_label(page)) == page, "a label is spelled in two ways")
    reading = choose_copy(first, last, _SIZE)
    demand(reading.label is None or not reading.problem, "a label counts that has a problem")
    if reading.problem:
        raise DamagedError(reading.problem)
