"""What the page shows, as one document. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from drystone.fleet.documents import Held, Member, Placement
from drystone.fleet.mapping.database import AuditEntry
from drystone.fleet.mapping.page.pace import Pace
from drystone.fleet.mapping.status import DiskStatus, ForgottenHost, HostStatus, ServerStatus, Status
from drystone.fleet.mapping.view import SERVING, View
from drystone.wire.page.words import spell_count

Level = Literal["good", "warning", "bad"]

_ORDER = {"unreadable": 0, "degraded": 1, "protected": 2}


class CopyCard(msgspec.Struct, frozen=True):
    """One copy of a host.

    :ivar state: as in Member. :ivar disk_state: as in DiskStatus. :ivar serves: the disk can be read.
    :ivar objects: keys, :ivar size: bytes that it holds; None when its disk has not told.
    """

    server: str
    disk: str
    leads: bool
    state: str
    disk_state: str
    serves: bool
    objects: int | None
    size: int | None


class HostCard(msgspec.Struct, frozen=True):
    """A host with its copies, the leader's first."""

    status: HostStatus
    copies: tuple[CopyCard, ...]


class CopyJob(msgspec.Struct, frozen=True):
    """A copy that is being made.

    :ivar size: bytes that it will have; :ivar left: of these not there yet; None while the disks have not told.
    :ivar seconds: until it is complete at the pace of the last minutes; None while that is not known.
    """

    namespace: str
    host: str
    source: str
    target: str
    size: int | None
    left: int | None
    seconds: float | None


class RiskCard(msgspec.Struct, frozen=True):
    """What it would cost if a server failed now for good.

    :ivar hosts: of which it has the only good copy. :ivar objects: their keys. :ivar size: their bytes.
    :ivar seconds: until the copies under way have made all of them safe; None when that is not known.
    """

    server: str
    hosts: tuple[str, ...]
    objects: int
    size: int
    seconds: float | None


class ServerCard(msgspec.Struct, frozen=True):
    """A server with its disks."""

    status: ServerStatus
    disks: tuple[DiskStatus, ...]


class Board(msgspec.Struct, frozen=True):
    """The whole. :ivar at: seconds since 1970. :ivar summary: in a sentence, and :ivar level: how bad that is.

    :ivar hosts: those in trouble first, then the longest without a backup. :ivar degraded: keys of hosts that are not
        protected. :ivar audit: the newest first.
    """

    at: float
    term: int
    level: Level
    summary: str
    fleet: str
    version: int
    recovering: bool
    servers: tuple[ServerCard, ...]
    hosts: tuple[HostCard, ...]
    degraded: int
    jobs: tuple[CopyJob, ...]
    risks: tuple[RiskCard, ...]
    waiting: tuple[str, ...]
    orphans: tuple[str, ...]
    short: tuple[str, ...]
    forgotten: tuple[ForgottenHost, ...]
    audit: tuple[AuditEntry, ...]


def note_copies(view: View, pace: Pace) -> None:
    """Remember how much there is of each copy that is being made."""
    copying = {
        (placement.id, member.disk_id) for placement, member in view.model.members() if member.state != "in_sync"
    }
    pace.keep(copying)
    for placement_id, disk_id in copying:
        for held in view.held_by_placement.get(placement_id, ()):
            if held.disk_id == disk_id:
                pace.note((placement_id, disk_id), held.size, view.now)


def make_board(view: View, status: Status, pace: Pace, audit: Sequence[AuditEntry], *, term: int, at: float) -> Board:
    """The board at one moment."""
    placements = view.model.placements
    hosts = sorted(
        status.hosts,
        key=lambda each: (_ORDER[each.state], each.drill != "failed", -_age(each), each.namespace, each.host),
    )
    jobs = [
        _job(view, placement, member, pace) for placement, member in view.model.members() if member.state != "in_sync"
    ]
    by_server = {each.id: tuple(disk for disk in status.disks if disk.server == each.id) for each in status.servers}
    level, summary = judge(status)
    return Board(
        at=at,
        term=term,
        level=level,
        summary=summary,
        fleet=status.fleet,
        version=status.version,
        recovering=status.recovering,
        servers=tuple(
            ServerCard(each, tuple(sorted(by_server[each.id], key=lambda disk: (len(disk.disk), disk.disk))))
            for each in status.servers
        ),
        hosts=tuple(HostCard(each, _copies(view, placements[each.placement])) for each in hosts),
        degraded=sum(each.objects for each in status.hosts if each.state != "protected"),
        jobs=tuple(sorted(jobs, key=lambda each: (each.namespace, each.host, each.target))),
        risks=_risks(status, jobs),
        waiting=status.waiting,
        orphans=status.orphans,
        short=status.short,
        forgotten=status.forgotten,
        audit=tuple(audit),
    )


def judge(status: Status) -> tuple[Level, str]:
    """How bad it is, and the sentence that says it."""
    lost = sum(each.state == "unreadable" for each in status.hosts)
    degraded = sum(each.state == "degraded" for each in status.hosts)
    dead = sum(not each.alive for each in status.servers)
    bad = sum(each.state == "bad" for each in status.disks)
    failed = sum(each.drill == "failed" for each in status.hosts)
    parts = [
        *([f"{spell_count(lost, 'host')} cannot be read"] if lost else []),
        *([f"{spell_count(degraded, 'host')} with too few good copies"] if degraded else []),
        *([f"{spell_count(dead, 'server')} dead"] if dead else []),
        *([f"{spell_count(bad, 'disk')} bad"] if bad else []),
        *([f"the restore drill of {spell_count(failed, 'host')} failed"] if failed else []),
        *([f"few epochs are left of {spell_count(len(status.short), 'host')}"] if status.short else []),
        *(["the map is being rebuilt from the disks"] if status.recovering else []),
    ]
    if parts:
        return "bad" if lost else "warning", "; ".join(parts) + "."
    if not status.servers:
        return "warning", "No storage server was heard of yet."
    if not status.hosts:
        return "good", "All servers and disks are well. No host has a backup yet."
    return "good", f"All is well: {spell_count(len(status.hosts), 'host')} with all copies."


def _age(host: HostStatus) -> float:
    return float("inf") if host.age is None else host.age


def _held(view: View, placement: Placement, disk_id: str) -> Held | None:
    return next((each for each in view.held_by_placement.get(placement.id, ()) if each.disk_id == disk_id), None)


def _copies(view: View, placement: Placement) -> tuple[CopyCard, ...]:
    cards = []
    for member in sorted(placement.members, key=lambda each: each.server != placement.leader):
        held = _held(view, placement, member.disk_id)
        disk_state = view.state(member)
        cards.append(
            CopyCard(
                server=member.server,
                disk=member.disk,
                leads=member.server == placement.leader,
                state=member.state,
                disk_state=disk_state.value,
                serves=disk_state in SERVING,
                objects=held.objects if held else None,
                size=held.size if held else None,
            )
        )
    return tuple(cards)


def _job(view: View, placement: Placement, member: Member, pace: Pace) -> CopyJob:
    whole = [held.size for each in placement.in_sync() if (held := _held(view, placement, each.disk_id)) is not None]
    size = max(whole, default=None)
    there = _held(view, placement, member.disk_id)
    left = None if size is None else max(0, size - (there.size if there else 0))
    rate = pace.rate((placement.id, member.disk_id), view.now)
    leader = placement.member(placement.leader)
    return CopyJob(
        namespace=placement.namespace,
        host=placement.host,
        source=f"{leader.server}/{leader.disk}" if leader else placement.leader,
        target=f"{member.server}/{member.disk}",
        size=size,
        left=left,
        seconds=left / rate if left is not None and rate else None,
    )


def _risks(status: Status, jobs: Sequence[CopyJob]) -> tuple[RiskCard, ...]:
    """Which server's failure would cost what, the worst first."""
    ends: dict[str, float] = {}
    for job in jobs:
        if job.seconds is not None:
            name = f"{job.namespace}/{job.host}"
            ends[name] = min(job.seconds, ends.get(name, job.seconds))
    cards = []
    for risk in status.risks:
        known = [ends[each] for each in risk.unreadable if each in ends]
        seconds = max(known) if known and len(known) == len(risk.unreadable) else None
        cards.append(RiskCard(risk.server, risk.unreadable, risk.objects, risk.size, seconds))
    return tuple(sorted(cards, key=lambda each: (-len(each.hosts), -each.size, each.server)))
