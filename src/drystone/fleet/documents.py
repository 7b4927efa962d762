"""What mappers and storage servers tell each other: the map, heartbeats, reports. docs/explanation/fleet.md says why.

All are JSON over HTTP. Fields that are not known are passed over, so that servers of two versions work
together. Times are seconds since 1970 (UTC), sizes are bytes.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Slot = Literal["primary", "secondary"]
MemberState = Literal["in_sync", "comparing", "copying"]
"""in_sync: it is as the leader's. comparing: it was in sync when the leader changed, so it has every acknowledged
write, and perhaps some that were not. copying: it lacks some.
"""
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
        for each in self.members:  # asked several times a request
            if each.server == server:
                return each
        return None

    def in_sync(self) -> tuple[Member, ...]:
        """The copies that hold every acknowledged write, and nothing that the leader has not."""
        return tuple(each for each in self.members if each.state == "in_sync")

    def complete(self) -> tuple[Member, ...]:
        """The copies that hold every acknowledged write, also those that may hold others besides."""
        return tuple(each for each in self.members if each.state != "copying")


class DiskReport(msgspec.Struct, frozen=True):
    """A disk as its server sees it.

    :ivar reason: why it is not good, or what is to be said of one that is; "" for nothing. :ivar failing: it serves,
        and says that it will not for long: it is to be emptied.
    """

    name: str
    disk_id: str
    health: DiskHealth
    capacity: int
    free: int
    reason: str = ""
    failing: bool = False


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
    """All that a storage server must know, or what is new of it to one that has a map.

    :ivar version: grows with every change. :ivar edition: of the mapper that tells it, since it read its database: a
        version says what it holds within its edition only.
    :ivar since: 0: this is the whole map. Else a version of the same edition: of placements, buckets and keys only what
        changed after it is here, as it is now, and those that are no more are in `gone_...`. It can be applied to the
        map of that version, and to any between that and this.
    """

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
    edition: str = ""
    since: int = 0
    gone_placements: tuple[str, ...] = ()
    gone_buckets: tuple[str, ...] = ()
    gone_keys: tuple[str, ...] = ()


class Heartbeat(msgspec.Struct, frozen=True):
    """POST /internal/heartbeat, every second. :ivar map_version: of the map the server has, 0 for none.

    :ivar boot: different after each start. :ivar held: sent after a start, when the mapper asks, and from time to time,
        else None.
    :ivar fleet: id of the fleet that its disks belong to, "" when none has an identity yet. :ivar term: the highest
        that the server knows: a mapper whose database was lost or put back sees by both that it was.
    :ivar uptime: monotonic seconds from the start to when this was sent: so that one that was overtaken is not
        believed, and one that was long under way not taken for news.
    :ivar told: ids of the disks of which `held` has everything: the map is rebuilt from no others.
    :ivar known: with `held`: the last map that the server had from a mapper that was not rebuilding it, without
        placements and servers: a lost database gets its buckets and keys back from it.
    :ivar edition: of its map, "" when it takes whole maps only.
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
    edition: str = ""


class Drill(msgspec.Struct, frozen=True):
    """A restore drill: the leader of a placement is to read its newest objects back whole, from every copy.

    :ivar id: of its own; until its result is known it stands in every answer. :ivar objects: so many at most.
    :ivar size: bytes together at most, but one object at least.
    """

    id: str
    placement: str
    objects: int
    size: int


class DrillResult(msgspec.Struct, frozen=True):
    """POST /internal/drills, by the leader. The answer: 204.

    :ivar objects: that were read. :ivar size: bytes of them, of all copies together. :ivar copies: that were read, as
        SERVER/DISK. :ivar findings: what was wrong, a line each; none: all is as it was stored. :ivar reason: why the
        drill could not be made, "" when it was; then it is made again.
    """

    id: str
    placement: str
    objects: int = 0
    size: int = 0
    copies: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    reason: str = ""


class HeartbeatAnswer(msgspec.Struct, frozen=True):
    """Its answer.

    :ivar map: when the server's is old. :ivar want_held: the mapper must be told what the disks hold.
    :ivar drills: that the server is to make.
    """

    term: int
    map: FleetMap | None = None
    want_held: bool = False
    drills: tuple[Drill, ...] = ()


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
