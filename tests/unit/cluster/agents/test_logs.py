"""What logs of mirrors begin as, to the byte, and when they do."""

from __future__ import annotations

import pytest

from drystone.base.errors import RefusedError, UsageError
from drystone.cluster.agents.logs import LogNote, begins_anew, log_bytes
from drystone.cluster.model.calls import Log
from drystone.cluster.model.in_sync import Bits

HEADER = bytes.fromhex("7252694d 02000000")
PATH = "/dev/drystone/log/dlv/g0.s0"


def test_a_dirty_log_knows_all_regions_and_has_none_clean() -> None:
    data = log_bytes(Log(PATH, 12, "dirty"))
    assert data[:16] == HEADER + (12).to_bytes(8, "little")
    assert not any(data[16:])
    assert len(data) == 4096


@pytest.mark.parametrize(
    ("regions", "bits"), [(1, b"\x01"), (8, b"\xff"), (9, b"\xff\x01"), (12, b"\xff\x0f"), (32, b"\xff" * 4)]
)
def test_a_clean_log_has_one_bit_a_region(regions: int, bits: bytes) -> None:
    data = log_bytes(Log(PATH, regions, "clean"))
    assert data[:16] == HEADER + regions.to_bytes(8, "little")
    assert data[1024 : 1024 + len(bits)] == bits
    assert not any(data[16:1024])
    assert not any(data[1024 + len(bits) :])


def test_for_nosync_the_log_is_clean() -> None:
    """A blank one would be read as all out of sync by a table that does not say `nosync`."""
    assert log_bytes(Log(PATH, 12, "nosync")) == log_bytes(Log(PATH, 12, "clean"))


@pytest.mark.parametrize(("regions", "size"), [(24_576, 4096), (24_577, 8192), (1 << 20, (1 << 17) + 4096)])
def test_it_has_room_for_all_bits(regions: int, size: int) -> None:
    assert len(log_bytes(Log(PATH, regions, "clean"))) == size


def test_what_cannot_be_begun() -> None:
    with pytest.raises(RefusedError):
        log_bytes(Log(PATH, 12, "kept"))
    for regions in (0, -1, (1 << 32) + 1):
        with pytest.raises(UsageError):
            log_bytes(Log(PATH, regions, "clean"))


@pytest.mark.parametrize(
    ("bits", "before", "expected"),
    [
        ("clean", None, True),
        ("kept", None, True),
        ("nosync", "mirror: A B", False),
        ("dirty", "mirror: A B", False),
        ("dirty", "mirror: A gone", True),
        ("kept", "mirror: A gone", False),
    ],
)
def test_bits_are_written_once_for_each_putting_together(bits: Bits, before: str | None, expected: bool) -> None:
    noted = LogNote(PATH, "log-1", before) if before else None
    assert begins_anew(Log(PATH, 12, bits), "mirror: A B", noted) is expected
