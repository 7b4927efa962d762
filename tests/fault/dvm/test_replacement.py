"""The replacement of a device, killed at its calls to device-mapper: the same command goes on from there."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from drystone.dvm.metadata.create import Wish as NewVolume
from drystone.dvm.metadata.create import create
from drystone.dvm.planning.replacement import Wish
from drystone.dvm.transactions.live_group import LiveGroup
from drystone.dvm.transactions.replace import Exchange, replace_device
from drystone.dvm.transactions.start import Wish as StartWish
from drystone.dvm.transactions.start import start
from drystone.testing.faults import FaultyDeviceMapper, Killed, kill_at
from drystone.testing.live_groups import FileGroup

MIB = 1 << 20


def exchange(world: FileGroup, live: LiveGroup) -> Exchange:
    return Exchange(live, world.ids, world.clock, world.leave, lambda _: None)


@pytest.mark.parametrize("is_lost", [False, True])
@pytest.mark.parametrize("count", [*range(1, 12), *range(12, 40, 4)])
def test_killed_at_a_call_it_is_gone_on_with(tmp_path: Path, count: int, is_lost: bool) -> None:
    world = FileGroup(tmp_path, disks=3)
    world.update(lambda group: create(group, NewVolume("safe", 2 * MIB), world.ids, "raid1"))
    wish = Wish("", is_lost=is_lost)
    killed = LiveGroup(world.host(FaultyDeviceMapper(world.dm, kill_at(count))), world.devices)
    with contextlib.suppress(Killed):
        replace_device(exchange(world, killed), world.paths[0], wish)
    # An update that was killed between its phases is settled as groups become active.
    start(world.host(), world.devices(), StartWish())
    if any(each.path == world.paths[0] for each in world.devices().devices):
        assert replace_device(exchange(world, world.live()), world.paths[0], wish).done
    group = world.group()
    assert {run.device for volume in group.volumes for run in volume.runs()} <= {each.uuid for each in group.devices}
    assert [each.path for each in group.devices] == world.paths[1:]
    assert len(world.devices().devices) == 2
    assert not any(each.suspended for each in world.state().devices)
