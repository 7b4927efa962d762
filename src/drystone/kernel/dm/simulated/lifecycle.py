"""What happens to a device in its life: tables are built, swapped and destroyed; it is suspended, resumed, removed.

Facts: Linux 6.1 `drivers/md/dm-ioctl.c`, `dm.c`, `dm-table.c`.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Sequence

from drystone.base.errors import UsageError
from drystone.kernel.dm.abc import DeviceNumber, TableLine
from drystone.kernel.dm.simulated.device import READ, WRITE, Built, Device, Table, Use
from drystone.kernel.dm.simulated.machine import Machine
from drystone.kernel.dm.simulated.refusal import Blocked, Refusal

_NUMBER = re.compile(r"([0-9]+):([0-9]+)")
_END = ((1 << 63) - 1) >> 9
"""Sectors that no device can have."""


class TableBuilder:
    """Builds one table of a device; it holds what it has opened so far."""

    def __init__(self, machine: Machine, device: Device, *, read_only: bool) -> None:
        self.machine = machine
        self.device = device
        self.mode = READ if read_only else READ | WRITE
        self.uses: list[Use] = []
        self.targets: list[Built] = []

    def open(self, text: str, mode: int | None = None) -> DeviceNumber:
        """As `machine.Opener.open` says."""
        number = self._find(text)
        wanted = self.mode if mode is None else mode
        for at, use in enumerate(self.uses):
            if use.number == number:
                self.uses[at] = Use(number, use.mode | wanted)
                return number
        below = self.machine.mapped(number)
        if (number not in self.machine.disks) if below is None else not below.has_disk:
            raise Refusal(errno.ENXIO, f"there is no device {number}")
        claims = self.machine.disks[number].claims if below is None else below.claims
        if claims:
            raise Refusal(errno.EBUSY, f"{number} is claimed by somebody else")
        self.uses.insert(0, Use(number, wanted))
        return number

    def _find(self, text: str) -> DeviceNumber:
        if match := _NUMBER.fullmatch(text):
            number = DeviceNumber(int(match[1]), int(match[2]))
            if number.major >= 1 << 12 or number.minor >= 1 << 20:
                raise Refusal(errno.EOVERFLOW, f"there is no device number {text}")
            return number
        name = text.removeprefix("/dev/mapper/")
        for device in self.machine.devices.values():
            if name != text and device.name == name:
                return self.machine.number(device)
        raise Refusal(errno.ENODEV, f"there is no device {text}")

    def add(self, line: TableLine) -> None:
        """Build one target and append it."""
        behaviour = self.machine.kinds.get(line.target)
        if behaviour is None:
            raise Refusal(errno.EINVAL, f"unknown target type {line.target!r}")
        first = self.targets[0] if self.targets else None
        if first and (self.machine.behaviour(first).singleton or behaviour.singleton):
            raise Refusal(errno.EINVAL, "a target that stands alone in its table")
        if behaviour.writeable and self.mode == READ:
            raise Refusal(errno.EINVAL, f"{line.target} has no place in a read-only table")
        if line.start != (self.targets[-1].end if self.targets else 0):
            raise Refusal(errno.EINVAL, "there is a gap in the table")
        try:
            value = behaviour.parse(line.params)
        except UsageError as error:
            raise Refusal(errno.EINVAL, error.message) from error
        raw = Built(self.machine.new_key(), line.start, line.length, value)
        self.targets.append(behaviour.build(self.machine, self, raw))

    def build(self, lines: Sequence[TableLine]) -> Table:
        """The table, or a Refusal with everything let go again."""
        try:
            if not lines:
                raise Refusal(errno.EINVAL, "a table has one target at least")
            for line in lines:
                if not line.length or line.start + line.length > _END:
                    raise Refusal(errno.EINVAL, f"a target of {line.length} sectors at {line.start}")
                self.add(line)
        except Refusal:
            for target in self.targets:
                self.machine.behaviour(target).destroy(self.machine, target)
            raise
        return Table(tuple(self.targets), tuple(self.uses), self.mode == READ)


def destroy_table(machine: Machine, table: Table | None) -> None:
    """A table goes; nothing may refer to it any more."""
    for target in table.targets if table else ():
        machine.behaviour(target).destroy(machine, target)


def load(machine: Machine, device: Device, lines: Sequence[TableLine], *, read_only: bool) -> None:
    """Stage a table in the inactive slot. The first one makes the block device, and only its sizes are checked."""
    table = TableBuilder(machine, device, read_only=read_only).build(lines)
    try:
        kinds = [machine.behaviour(target) for target in table.targets]
        if device.immutable and table.targets[0].kind != device.immutable and not any(each.wildcard for each in kinds):
            raise Refusal(errno.EINVAL, f"a {device.immutable} cannot be replaced")
        if not device.has_disk:
            check_areas(machine, table)
    except Refusal:
        destroy_table(machine, table)
        raise
    device.has_disk = True
    old, device.inactive = device.inactive, table
    destroy_table(machine, old)
    remove_deferred(machine)


def check_areas(machine: Machine, table: Table) -> None:
    """Refusal EINVAL: a target reaches past the end of a device. Devices without a size yet are not looked at."""
    for target in table.targets:
        for number, sector, length in machine.behaviour(target).areas(machine, target):
            size = machine.sectors(number)
            if size and (sector >= size or sector + length > size):
                raise Refusal(errno.EINVAL, f"{number} has {size} sectors, {sector} + {length} are used")


def clear(machine: Machine, device: Device) -> None:
    """Empty the inactive slot."""
    old, device.inactive = device.inactive, None
    destroy_table(machine, old)
    remove_deferred(machine)


def suspend(machine: Machine, device: Device) -> None:
    """Suspend a device; one that is suspended stays so. Blocked: a target above keeps it suspended."""
    if device.suspended:
        return
    if device.internal:
        raise Blocked(f"{device.name} is suspended by a pool, whose resume is waited for")
    _quiesce(machine, device)
    device.suspended = True


def _quiesce(machine: Machine, device: Device) -> None:
    targets = device.live.targets if device.live else ()
    for target in targets:
        machine.behaviour(target).presuspend(machine, device, target)
    for target in targets:
        machine.behaviour(target).postsuspend(machine, device, target)


def resume(machine: Machine, device: Device) -> None:
    """Swap in the inactive table and let it run.

    Refusal: EINVAL without a table, or what a target says. The inactive table is used up then, and the device stays
    suspended: with its old table when the new one is too large, with the new one when a target did not start.
    """
    table, device.inactive = device.inactive, None
    old = None
    if table is not None:
        suspend(machine, device)
        try:
            if table.uses or device.live is None:
                check_areas(machine, table)
        except Refusal:
            destroy_table(machine, table)
            remove_deferred(machine)
            raise
        old, device.live = device.live, table
        immutable = [target.kind for target in table.targets if machine.behaviour(target).immutable]
        device.immutable = immutable[0] if immutable else ""
        device.read_only = table.read_only
    try:
        if device.suspended:
            if device.internal:
                raise Blocked(f"{device.name} is suspended by a pool, whose resume is waited for")
            if device.live is None:
                raise Refusal(errno.EINVAL, f"{device.name} has no table")
            _start(machine, device, device.live)
            device.suspended = False
    finally:
        destroy_table(machine, old)
        remove_deferred(machine)


def _start(machine: Machine, device: Device, table: Table) -> None:
    for target in table.targets:
        machine.behaviour(target).preresume(machine, device, target)
    for target in table.targets:
        machine.behaviour(target).resume(machine, device, target)


def suspend_internally(machine: Machine, device: Device) -> None:
    """A target that the device stands on stops it, on top of what its owner does."""
    device.internal += 1
    if device.internal == 1 and not device.suspended:
        _quiesce(machine, device)


def resume_internally(machine: Machine, device: Device) -> None:
    """The inverse; a target that does not start leaves the device suspended."""
    device.internal -= 1
    if device.internal or device.suspended or device.live is None:
        return
    try:
        _start(machine, device, device.live)
    except Refusal:
        device.suspended = True


def remove(machine: Machine, device: Device, *, deferred: bool) -> None:
    """Remove a device. Refusal EBUSY: it is open; with `deferred` it goes when it is not."""
    if machine.open_count(device):
        if not deferred:
            raise Refusal(errno.EBUSY, f"{device.name} is open")
        device.deferred = True
        return
    inactive, device.inactive = device.inactive, None
    destroy_table(machine, inactive)
    if not device.suspended:
        _quiesce(machine, device)
    live, device.live = device.live, None
    destroy_table(machine, live)
    del machine.devices[device.minor]
    remove_deferred(machine)


def remove_deferred(machine: Machine) -> None:
    """Remove what was only waiting for its last holder."""
    for device in sorted(machine.devices.values(), key=lambda each: each.name.encode()):
        if device.deferred and not machine.open_count(device):
            remove(machine, device, deferred=True)
            return
