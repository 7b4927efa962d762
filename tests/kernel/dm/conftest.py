"""A device-mapper and disks for it, inside a guest; whatever a test leaves behind is removed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drystone.base.errors import KernelError
from drystone.base.sizes import SECTOR
from drystone.kernel import loop
from drystone.kernel.dm.abc import DeviceInfo, DeviceNumber, TableLine
from drystone.kernel.dm.device_mapper import KernelDeviceMapper

MIB = (1 << 20) // SECTOR
"""Sectors in a MiB."""

Disk = Callable[[int], DeviceNumber]
Activate = Callable[..., DeviceInfo]


def _clear_all(dm: KernelDeviceMapper) -> None:
    """Resume and remove every device, users before what they use."""
    for entry in dm.list_devices():
        dm.clear(entry.number)
        if dm.info(entry.number).suspended and dm.info(entry.number).live_table:
            dm.resume(entry.number)
    for _ in range(20):
        if not (entries := dm.list_devices()):
            return
        for entry in entries:
            try:
                dm.remove(entry.number)
            except KernelError as error:
                if error.facts["errno_name"] not in {"EBUSY", "ENXIO"}:
                    raise
    raise AssertionError(f"devices stayed: {dm.list_devices()}")


@pytest.fixture
def dm() -> Iterator[KernelDeviceMapper]:
    with KernelDeviceMapper() as mapper:
        yield mapper
        _clear_all(mapper)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Call it with MiB for the number of an empty disk."""
    made: list[str] = []

    def make(mib: int) -> DeviceNumber:
        file = tmp_path / f"disk{len(made)}"
        file.touch()
        with file.open("r+b") as handle:
            handle.truncate(mib << 20)
        found = loop.attach(str(file))
        made.append(found.path)
        return found.number

    yield make
    for path in made:
        loop.detach(path)


@pytest.fixture
def activate(disk: Disk, dm: KernelDeviceMapper) -> Activate:
    """Call it with a name and (target, sectors, params) lines for a device with that live table.

    It asks for `disk`, so that devices go before the disks that they use.
    """

    def make(name: str, *lines: tuple[str, int, str]) -> DeviceInfo:
        dm.create(name)
        table, at = [], 0
        for target, length, params in lines:
            table.append(TableLine(at, length, target, params))
            at += length
        dm.load(name, table)
        return dm.resume(name)

    return make
