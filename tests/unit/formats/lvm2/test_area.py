from __future__ import annotations

import pytest

from drystone.base.errors import DamagedError
from drystone.formats.lvm2.area import AreaHeader, Location, parse_area_header, parse_slots
from drystone.testing import lvm2_metadata
from drystone.testing.lvm2_metadata import write_area_header


def test_a_header() -> None:
    header = write_area_header(4096, 65536, [(512, 100, 7, 0), (1024, 200, 8, 0)])
    assert parse_area_header(header, 4096) == AreaHeader(4096, 65536, Location(512, 100, 7), Location(1024, 200, 8))


def test_an_empty_one_and_an_ignored_one() -> None:
    assert parse_area_header(write_area_header(4096, 65536, []), 4096) == AreaHeader(4096, 65536)
    ignored = parse_area_header(write_area_header(4096, 65536, [(512, 100, 7, 1)]), 4096)
    assert ignored.ignored
    assert ignored.committed == Location(512, 100, 7)


def test_a_first_text_is_precommitted_alone() -> None:
    found = parse_area_header(write_area_header(4096, 65536, [(0, 0, 0, 0), (512, 100, 7, 0)]), 4096)
    assert (found.committed, found.precommitted) == (None, Location(512, 100, 7))


def test_half_a_slot_is_none() -> None:
    found = parse_area_header(write_area_header(4096, 65536, [(512, 0, 7, 0), (0, 100, 7, 0)]), 4096)
    assert (found.committed, found.precommitted) == (None, None)


def resealed(header: bytes) -> bytes:
    return lvm2_metadata.checksum(header[4:]).to_bytes(4, "little") + header[4:]


@pytest.mark.parametrize(
    ("at", "data", "message"),
    [
        (4, b"x", "does not begin with its magic"),
        (20, b"\2", "is of version 2"),
        (24, b"\1", "says that it begins at byte 4097"),
        (32, b"\0\2\0\0\0\0\0\0", "says that it has 512 bytes"),
    ],
)
def test_headers_that_are_refused(at: int, data: bytes, message: str) -> None:
    header = write_area_header(4096, 65536, [(512, 100, 7, 0)])
    with pytest.raises(DamagedError, match=message):
        parse_area_header(resealed(header[:at] + data + header[at + len(data) :]), 4096)


def test_a_changed_header_is_refused_and_its_slots_can_be_read_all_the_same() -> None:
    header = bytearray(write_area_header(4096, 65536, [(512, 100, 7, 0)]))
    header[300] ^= 1
    with pytest.raises(DamagedError, match="has the checksum"):
        parse_area_header(bytes(header), 4096)
    assert parse_slots(bytes(header)) == (Location(512, 100, 7), None)
    with pytest.raises(DamagedError, match="ends within its header"):
        parse_area_header(b"", 4096)
