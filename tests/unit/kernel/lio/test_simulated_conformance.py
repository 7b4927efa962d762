"""The conformance check, on the simulated LIO."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from drystone.kernel.dm.number import DeviceNumber
from drystone.kernel.lio.simulated import SimulatedDevice, SimulatedLio
from drystone.testing.lio import CHECKS, LioBench

DEVICES = {f"/dev/loop{minor}": SimulatedDevice(DeviceNumber(7, minor), 16 << 20) for minor in (0, 1)}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_conforms(check: Callable[[LioBench], None]) -> None:
    lio = SimulatedLio(DEVICES)

    @contextmanager
    def hold(number: DeviceNumber) -> Iterator[None]:
        lio.tree.held.add(number)
        yield
        lio.tree.held.discard(number)

    with LioBench(lio, [(path, device.number) for path, device in DEVICES.items()], hold) as bench:
        check(bench)
    assert lio.backstores() == []
    assert lio.targets() == []
