"""Moving copies from full disks to emptier ones, a few at a time, when an operator asks for it. Pure.

A move is a third member for a while: it copies, and once it is in sync the one on the fullest disk goes
(decide.settle). A leader's copy is not moved: the lead is handed over first, and the next step is taken when the others
have compared themselves with the new leader.
"""

from __future__ import annotations

from dataclasses import dataclass

from drystone.fleet.documents import Member, Placement
from drystone.fleet.mapping.decide import lead, step
from drystone.fleet.mapping.epochs import is_spent
from drystone.fleet.mapping.model import PlacementChange
from drystone.fleet.mapping.places import find_place, fullness
from drystone.fleet.mapping.view import DiskState, View

_STEP = 0.05
"""Of fullness: disks that differ by less are even."""


@dataclass(frozen=True, slots=True)
class _Load:
    """How much a disk bears. :ivar full: 0 to 1. :ivar copies: on it. :ivar on_server: on all disks of its server."""

    full: float
    copies: int
    on_server: int


def decide_moves(view: View, moves: int) -> list[PlacementChange]:
    """The next moves, so that no more than `moves` are under way; none when the disks are even.

    :param moves: placements that may have a copy too many, or copies that are not in sync, at the same time.
    """
    settled = [each for each in view.model.placements.values() if _is_settled(view, each)]
    room = moves - (len(view.model.placements) - len(settled))
    loads = _find_loads(view)
    copies = sorted(
        ((placement, member) for placement in settled for member in placement.members),
        key=lambda both: (-loads[both[1].disk_id].full, -loads[both[1].disk_id].on_server, both[0].id),
    )
    # Followers first: a lead is handed over only where nothing else can be done, and so never to and fro.
    followers = [(placement, member) for placement, member in copies if member.server != placement.leader]
    leaders = [(placement, member) for placement, member in copies if member.server == placement.leader]
    return _take(view, followers, room, loads) or _take(view, leaders, room, loads)


def _take(
    view: View, copies: list[tuple[Placement, Member]], room: int, loads: dict[str, _Load]
) -> list[PlacementChange]:
    """Moves of these copies, the first that can be moved, one a placement, at most `room`."""
    changes: dict[str, PlacementChange] = {}
    for placement, member in copies:
        if len(changes) >= room:
            break
        if placement.id in changes:
            continue
        change = _move(view, placement, member, loads)
        if change is not None:
            changes[placement.id] = change
            view.reserve(change.placement)
            loads = _find_loads(view)
    return list(changes.values())


def _is_settled(view: View, placement: Placement) -> bool:
    """Whether all its copies are in sync on good disks, so that one can be given up for another."""
    return (
        len(placement.members) == view.rules.copies
        and not is_spent(placement)
        and all(each.state == "in_sync" and view.state(each) is DiskState.GOOD for each in placement.members)
    )


def _find_loads(view: View) -> dict[str, _Load]:
    """Disk id to what it bears, of all good disks."""
    disks = list(view.good_disks())
    on_server: dict[str, int] = {}
    for server, disk in disks:
        on_server[server] = on_server.get(server, 0) + view.copies_on(disk.disk_id)
    return {
        disk.disk_id: _Load(fullness(disk), view.copies_on(disk.disk_id), on_server[server]) for server, disk in disks
    }


def _move(view: View, placement: Placement, member: Member, loads: dict[str, _Load]) -> PlacementChange | None:
    """One more member where there is more room than `member` has; or the lead handed over, so that it can go next."""
    place = find_place(view, placement.policy, member.slot, [each.server for each in placement.members], placement)
    if place is None:
        return None
    here, there = loads[member.disk_id], loads[place.disk_id]
    if placement.policy == "exclusive":
        better = there.on_server + 1 < here.on_server and there.full <= here.full
    else:
        better = there.full + _STEP < here.full
    others = [each for each in placement.members if each != member]
    if not better or not others:
        return None
    origin = f"{member.server}/{member.disk}"
    if member.server == placement.leader:
        return lead(placement, others[0], f"{origin} is to be relieved")
    if any(loads[each.disk_id].full > here.full for each in others if each.server != placement.leader):
        return None  # that one would be given up in its place, and has its own turn
    added = (*placement.members, place.member(in_sync=False))
    return step(placement, added, f"a copy moves from {origin} to {place.server}/{place.disk}")
