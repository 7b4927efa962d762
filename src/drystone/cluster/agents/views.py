"""What an ihost sees of its mirrors and disks. Nothing here waits for a disk."""

from __future__ import annotations

import errno
from collections.abc import Collection

from msgspec import Struct

from drystone.base.errors import KernelError, UnavailableError
from drystone.cluster.agents.answers import CloneSeen, DiskSeen, MirrorSeen, PoolSeen
from drystone.cluster.agents.legs import LUN, wwid_of_leg
from drystone.cluster.model.calls import Disk
from drystone.dvm.state import State
from drystone.kernel.dm.abc import DeviceMapper
from drystone.kernel.dm.legs import Mirror
from drystone.kernel.dm.number import DeviceNumber
from drystone.kernel.dm.statuses import MirrorStatus, ThinPoolStatus
from drystone.kernel.dm.targets import parse_target
from drystone.kernel.iscsi.abc import Session, find_session
from drystone.kernel.iscsi.names import Portal

_OFFLINE = "transport-offline"
"""The state of a disk whose session was lost for longer than its replacement timeout: all I/O fails."""

_RUNNING = "running"

Above = tuple[State, PoolSeen | None, CloneSeen | None]
"""Devices of a volume with those above its mirrors, and what is known of its pool and its clone."""


class LiveMirror(Struct, frozen=True):
    """A mirror. :ivar handles_errors: it holds its writes when a leg has failed."""

    name: str
    handles_errors: bool
    status: MirrorStatus

    @property
    def failed(self) -> tuple[str, ...]:
        """The numbers of legs of which writes, flushes or copies have failed. A failed read (R) stops nothing."""
        return tuple(
            number
            for number, letter in zip(self.status.devices, self.status.health, strict=True)
            if letter in "DFS"
        )  # fmt: skip

    @property
    def holds(self) -> bool:
        """Whether a write or a flush failed on a leg: what no copy does."""
        return any(letter in "DF" for letter in self.status.health)

    @property
    def is_whole(self) -> bool:
        """Whether all regions are in sync, and nothing has failed."""
        return self.status.in_sync == self.status.regions and set(self.status.health) == {"A"}


def see_mirrors(dm: DeviceMapper, uuids: Collection[str]) -> list[LiveMirror]:
    """The mirrors among the devices with these UUIDs. What goes away meanwhile is left out."""
    found = []
    for entry in dm.list_devices():
        if entry.uuid not in uuids:
            continue
        try:
            table = dm.table(entry.number)
            if [line.target for line in table] != [Mirror.kind]:
                continue
            target = parse_target(table[0])
            status = dm.status(entry.number, no_flush=True)
        except KernelError as error:
            if error.errno == errno.ENXIO:
                continue
            raise
        if isinstance(target, Mirror) and status:
            found.append(LiveMirror(entry.name, target.handle_errors, MirrorStatus.parse(status[0].text)))
    return found


def see_pool(dm: DeviceMapper, uuid: str) -> PoolSeen | None:
    """The answer about the pool with this UUID; None where there is none, or it cannot tell."""
    for entry in dm.list_devices():
        if entry.uuid == uuid:
            try:
                lines = dm.status(entry.number, no_flush=True)
            except KernelError as error:
                if error.errno == errno.ENXIO:
                    return None
                raise
            found = ThinPoolStatus.parse(lines[0].text) if lines else None
            if isinstance(found, ThinPoolStatus):
                data, metadata = (found.used_data, found.total_data), (found.used_metadata, found.total_metadata)
                return PoolSeen(found.transaction_id, *data, *metadata)
    return None


def see_mirror(mirror: LiveMirror, legs: tuple[str, ...]) -> MirrorSeen:
    """The answer about a mirror. :param legs: that it was wished of."""
    status = mirror.status
    return MirrorSeen(mirror.name, legs, status.health, status.in_sync, status.regions)


def see_disk(disk: Disk, session: Session | None) -> DiskSeen:
    """The answer about a leg's disk."""
    found = next((each for each in session.disks if each.lun == LUN), None) if session else None
    return DiskSeen(
        disk.leg,
        session.state if session else "",
        found.state if found else "",
        str(found.number) if found else "",
    )


def numbers_of(session: Session | None) -> set[str]:
    """Of its disks, as tables and statuses write them."""
    return {str(disk.number) for disk in session.disks} if session else set()


def find_leg_session(sessions: Collection[Session], disk: Disk) -> Session | None:
    """The session of a leg."""
    return find_session(sessions, disk.target, Portal.parse(disk.portal))


def find_leg_number(sessions: Collection[Session], disk: Disk) -> DeviceNumber:
    """The disk that a leg is. :raises UnavailableError: it is not here."""
    session = find_leg_session(sessions, disk)
    for each in session.disks if session else ():
        if each.lun == LUN and each.wwid == wwid_of_leg(disk.leg):
            return each.number
    raise UnavailableError(f"leg {disk.leg} is not here", hint="is its dpv up?")


def is_at_work(session: Session | None) -> bool:
    """Whether a leg has its connection, and its disk does I/O."""
    return session is not None and session.is_logged_in and any(each.state == _RUNNING for each in session.disks)


def is_offline(session: Session | None) -> bool:
    """Whether all I/O to a leg fails already."""
    return session is None or any(each.state == _OFFLINE for each in session.disks)
