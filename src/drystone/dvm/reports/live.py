"""What device-mapper says of a group's devices now, as a document that reports and mutators read.

    {"schema": "drystone.dvm.live", "version": 1,
     "devices": [{"name": "vg-db", "uuid": "DRYSTONE-DVM-...", "open_count": 1,
                  "targets": [{"start": 0, "length": 16384, "target": "linear", "status": ""}]}]}

`start` and `length` are sectors.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from drystone.base.documents import decode
from drystone.base.errors import KernelError
from drystone.dvm.groups.group import Group, uuid_prefix
from drystone.kernel.dm.abc import DeviceMapper, DeviceNumber, TableLine, TargetStatus
from drystone.kernel.dm.statuses import MirrorStatus, RaidStatus, Status, parse_status

SCHEMA: Final = "drystone.dvm.live"
VERSION: Final = 1

_SILENT = frozenset({"linear", "error", "zero"})
"""Targets that report nothing (Linux `drivers/md/dm-linear.c`, STATUSTYPE_INFO; `dm-target.c` and `dm-zero.c` have no
status function)."""


class LiveTarget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A target of a live table, and the text that it reports."""

    start: int
    length: int
    target: str
    status: str = ""

    def parsed(self) -> Status | None:
        """What the text means; None for targets that report nothing.

        :raises UsageError: no kernel says so.
        """
        return parse_status(TargetStatus(self.start, self.length, self.target, self.status))


class LiveDevice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A device of the group."""

    name: str
    uuid: str
    open_count: int = 0
    suspended: bool = False
    read_only: bool = False
    targets: tuple[LiveTarget, ...] = ()


class Live(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The devices of one group that are there."""

    devices: tuple[LiveDevice, ...] = ()
    schema: Literal["drystone.dvm.live"] = SCHEMA
    version: Literal[1] = VERSION

    def by_uuid(self) -> dict[str, LiveDevice]:
        """The devices by their device-mapper uuid."""
        return {device.uuid: device for device in self.devices}


def parse_live(data: bytes | str, what: str = "live state") -> Live:
    """:raises UsageError: no JSON, or another schema or version."""
    return decode(data, Live, what)


def observe(dm: DeviceMapper, group: Group) -> Live:
    """Ask device-mapper. Devices that go away meanwhile are left out; a suspended one is not asked for its status."""
    prefix = uuid_prefix(group)
    found = []
    for entry in dm.list_devices():
        if not entry.uuid.startswith(prefix):
            continue
        try:
            info, table = dm.look(entry.number)
            statuses = _ask(dm, entry.number, table) if not info.suspended else []
        except KernelError as error:
            if error.errno == errno.ENXIO:
                continue
            raise
        targets = tuple(LiveTarget(each.start, each.length, each.target, each.text) for each in statuses)
        found.append(LiveDevice(info.name, info.uuid, info.open_count, info.suspended, info.read_only, targets))
    return Live(tuple(found))


def _ask(dm: DeviceMapper, number: DeviceNumber, table: Sequence[TableLine]) -> Sequence[TargetStatus]:
    """The status of the targets; those that have nothing to report are not asked."""
    if all(line.target in _SILENT for line in table):
        return [TargetStatus(line.start, line.length, line.target, "") for line in table]
    return dm.status(number, no_flush=True)


def copied(target: LiveTarget) -> tuple[int, int] | None:
    """How much of a mirror or raid set is in sync, and of how much; None for other targets."""
    if target.target not in {"mirror", "raid"}:
        return None
    match target.parsed():
        case MirrorStatus(in_sync=done, regions=whole) | RaidStatus(in_sync=done, sectors=whole):
            return done, whole
    return None


def moved_volumes(group: Group, live: Live) -> set[str]:
    """Names of the volumes (and parts) that are being moved and whose mirrors have copied everything."""
    devices = live.by_uuid()
    found = set()
    for volume in group.volumes:
        moving = sum(run.to is not None for run in volume.runs())
        own = f"{uuid_prefix(group)}{volume.uuid}"
        mirrors = [
            copied(target)
            for uuid, device in devices.items()
            if uuid == own or uuid == f"{own}-real" or uuid.startswith(f"{own}-move")
            for target in device.targets
            if target.target == "mirror"
        ]
        if moving and len(mirrors) == moving and all(each is not None and each[0] == each[1] for each in mirrors):
            found.add(volume.name)
    return found
