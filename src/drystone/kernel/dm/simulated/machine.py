"""The simulated kernel's state, and what reads and writes of it reach.

Everything is a value or a record of values: devices, tables, what is stored where. Instances (a pool, an era set) are
found by key, never by reference, so that `copy` is one pass over small records.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from drystone.kernel.dm.abc import DeviceNumber
from drystone.kernel.dm.simulated.device import Built, Device, Disk
from drystone.kernel.dm.simulated.refusal import Blocked, Refusal
from drystone.kernel.dm.targets import Target

Place = tuple[DeviceNumber, int]
"""A device that maps to nothing below it, and a sector of it: where bytes really are."""

Extent = tuple[DeviceNumber, int, int]
"""A device, a first sector and a length in sectors."""


class Instance(Protocol):
    """State of targets that is shared, or that changes while a table stays."""

    def copy(self) -> Instance:
        """An independent one."""


@dataclass(frozen=True, slots=True)
class Noise:
    """Bytes that nothing here knows the meaning of, and that are not all zero."""


def foreign(found: object) -> int:
    """The errno of a metadata device whose superblock is not one, or is one of another kind."""
    return errno.ENOTBLK if isinstance(found, Noise) else errno.EILSEQ


class Opener(Protocol):
    """What a constructor may ask for while a table is built."""

    @property
    def device(self) -> Device:
        """The device whose table it is."""

    @property
    def mode(self) -> int:
        """READ, or READ and WRITE: how the table is loaded."""

    def open(self, text: str, mode: int | None = None) -> DeviceNumber:
        """Hold the device that a field names, in the table's mode unless another is given.

        Refusal: ENODEV no such path, ENXIO no such device, EBUSY it is claimed by somebody else.
        """


class Behaviour(Protocol):
    """What a target type does. It has no state of its own."""

    version: tuple[int, int, int]
    singleton: bool
    immutable: bool
    writeable: bool
    wildcard: bool

    def parse(self, params: str) -> Target:
        """The typed parameters; UsageError when they are none."""

    def build(self, machine: Machine, opener: Opener, target: Built) -> Built:
        """Open devices, check ranges, join or make the instance. Refusal when the kernel would."""

    def destroy(self, machine: Machine, target: Built) -> None:
        """The table goes away."""

    def areas(self, machine: Machine, target: Built) -> Iterator[Extent]:
        """What must lie within the devices below."""

    def presuspend(self, machine: Machine, device: Device, target: Built) -> None:
        """Before the device stops taking input and output."""

    def postsuspend(self, machine: Machine, device: Device, target: Built) -> None:
        """After all of it has ended."""

    def preresume(self, machine: Machine, device: Device, target: Built) -> None:
        """Before it goes on; a Refusal keeps the device suspended."""

    def resume(self, machine: Machine, device: Device, target: Built) -> None:
        """It goes on."""

    def message(self, machine: Machine, device: Device, target: Built, words: list[str]) -> str:
        """Act on a message of one word at least; the answer. Refusal EINVAL: not understood."""

    def status(self, machine: Machine, device: Device, target: Built, *, flush: bool) -> str:
        """The status text. With `flush` a pool commits first."""

    def params(self, machine: Machine, target: Built) -> str:
        """The table line's text as the kernel prints it."""

    def write(
        self, machine: Machine, device: Device, target: Built, sector: int, length: int, content: object | None
    ) -> None:
        """Sectors from `sector`, counted from the target's begin, are written; `content` as in `Machine.write`."""

    def route(self, machine: Machine, target: Built, sector: int, length: int) -> Iterator[Extent]:
        """Where those sectors are below."""

    def discards(self, machine: Machine, target: Built) -> bool:
        """Whether discards pass."""


Found = TypeVar("Found", bound=Instance)


@dataclass(slots=True)
class Machine:
    """The whole state.

    :ivar kinds: a target's name -> what it does; shared by all copies.
    :ivar contents: what is known to be stored at a place; where nothing is, there are zeros.
    """

    kinds: Mapping[str, Behaviour]
    major: int
    disks: dict[DeviceNumber, Disk] = field(default_factory=dict)
    devices: dict[int, Device] = field(default_factory=dict)
    contents: dict[Place, object] = field(default_factory=dict)
    instances: dict[int, Instance] = field(default_factory=dict)
    last_key: int = 0

    def copy(self) -> Machine:
        return Machine(
            self.kinds,
            self.major,
            {number: copy(disk) for number, disk in self.disks.items()},
            {minor: copy(device) for minor, device in self.devices.items()},
            dict(self.contents),
            {key: instance.copy() for key, instance in self.instances.items()},
            self.last_key,
        )

    def new_key(self) -> int:
        self.last_key += 1
        return self.last_key

    def instance(self, target: Built, kind: type[Found]) -> Found:
        found = self.instances[target.instance]
        assert isinstance(found, kind)
        return found

    def behaviour(self, target: Built) -> Behaviour:
        return self.kinds[target.kind]

    def number(self, device: Device) -> DeviceNumber:
        return DeviceNumber(self.major, device.minor)

    def mapped(self, number: DeviceNumber) -> Device | None:
        """The mapped device of that number, if it is one."""
        return self.devices.get(number.minor) if number.major == self.major else None

    def sectors(self, number: DeviceNumber) -> int:
        """The size of a block device; 0 for one that has no live table or is not there."""
        device = self.mapped(number)
        if device is not None:
            return 0 if device.live is None else device.live.size
        return self.disks[number].sectors if number in self.disks else 0

    def open_count(self, device: Device) -> int:
        """Opens from outside, and one for every device and mode that uses it."""
        number, count = self.number(device), device.openers
        for other in self.devices.values():
            count += len({use.mode for table in other.tables for use in table.uses if use.number == number})
        return count

    def held(self, number: DeviceNumber) -> bool:
        """Whether some table holds that device."""
        tables = (table for device in self.devices.values() for table in device.tables)
        return any(use.number == number for table in tables for use in table.uses)

    def event(self, device: Device) -> None:
        """Something happened to the live table of a device."""
        if device.live is not None:
            device.event_nr = (device.event_nr + 1) % (1 << 32)

    def using(self, instance: int) -> Iterator[tuple[Device, Built]]:
        """The devices and targets of live and inactive tables that have that instance."""
        for device in self.devices.values():
            for table in device.tables:
                for target in table.targets:
                    if target.instance == instance:
                        yield device, target

    # What input and output reaches

    def reach(
        self, number: DeviceNumber, sector: int, length: int, meet: Callable[[Device, Built, int, int], None]
    ) -> None:
        """Send an extent to the targets of a mapped device that it falls on.

        Blocked: the device is suspended. Refusal EIO: it has no table there.
        """
        device = self.mapped(number)
        assert device is not None
        if device.live is not None and any(use.number == number for use in device.live.uses):
            raise Refusal(errno.EIO, f"{device.name} is mapped to itself")
        if device.suspended or device.internal:
            raise Blocked(f"{device.name} is suspended")
        table = device.live
        if table is None or sector + length > table.size:
            raise Refusal(errno.EIO, f"{device.name} does not reach to sector {sector + length}")
        for target in table.targets:
            begin, end = max(sector, target.start), min(sector + length, target.end)
            if begin < end:
                meet(device, target, begin - target.start, end - begin)

    def write(self, number: DeviceNumber, sector: int, length: int, content: object | None) -> None:
        """Sectors are written: with zeros when `content` is None, else with it. Blocked and Refusal as `reach`."""
        if self.mapped(number) is not None:

            def meet(device: Device, target: Built, at: int, count: int) -> None:
                self.behaviour(target).write(self, device, target, at, count, content)

            self.reach(number, sector, length, meet)
            return
        if sector + length > self.sectors(number):
            raise Refusal(errno.EIO, f"{number} does not reach to sector {sector + length}")
        for place in [place for place in self.contents if place[0] == number and sector <= place[1] < sector + length]:
            if content is None:
                del self.contents[place]
            else:
                self.contents[place] = content
        if content is not None:
            self.contents[number, sector] = content

    def place(self, number: DeviceNumber, sector: int) -> Place:
        """Where a sector is, through all that maps it. Blocked and Refusal as `reach`."""
        if self.mapped(number) is None:
            if sector >= self.sectors(number):
                raise Refusal(errno.EIO, f"{number} does not reach to sector {sector}")
            return number, sector
        places: list[Place] = []

        def meet(_device: Device, target: Built, at: int, _count: int) -> None:
            extent = next(self.behaviour(target).route(self, target, at, 1), None)
            places.append((number, sector) if extent is None else self.place(extent[0], extent[1]))

        self.reach(number, sector, 1, meet)
        return places[0]

    def flush(self, number: DeviceNumber) -> None:
        """An empty flush of a whole device reaches all below it."""
        device = self.mapped(number)
        if device is None or device.live is None:
            return
        below: set[DeviceNumber] = set()

        def meet(_device: Device, target: Built, _at: int, _count: int) -> None:
            below.update(target.numbers)

        self.reach(number, 0, device.live.size, meet)
        for each in sorted(below):
            self.flush(each)

    def takes_discards(self, number: DeviceNumber) -> bool:
        """Whether discards of a device do something."""
        device = self.mapped(number)
        if device is None:
            return number in self.disks and self.disks[number].discards
        return device.live is not None and any(
            self.behaviour(each).discards(self, each) for each in device.live.targets
        )

    def suspended_any(self) -> bool:
        """Whether any device is suspended, without which nothing ever blocks."""
        return any(device.suspended or device.internal for device in self.devices.values())
