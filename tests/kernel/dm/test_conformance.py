"""The conformance check, on the real device-mapper of a guest."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from drystone.base.sizes import SECTOR
from drystone.kernel import loop
from drystone.kernel.blockdev import device_path, open_device
from drystone.kernel.dm.abc import DeviceNumber
from drystone.kernel.dm.device_mapper import KernelDeviceMapper
from drystone.testing.device_mapper import CHECKS, DISK_SECTORS, DISKS, Bench

TARGETS = (
    *("linear", "striped", "error", "zero", "mirror", "raid", "thin-pool", "thin"),
    *("snapshot", "snapshot-origin", "snapshot-merge", "cache", "clone", "era"),
)


class KernelHands:
    @contextmanager
    def hold(self, number: DeviceNumber, *, exclusive: bool = False) -> Iterator[None]:
        with open_device(device_path(number), exclusive=exclusive):
            yield

    def write(self, number: DeviceNumber, sector: int, length: int) -> None:
        with open_device(device_path(number), write=True) as device:
            device.pwrite(sector * SECTOR, b"\x5a" * (length * SECTOR))
            device.flush()

    def wipe(self, number: DeviceNumber) -> None:
        with open_device(device_path(number), write=True) as device:
            device.pwrite(0, bytes(1 << 20))
            device.flush()


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[DeviceNumber]]:
    folder: Path = tmp_path_factory.mktemp("disks")
    with ExitStack() as stack:
        found = []
        for at in range(DISKS):
            file = folder / str(at)
            file.touch()
            os.truncate(file, DISK_SECTORS * SECTOR)
            found.append(stack.enter_context(loop.hold(str(file))).number)
        yield found


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_conforms(check: Callable[[Bench], None], disks: list[DeviceNumber]) -> None:
    with KernelDeviceMapper() as dm:
        dm.ensure_targets(TARGETS)
        with Bench(dm, disks, KernelHands()) as bench:
            check(bench)
