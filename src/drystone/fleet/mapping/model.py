"""What the database holds, as values, and the changes that are made to it. No I/O.

A mapper that leads keeps the whole model in memory: nobody else writes while it has the lease.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from drystone.fleet.documents import Bucket, Key, Member, Placement, Slot
from drystone.fleet.orders import DiskMark

Name = TypeVar("Name")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class ServerRecord:
    """A storage server that was seen once. :ivar alive: as last decided."""

    id: str
    url: str
    alive: bool = True


@dataclass(frozen=True, slots=True)
class DiskRecord:
    """A disk that was seen once: where it was last, and what the operator said of it."""

    disk_id: str
    server: str
    name: str
    mark: DiskMark = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Leftover:
    """Data of a placement on a disk that is no member of it. :ivar since: seconds since 1970. :ivar due: delete it."""

    placement: str
    disk_id: str
    since: float
    due: bool = False


@dataclass(frozen=True, slots=True)
class DrillRecord:
    """The last restore drill of a placement.

    :ivar at: seconds since 1970. :ivar passed: all was as it was stored. :ivar objects: that were read, :ivar size:
        their bytes, of all copies together. :ivar text: in words.
    """

    placement: str
    at: float
    passed: bool
    objects: int
    size: int
    text: str


@dataclass(frozen=True, slots=True)
class PlacementChange:
    """A placement is made, or replaced by one of a higher epoch.

    :ivar before: the epoch it must have in the database, 0: none of that id nor of that host may be there.
    :ivar led_past: no database that was lost before this rebuilding of the map can have come to the epoch. Known as
        long as the rebuilding lasts, whichever mapper goes on with it.
    """

    placement: Placement
    before: int
    why: str
    led_past: bool = False


@dataclass(frozen=True, slots=True)
class PlacementRemoval:
    """A placement ends; what its disks hold is left over."""

    id: str
    folder: str
    before: int
    why: str


@dataclass(frozen=True, slots=True)
class ServerChange:
    """A server is new, moved, died or came back."""

    server: ServerRecord
    why: str


@dataclass(frozen=True, slots=True)
class DiskChange:
    """A disk is new, moved or marked."""

    disk: DiskRecord
    why: str


@dataclass(frozen=True, slots=True)
class LeftoverChange:
    """A leftover was seen or is due; with `gone`, it is no more."""

    leftover: Leftover
    why: str
    gone: bool = False


@dataclass(frozen=True, slots=True)
class BucketChange:
    """A bucket is made or changed; with `gone`, deleted."""

    bucket: Bucket
    why: str
    gone: bool = False


@dataclass(frozen=True, slots=True)
class KeyChange:
    """A key is made or changed; with `gone`, deleted."""

    key: Key
    why: str
    gone: bool = False


@dataclass(frozen=True, slots=True)
class DrillChange:
    """A restore drill was made. :ivar host: as NAMESPACE/HOST."""

    record: DrillRecord
    host: str


@dataclass(frozen=True, slots=True)
class GroupChange:
    """Vbuckets belong to a host of a namespace."""

    namespace: str
    host: str
    vbuckets: tuple[int, ...]
    why: str


@dataclass(frozen=True, slots=True)
class FleetChange:
    """The fleet's id is another, as the disks have it and the database was new; or a rebuilding begins, anew, or ends.

    What was led past a lost database counts in one rebuilding only: in the next, another one was lost.
    """

    fleet: str
    recovering: bool
    why: str


Change = (
    PlacementChange
    | PlacementRemoval
    | ServerChange
    | DiskChange
    | LeftoverChange
    | BucketChange
    | KeyChange
    | GroupChange
    | DrillChange
    | FleetChange
)


@dataclass(slots=True)
class Model:
    """All that the database holds but the audit log and the lease.

    :ivar version: grows with every commit. :ivar recovering: the database was lost or is old, and not all servers have
        told yet what they hold. :ivar groups: (namespace, host) to the vbuckets it stands for.
    """

    fleet: str
    version: int = 0
    recovering: bool = False
    servers: dict[str, ServerRecord] = field(default_factory=dict)
    disks: dict[str, DiskRecord] = field(default_factory=dict)
    placements: dict[str, Placement] = field(default_factory=dict)
    leftovers: dict[tuple[str, str], Leftover] = field(default_factory=dict)
    buckets: dict[str, Bucket] = field(default_factory=dict)
    keys: dict[str, Key] = field(default_factory=dict)
    groups: dict[tuple[str, str], tuple[int, ...]] = field(default_factory=dict)
    drills: dict[str, DrillRecord] = field(default_factory=dict)
    """Placement id to its last restore drill."""
    hosts: dict[tuple[str, str], str] = field(default_factory=dict)
    """(namespace, host) to the id of its placement."""
    led_past: set[str] = field(default_factory=set)
    """Ids of placements in epochs that no database lost before this rebuilding can have come to."""
    removed: set[str] = field(default_factory=set)
    """Ids of placements that have ended; one that is remembered is none of them any more."""
    on_disk: dict[str, dict[str, Slot]] = field(default_factory=dict)
    """Disk id to the placements that have a member there, and in which slot."""
    folders: dict[str, str] = field(default_factory=dict)
    """Folder to the id of the placement, ended ones too: their files may lie there still."""

    def find(self, namespace: str, host: str) -> Placement | None:
        """The placement of a host."""
        found = self.hosts.get((namespace, host))
        return None if found is None else self.placements[found]

    def members(self) -> Iterator[tuple[Placement, Member]]:
        """Every copy of every placement."""
        for placement in self.placements.values():
            for member in placement.members:
                yield placement, member

    def put_placement(self, placement: Placement) -> None:
        """Take a placement over, in all the tables that it is found by."""
        if (old := self.placements.get(placement.id)) is not None:
            self._forget_members(old)
        self.placements[placement.id] = placement
        self.removed.discard(placement.id)
        self.hosts[placement.namespace, placement.host] = placement.id
        self.folders[placement.folder] = placement.id
        for member in placement.members:
            self.on_disk.setdefault(member.disk_id, {})[placement.id] = member.slot

    def _forget_members(self, placement: Placement) -> None:
        for member in placement.members:
            self.on_disk[member.disk_id].pop(placement.id, None)

    def apply(self, changes: Iterable[Change], version: int) -> None:
        """Take over what the database has accepted."""
        for change in changes:
            self._apply(change)
        self.version = version

    def _apply(self, change: Change) -> None:
        match change:
            case PlacementChange(placement=placement, led_past=led_past):
                self.put_placement(placement)
                if led_past:
                    self.led_past.add(placement.id)
            case PlacementRemoval(id=id_):
                placement = self.placements.pop(id_)
                self._forget_members(placement)
                del self.hosts[placement.namespace, placement.host]
                self.groups.pop((placement.namespace, placement.host), None)
                self.drills.pop(id_, None)
                self.removed.add(id_)
                self.led_past.discard(id_)
            case ServerChange(server=server):
                self.servers[server.id] = server
            case DiskChange(disk=disk):
                self.disks[disk.disk_id] = disk
            case LeftoverChange(leftover=leftover, gone=gone):
                _keep(self.leftovers, (leftover.placement, leftover.disk_id), leftover, gone=gone)
            case BucketChange(bucket=bucket, gone=gone):
                _keep(self.buckets, bucket.name, bucket, gone=gone)
            case KeyChange(key=key, gone=gone):
                _keep(self.keys, key.access_key, key, gone=gone)
            case GroupChange(namespace=namespace, host=host, vbuckets=vbuckets):
                self.groups[namespace, host] = vbuckets
            case DrillChange(record=record):
                self.drills[record.placement] = record
            case FleetChange(fleet=fleet, recovering=recovering):
                self.fleet = fleet
                self.recovering = recovering
                self.led_past.clear()


def _keep(table: dict[Name, Value], name: Name, value: Value, *, gone: bool) -> None:
    """Put an entry, or take it away."""
    if gone:
        table.pop(name, None)
    else:
        table[name] = value
