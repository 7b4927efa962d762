"""The conformance check, on the simulated device-mapper."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from drystone.kernel.dm.abc import DeviceNumber
from drystone.kernel.dm.simulated import SimulatedDeviceMapper
from drystone.testing.device_mapper import CHECKS, DISK_SECTORS, DISKS, Bench


class SimulatedHands:
    def __init__(self, dm: SimulatedDeviceMapper) -> None:
        self.dm = dm

    @contextmanager
    def hold(self, number: DeviceNumber, *, exclusive: bool = False) -> Iterator[None]:
        self.dm.open(number, exclusive=exclusive)
        yield
        self.dm.close(number, exclusive=exclusive)

    def write(self, number: DeviceNumber, sector: int, length: int) -> None:
        self.dm.write(number, sector, length)

    def wipe(self, number: DeviceNumber) -> None:
        self.dm.write(number, 0, 2048, zeros=True)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_conforms(check: Callable[[Bench], None]) -> None:
    disks = [DeviceNumber(7, minor) for minor in range(DISKS)]
    dm = SimulatedDeviceMapper(dict.fromkeys(disks, DISK_SECTORS))
    with Bench(dm, disks, SimulatedHands(dm)) as bench:
        check(bench)
    assert dm.list_devices() == []
