"""Random calls never bring the simulated device-mapper into a state that no kernel can be in."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from drystone.base.errors import KernelError, TimedOutError
from drystone.kernel.dm.abc import DeviceNumber
from drystone.kernel.dm.simulated import SimulatedDeviceMapper
from drystone.kernel.dm.simulated.machine import Machine
from drystone.kernel.dm.simulated.thin_pool import Pool
from drystone.testing.device_mapper import DISK_SECTORS, DISKS
from drystone.testing.device_mapper.sequences import Call, next_call

CHANGES_THOUGH_REFUSED = {"resume", "write", "load"}
"""A refused resume uses the inactive table up; the others may have written: a format, a first part."""


def _act(dm: SimulatedDeviceMapper, call: Call) -> str:
    """Make the call; how it ended."""
    try:
        if call.method == "write":
            dm.write(call.name, call.sector, 8)
        else:
            call.apply(dm)
    except KernelError:
        return "refused"
    except TimedOutError:
        return "waits"
    return "done"


def _check(machine: Machine) -> None:
    names = [device.name for device in machine.devices.values()]
    uuids = [device.uuid for device in machine.devices.values() if device.uuid]
    assert len(set(names)) == len(names)
    assert len(set(uuids)) == len(uuids)
    instances: dict[int, int] = {}
    for minor, device in machine.devices.items():
        assert device.minor == minor
        assert device.internal >= 0
        assert device.has_disk or not device.tables
        assert not (device.deferred and not machine.open_count(device))
        for table in device.tables:
            end = 0
            for target in table.targets:
                assert target.start == end
                end = target.end
                instances[target.instance] = instances.get(target.instance, 0) + 1
                assert {use.number for use in table.uses} >= set(target.numbers)
            for use in table.uses:
                below = machine.mapped(use.number)
                assert use.number in machine.disks or (below is not None and machine.open_count(below))
    assert set(machine.instances) == set(instances) - {0}, "an instance lives as long as its targets"
    for key, instance in machine.instances.items():
        if isinstance(instance, Pool):
            assert instance.references == instances[key]
            assert instance.metadata.used_data <= max(instance.metadata.data_blocks, 0)
            assert instance.minor in machine.devices


def _without_keys(machine: Machine) -> Machine:
    return replace(machine.copy(), last_key=0)


@given(st.randoms(use_true_random=False), st.integers(min_value=1, max_value=60))
@settings(max_examples=100, deadline=None)
def test_no_call_breaks_it(random: Random, calls: int) -> None:
    disks = [DeviceNumber(7, minor) for minor in range(DISKS)]
    dm = SimulatedDeviceMapper(dict.fromkeys(disks, DISK_SECTORS))
    for _ in range(calls):
        call = next_call(random, dm, disks)
        before = _without_keys(dm.machine)
        other = dm.copy()
        end = _act(dm, call)
        _check(dm.machine)
        assert _without_keys(other.machine) == before, "a copy is independent"
        assert _act(other, call) == end, "and does the same"
        assert other.machine == dm.machine
        if end == "waits" or (end == "refused" and call.method not in CHANGES_THOUGH_REFUSED):
            assert _without_keys(dm.machine) == before


@given(st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_everything_can_be_removed_again(random: Random) -> None:
    disks = [DeviceNumber(7, minor) for minor in range(DISKS)]
    dm = SimulatedDeviceMapper(dict.fromkeys(disks, DISK_SECTORS))
    for _ in range(40):
        _act(dm, next_call(random, dm, disks))
    for _ in dm.list_devices():
        for entry in dm.list_devices():
            _act(dm, Call("clear", entry.name))
            _act(dm, Call("remove", entry.name))
    kept = [dm.machine.mapped(entry.number) for entry in dm.list_devices()]
    assert all(device and device.live and device.live.uses for device in kept), "only what uses itself can stay"
    if not kept:
        assert dm.machine.instances == {}
