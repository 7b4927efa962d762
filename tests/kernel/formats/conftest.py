"""A device-mapper inside a guest, devices on it, and loop devices; all gone after the test."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drystone.base.errors import KernelError
from drystone.kernel import loop
from drystone.kernel.dm.abc import DeviceInfo, TableLine
from drystone.kernel.dm.device_mapper import KernelDeviceMapper

Attach = Callable[[bytes], loop.Loop]
Activate = Callable[[str, str, int, str], DeviceInfo]


@pytest.fixture
def attach(tmp_path: Path) -> Iterator[Attach]:
    """Call it with bytes for a loop device that holds them."""
    made: list[str] = []

    def make(data: bytes) -> loop.Loop:
        file = tmp_path / f"disk{len(made)}"
        file.write_bytes(data)
        found = loop.attach(str(file))
        made.append(found.path)
        return found

    yield make
    for path in made:
        loop.detach(path)


@pytest.fixture
def dm(attach: Attach) -> Iterator[KernelDeviceMapper]:  # devices go before the disks that they use
    with KernelDeviceMapper() as mapper:
        yield mapper
        limit = time.monotonic() + 60
        while entries := mapper.list_devices():
            assert time.monotonic() < limit, f"devices stayed: {entries}"
            for entry in entries:
                with contextlib.suppress(KernelError):
                    mapper.remove(entry.number)


@pytest.fixture
def activate(dm: KernelDeviceMapper) -> Activate:
    """Call it with name, target, sectors and parameters for a live device."""

    def make(name: str, target: str, sectors: int, params: str) -> DeviceInfo:
        dm.create(name)
        dm.load(name, [TableLine(0, sectors, target, params)])
        return dm.resume(name)

    return make
