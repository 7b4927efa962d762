"""Logs of mirrors, as the kernel reads them: what is clean is not copied, what is not clean is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from drystone.base.sizes import SECTOR
from drystone.cluster.agents.logs import RamLogs, log_bytes
from drystone.cluster.model.calls import Log
from drystone.cluster.model.in_sync import Bits
from drystone.kernel import loop
from drystone.kernel.dm.abc import TableLine
from drystone.kernel.dm.device_mapper import KernelDeviceMapper
from drystone.kernel.dm.statuses import MirrorStatus

pytestmark = pytest.mark.lab(memory="192M")

REGION = 2048
REGIONS = 12
SIZE = REGIONS * REGION * SECTOR


@pytest.fixture
def legs(tmp_path: Path) -> Iterator[tuple[KernelDeviceMapper, str]]:
    """A device-mapper, and two legs in words of a table: nothing can be copied to the second."""
    with ExitStack() as stack:
        file = tmp_path / "leg"
        file.write_bytes(bytes(SIZE))
        leg = stack.enter_context(loop.hold(str(file)))
        dm = stack.enter_context(KernelDeviceMapper())
        gone = dm.create("gone")
        stack.callback(dm.remove, "gone")
        dm.load("gone", [TableLine(0, REGIONS * REGION, "error")])
        dm.resume("gone")
        yield dm, f"2 {leg.number} 0 {gone.number} 0"


def read_in_sync(dm: KernelDeviceMapper, legs: str, log: bytes, sync: str) -> int:
    """How many regions are in sync, of a mirror with that log, when it has had time to copy what it can."""
    logs = RamLogs(Path("/run/drystone-logs"))
    number = logs.make("the-log", log)
    assert logs.find("the-log") == number
    dm.create("mirror")
    try:
        words = " ".join(word for word in ("disk", str(2 + bool(sync)), str(number), str(REGION), sync, legs) if word)
        dm.load("mirror", [TableLine(0, REGIONS * REGION, "mirror", f"{words} 1 handle_errors")])
        dm.resume("mirror")
        time.sleep(0.5)
        return MirrorStatus.parse(dm.status("mirror", no_flush=True)[0].text).in_sync
    finally:
        dm.remove("mirror")
        logs.remove("the-log")
        assert logs.names() == []


@pytest.mark.parametrize(
    ("bits", "sync", "expected"), [("clean", "", REGIONS), ("dirty", "", 0), ("nosync", "nosync", REGIONS)]
)
def test_a_log_is_what_it_was_begun_as(
    legs: tuple[KernelDeviceMapper, str], bits: Bits, sync: str, expected: int
) -> None:
    assert read_in_sync(*legs, log_bytes(Log("log", REGIONS, bits)), sync) == expected


def test_one_region_may_be_the_only_one(legs: tuple[KernelDeviceMapper, str]) -> None:
    log = bytearray(log_bytes(Log("log", REGIONS, "clean")))
    log[1024] &= ~(1 << 3)
    assert read_in_sync(*legs, bytes(log), "") == REGIONS - 1
