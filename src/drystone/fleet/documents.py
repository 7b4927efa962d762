"""What mappers and storage servers tell each other: the map, heartbeats, reports. docs/explanation/fleet.md says why.

All are JSON over HTTP. Fields that are not known are passed over, so that servers of two versions work
together. Times are seconds since 1970 (UTC), sizes are bytes.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Slot = Literal["primary", "secondary"]
MemberState = Literal["in_sync", "copying"]
Policy = Literal["exclusive", "shared"]
DiskHealth = Literal["good", "bad", "missing"]


class Member(msgspec.Struct, frozen=True):
    """A copy of a placement.

    :ivar server: id of the storage server. :ivar disk: its name there (`data_1`). :ivar disk_id: UUID of its identity.
    """

    server: str
    disk: str
    disk_id: str
    slot: Slot
    state: MemberState


class Placement(msgspec.Struct, frozen=True):
    """Where a host of a namespace lies.

    :ivar id: of its own, never used again. :ivar folder: name of its folder on every disk; the host's name where no
        other namespace has it, so it is also its name in the legacy API.
    :ivar leader: id of the server that writes. :ivar members: the leader's first, one a server.
    """

    id: str
    namespace: str
    host: str
    folder: str
    policy: Policy
    epoch: int
    leader: str
    members: tuple[Member, ...]

    def member(self, server: str) -> Member | None:
        """The copy that `server` has."""
        return next((each for each in self.members if each.server == server), None)

    def in_sync(self) -> tuple[Member, ...]:
        """The copies that hold every acknowledged write."""
        return tuple(each for each in self.members if each.state == "in_sync")


class DiskReport(msgspec.Struct, frozen=True):
    """A disk as its server sees it. :ivar reason: why it is not good, "" when it is."""

    name: str
    disk_id: str
    health: DiskHealth
    capacity: int
    free: int
    reason: str = ""


class Held(msgspec.Struct, frozen=True):
    """A placement that a disk has data of, current or left over. :ivar objects: keys, :ivar size: bytes."""

    placement: Placement
    disk_id: str
    slot: Slot
    objects: int
    size: int
    newest: float = 0.0


class Server(msgspec.Struct, frozen=True):
    """A storage server. :ivar url: where it is called (`http://10.0.0.1:8080`)."""

    id: str
    url: str
    disks: tuple[DiskReport, ...] = ()
    alive: bool = True


class Bucket(msgspec.Struct, frozen=True):
    """A namespace.

    :ivar quota: bytes that it may hold, 0 for any number; :ivar full: it holds so many: nothing is put there for now.
    :ivar settings: S3's own documents about it (versioning, lock, policy, ...), by their name.
    """

    name: str
    policy: Policy
    owner: str
    made: float
    quota: int = 0
    settings: dict[str, str] = {}
    full: bool = False


class Key(msgspec.Struct, frozen=True):
    """An access key. :ivar rights: namespace ("*" for all) to "read", "write" or "admin", each with those before it."""

    access_key: str
    secret: str
    rights: dict[str, Literal["read", "write", "admin"]]


class FleetMap(msgspec.Struct, frozen=True):
    """All that a storage server must know. :ivar version: grows with every change."""

    fleet: str
    term: int
    version: int
    servers: tuple[Server, ...] = ()
    placements: tuple[Placement, ...] = ()
    buckets: tuple[Bucket, ...] = ()
    keys: tuple[Key, ...] = ()
    leftovers: tuple[tuple[str, str], ...] = ()
    """(placement id, disk id) that may be deleted now."""
    recovering: bool = False
    """The map is being rebuilt from the disks: what is not in it may be there all the same."""


class Heartbeat(msgspec.Struct, frozen=True):
    """POST /internal/heartbeat, every second. :ivar map_version: of the map the server has, 0 for none.

    :ivar boot: different after each start. :ivar held: sent after a start and when it changed, else None.
    :ivar fleet: id of the fleet that its disks belong to, "" when none has an identity yet. :ivar term: the highest
        that the server knows: a mapper whose database was lost or put back sees by both that it was.
    :ivar uptime: monotonic seconds from the start to when this was sent: so that one that was overtaken is not
        believed, and one that was long under way not taken for news.
    :ivar told: ids of the disks of which `held` has everything: the map is rebuilt from no others.
    :ivar known: with `held`: the last map that the server had from a mapper that was not rebuilding it, without
        placements and servers: a lost database gets its buckets and keys back from it.
    """

    server: str
    url: str
    boot: str
    map_version: int
    disks: tuple[DiskReport, ...]
    held: tuple[Held, ...] | None = None
    fleet: str = ""
    term: int = 0
    uptime: float = 0.0
    told: tuple[str, ...] = ()
    known: FleetMap | None = None


class HeartbeatAnswer(msgspec.Struct, frozen=True):
    """Its answer.

    :ivar map: when the server's is old. :ivar want_held: the mapper must be told what the disks hold.
    """

    term: int
    map: FleetMap | None = None
    want_held: bool = False


class Allocation(msgspec.Struct, frozen=True):
    """POST /internal/allocate: a placement for a host; the one it has, if it has one. The answer is a Placement."""

    namespace: str
    host: str


class Report(msgspec.Struct, frozen=True):
    """POST /internal/report, by the leader: members (ids of servers) that did not answer, or that caught up.

    The answer is the placement as it is then (200), or as it is without the change (409), when the epoch moved on.
    """

    placement: str
    epoch: int
    server: str
    drop: tuple[str, ...] = ()
    in_sync: tuple[str, ...] = ()
    reason: str = ""
