"""The conformance check, on the simulated initiator with the simulated LIO."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import pytest

from drystone.kernel.dm.number import DeviceNumber
from drystone.kernel.iscsi.simulated import SimulatedInitiator
from drystone.kernel.lio.simulated import SimulatedDevice, SimulatedLio
from drystone.testing.iscsi import CHECKS, SIZE, IscsiBench
from drystone.testing.lio import IQN, PORTAL, LioBench

DEVICES = {f"/dev/loop{minor}": SimulatedDevice(DeviceNumber(7, minor), SIZE) for minor in (0, 1)}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_conforms(check: Callable[[IscsiBench], None]) -> None:
    lio = SimulatedLio(DEVICES)
    initiator = SimulatedInitiator({PORTAL: lio}, f"{IQN}this-host")

    @contextmanager
    def hold(number: DeviceNumber) -> Iterator[None]:
        initiator.held.add(number)
        yield
        initiator.held.discard(number)

    shop = LioBench(lio, [(path, device.number) for path, device in DEVICES.items()], lambda _: nullcontext())
    with IscsiBench(initiator, shop, hold) as bench:
        check(bench)
    assert initiator.sessions() == []
