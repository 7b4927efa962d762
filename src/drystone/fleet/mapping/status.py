"""The fleet's state for people and monitors: what is where, what is at risk, how old the newest backups are. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from drystone.fleet.documents import Placement
from drystone.fleet.mapping.audit import name_placement
from drystone.fleet.mapping.epochs import is_short, spell_short
from drystone.fleet.mapping.forgotten import find_forgotten
from drystone.fleet.mapping.rebuild import Waiting, find_orphans
from drystone.fleet.mapping.view import SERVING, STANDING, View

_COUNTING = STANDING | SERVING
"""A copy there is not lost."""


class DiskStatus(msgspec.Struct, frozen=True):
    """A disk. :ivar copies: placements with a member there. :ivar capacity, free: bytes, 0 when not known."""

    server: str
    disk: str
    disk_id: str
    state: str
    reason: str
    capacity: int
    free: int
    copies: int


class ServerStatus(msgspec.Struct, frozen=True):
    """A server. :ivar silent: seconds since it was last heard of. :ivar map_version: of the map that it had then."""

    id: str
    url: str
    alive: bool
    silent: float
    leads: int
    copies: int
    map_version: int


class HostStatus(msgspec.Struct, frozen=True):
    """A host's placement.

    :ivar state: `protected` (all copies in sync on disks that serve), `degraded` (readable, fewer copies), or
        `unreadable` (no copy that is known to be complete answers). :ivar objects: keys. :ivar size: bytes.
    :ivar newest: when the newest object was stored, seconds since 1970, 0 for never. :ivar age: seconds since then.
    :ivar drill: `passed`, `failed` or `never`: the last restore drill. :ivar drilled: when that was, seconds since
        1970, 0 for never. :ivar drill_text: what it read, or what was wrong.
    """

    namespace: str
    host: str
    folder: str
    placement: str
    state: str
    epoch: int
    leader: str
    copies: tuple[str, ...]
    objects: int
    size: int
    newest: float
    age: float | None
    drill: str = "never"
    drilled: float = 0.0
    drill_text: str = ""


class Risk(msgspec.Struct, frozen=True):
    """What it would cost if this server failed now too, for good.

    :ivar unreadable: hosts of which it has the only good copy. :ivar size: their bytes. :ivar objects: their keys.
    """

    server: str
    unreadable: tuple[str, ...]
    objects: int
    size: int


class ForgottenHost(msgspec.Struct, frozen=True):
    """A host that was forgotten and can be had back. :ivar until: when it may be deleted, seconds since 1970."""

    namespace: str
    host: str
    placement: str
    objects: int
    size: int
    until: float


class Status(msgspec.Struct, frozen=True):
    """The whole. :ivar waiting: placements that the disks know and the database may not take over yet, and why.
    :ivar orphans: that disks hold for hosts which have another placement in the database; left alone.
    :ivar short: placements that have few epochs left, or none.
    """

    fleet: str
    version: int
    recovering: bool
    servers: tuple[ServerStatus, ...]
    disks: tuple[DiskStatus, ...]
    hosts: tuple[HostStatus, ...]
    risks: tuple[Risk, ...]
    waiting: tuple[str, ...]
    orphans: tuple[str, ...]
    forgotten: tuple[ForgottenHost, ...] = ()
    short: tuple[str, ...] = ()


@dataclass(slots=True)
class _Part:
    """A server's part in the placements. :ivar alone: hosts of which it has the only good copy, with their sums."""

    leads: int = 0
    copies: int = 0
    alone: list[str] = field(default_factory=list)
    objects: int = 0
    size: int = 0


def fleet_status(view: View, waiting: Sequence[Waiting], now: datetime) -> Status:
    """The status at one moment. The placements are gone through once: a fleet may have many thousands."""
    model = view.model
    parts: defaultdict[str, _Part] = defaultdict(_Part)
    hosts: list[HostStatus] = []
    short: list[str] = []
    for placement in model.placements.values():
        host = _host_status(view, placement, now.timestamp())
        hosts.append(host)
        _count(view, placement, host, parts)
        if is_short(placement):
            short.append(spell_short(placement))
    servers = sorted(model.servers)
    return Status(
        fleet=model.fleet,
        version=model.version,
        recovering=model.recovering,
        servers=tuple(_server_status(view, each, parts[each]) for each in servers),
        disks=tuple(_disk_status(view, each) for each in model.disks),
        hosts=tuple(sorted(hosts, key=lambda each: (each.namespace, each.host))),
        risks=tuple(_risk(each, parts[each]) for each in servers),
        waiting=tuple(
            f"{name_placement(each.placement)}: disks that must be read first: {', '.join(each.missing)}"
            for each in waiting
        ),
        orphans=tuple(f"{name_placement(each)} ({each.id})" for each in find_orphans(view)),
        forgotten=tuple(
            ForgottenHost(
                each.placement.namespace,
                each.placement.host,
                each.placement.id,
                each.objects,
                each.size,
                each.until,
            )
            for each in find_forgotten(view)
        ),
        short=tuple(short),
    )


def _count(view: View, placement: Placement, host: HostStatus, parts: defaultdict[str, _Part]) -> None:
    """Add a placement to the parts of its servers."""
    parts[placement.leader].leads += 1
    sound: list[str] = []
    for each in placement.members:
        parts[each.server].copies += 1
        if each.state == "in_sync" and view.state(each) in _COUNTING:
            sound.append(each.server)
    if len(sound) == 1:
        part = parts[sound[0]]
        part.alone.append(name_placement(placement))
        part.objects += host.objects
        part.size += host.size


def placement_state(view: View, placement: Placement) -> str:
    """`protected`, `degraded` or `unreadable`."""
    sound = [each for each in placement.in_sync() if view.state(each) in SERVING]
    if len(sound) >= view.rules.copies:
        return "protected"
    return "degraded" if sound else "unreadable"


def _server_status(view: View, server: str, part: _Part) -> ServerStatus:
    record = view.model.servers[server]
    sighting = view.sightings.servers.get(server)
    silent = round(view.sightings.silence(server, view.now), 1)
    version = sighting.map_version if sighting is not None else 0
    return ServerStatus(server, record.url, view.alive(server), silent, part.leads, part.copies, version)


def _disk_status(view: View, disk_id: str) -> DiskStatus:
    record = view.model.disks[disk_id]
    report = view.sightings.disk(record.server, disk_id)
    return DiskStatus(
        server=record.server,
        disk=record.name,
        disk_id=disk_id,
        state=view.disk_state(record.server, disk_id).value,
        reason=record.reason or (report.reason if report else ""),
        capacity=report.capacity if report else 0,
        free=report.free if report else 0,
        copies=len(view.model.on_disk.get(disk_id, {})),
    )


def _host_status(view: View, placement: Placement, wall: float) -> HostStatus:
    held = view.held_by_placement.get(placement.id, ())
    newest = max((each.newest for each in held), default=0.0)
    drill = view.model.drills.get(placement.id)
    return HostStatus(
        namespace=placement.namespace,
        host=placement.host,
        folder=placement.folder,
        placement=placement.id,
        state=placement_state(view, placement),
        epoch=placement.epoch,
        leader=placement.leader,
        copies=tuple(
            f"{each.server}/{each.disk} {each.state.replace('_', ' ')}, {view.state(each).value}"
            for each in placement.members
        ),
        objects=max((each.objects for each in held), default=0),
        size=max((each.size for each in held), default=0),
        newest=newest,
        age=round(wall - newest, 1) if newest else None,
        drill="never" if drill is None else "passed" if drill.passed else "failed",
        drilled=0.0 if drill is None else drill.at,
        drill_text="" if drill is None else drill.text,
    )


def _risk(server: str, part: _Part) -> Risk:
    return Risk(server, tuple(sorted(part.alone)), part.objects, part.size)
