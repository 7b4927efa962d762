"""Volume groups for tests: some disks of one size, and a simulated device-mapper over the same disks."""

from __future__ import annotations

from drystone.dvm.discovery.devices import GroupDevice, Span
from drystone.dvm.groups.group import Group, Index
from drystone.dvm.groups.kinds import AnyVolume
from drystone.dvm.metadata.devices import new_group
from drystone.dvm.metadata.edit import Ids, seeded_ids
from drystone.dvm.volactivate import activate, blanks
from drystone.kernel.dm.abc import DeviceNumber
from drystone.kernel.dm.simulated import SimulatedDeviceMapper
from drystone.testing.program_bench import converge

START = 2 << 20
"""Bytes before extent 0: what metadata regions of 1 MiB leave."""


def make_group(disks: int = 4, extents: int = 64, extent_size: int = 1 << 20, *, seed: str = "group") -> Group:
    """The group `vg` on disks `disk0`, `disk1` and so on, at /dev/disk0 and so on."""
    found = [
        GroupDevice(f"disk{at}", f"/dev/disk{at}", START + extents * extent_size, regions=(Span(1, 257),))
        for at in range(disks)
    ]
    return new_group("vg", found, seeded_ids(seed), uuid="group-1", extent_size=extent_size)


def ids(seed: str = "volumes") -> Ids:
    """Uuids that are the same at every run."""
    return seeded_ids(seed)


def find(group: Group, name: str) -> AnyVolume:
    """The volume of that name."""
    return Index(group).find(name)


def numbers(group: Group) -> dict[str, str]:
    """The devices of the group as the simulated kernel has them."""
    return {device.uuid: f"7:{at}" for at, device in enumerate(group.devices)}


class GroupBench:
    """A simulated kernel that follows a group from one document to the next."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.dm = SimulatedDeviceMapper(
            {DeviceNumber(7, at): device.size // 512 for at, device in enumerate(group.devices)}
        )

    def go(self, group: Group) -> None:
        """Zero what is new, and bring the kernel to the state of `group`.

        :raises AssertionError: a program does not succeed.
        """
        for blank in blanks(self.group, group, numbers(group)):
            self.dm.write(DeviceNumber.parse(blank.path), blank.offset // 512, blank.length // 512, zeros=True)
        converge(self.dm, activate(group, numbers(group)).state)
        self.group = group
