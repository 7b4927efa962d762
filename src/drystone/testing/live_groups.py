"""A group for tests whose devices are files, and stand for the disks of a simulated kernel.

Labels and metadata are in the files; tables are in the simulation, in which the files are disks 7:0, 7:1 and so on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from drystone.base.documents import encode
from drystone.dvm.discovery.devices import Devices
from drystone.dvm.discovery.finding import find
from drystone.dvm.discovery.membership import add_devices, remove_device
from drystone.dvm.discovery.scan import Place
from drystone.dvm.dmexec import execute
from drystone.dvm.groups.group import Group, uuid_prefix
from drystone.dvm.groups.rules import parse_group
from drystone.dvm.metadata.devices import new_group
from drystone.dvm.metadata.edit import seeded_ids
from drystone.dvm.program import Program
from drystone.dvm.result import Result
from drystone.dvm.state import State, observe, with_uuid
from drystone.dvm.transactions.activation import Activation
from drystone.dvm.transactions.documents import Outcome
from drystone.dvm.transactions.live_group import Host, LiveGroup
from drystone.dvm.transactions.opening import opened
from drystone.dvm.transactions.page_blocks import PageBlocks
from drystone.dvm.transactions.transact import expand, read, update
from drystone.dvm.transactions.version import parse_metadata
from drystone.formats.label.label import Extent
from drystone.kernel.dm.abc import DeviceMapper, DeviceNumber
from drystone.kernel.dm.simulated import SimulatedDeviceMapper
from drystone.testing.program_bench import StillClock

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SIZE = 64 << 20
"""Bytes of a file."""


class FileGroup:
    """The group `vg` on files in a folder.

    :ivar missing: paths of files that are as if they were not there. :ivar clock: only `sleep` moves it.
    """

    def __init__(self, folder: Path, disks: int = 2) -> None:
        self.ids = seeded_ids("test")
        self.missing: set[str] = set()
        self.clock = StillClock()
        self.paths = [str(folder / f"disk{at}") for at in range(disks)]
        for path in self.paths:
            with Path(path).open("xb") as file:
                file.truncate(SIZE)
        add_devices(self.place, "vg", self.paths, [Extent(1, 129)])
        self.dm = SimulatedDeviceMapper({self.number(path): SIZE // 512 for path in self.paths})
        found = self.devices()
        group = new_group("vg", found.present, self.ids, uuid=found.group.uuid, extent_size=1 << 20)
        with opened(found, write=True) as survey:
            expand(survey, ("expand",), NOW, first=parse_metadata(encode(group), "group"))

    @property
    def place(self) -> Place:
        """Where labels are looked for."""
        return Place(tuple(path for path in self.paths if path not in self.missing), has_devices=False)

    def number(self, path: str) -> DeviceNumber:
        """The simulated disk that a file stands for."""
        return DeviceNumber(7, self.paths.index(path))

    def devices(self) -> Devices:
        """What the labels say."""
        return find(self.place, "vg")

    def uuid(self, at: int) -> str:
        """Of the device that is file number `at`."""
        return next(each.uuid for each in self.group().devices if each.path == self.paths[at])

    def group(self) -> Group:
        """As the metadata have it, as far as they can be read."""
        with opened(self.devices()) as survey:
            return parse_group(bytes(read(survey, partial=True)[1].metadata))

    def sequence(self) -> int:
        """The number of the version that counts."""
        with opened(self.devices()) as survey:
            return read(survey, partial=True)[0].sequence

    def host(self, dm: DeviceMapper | None = None, blocks: PageBlocks | None = None) -> Host:
        """The machine, perhaps with other ways to it."""

        def run(program: Program) -> Result:
            return execute(
                program,
                dm or self.dm,
                devices=blocks or PageBlocks(),
                clock=self.clock,
                memory=contextlib.nullcontext,
            )

        return Host(self.dm, run, lambda: NOW, number=self.number, wait_s=0.0)

    def live(self) -> LiveGroup:
        """The group as commands see it."""
        return LiveGroup(self.host(), self.devices)

    def along(self, *, partial: bool = False, only: tuple[str, ...] = ()) -> Activation:
        """What changes the simulated kernel with the metadata."""
        return self.host().activation(self.devices(), partial=partial, only=only)

    def update(
        self, mutate: Callable[[Group], Group], dm: DeviceMapper | None = None, blocks: PageBlocks | None = None
    ) -> Outcome:
        """`dvm transact update --activate`."""
        devices = self.devices()
        along = self.host(dm, blocks).activation(devices)
        with opened(devices, write=True) as survey:
            return update(survey, lambda data: encode(mutate(parse_group(data))), ("update",), NOW, along=along)

    def leave(self, uuid: str) -> None:
        """`dvm discover rm`."""
        remove_device(self.place, "vg", uuid, wait_s=0.0)

    def restart(self) -> None:
        """The machine is switched off and on: nothing is active."""
        self.dm = self.dm.reboot()

    def state(self) -> State:
        """The group's devices."""
        return observe(self.dm, with_uuid(uuid_prefix(self.group())))

    def active(self) -> list[str]:
        """Names of the group's devices, in order."""
        return sorted(device.name for device in self.state().devices)
