"""What becomes of each placement when servers die, disks fail, copies are complete, disks are emptied: pure.

Held to two rules (docs/explanation/fleet.md): only a member that answers and has every acknowledged write becomes the
leader, one in sync if there is any; a change of the leader leaves only the new leader in sync.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import msgspec

from drystone.fleet.documents import Member, MemberState, Placement
from drystone.fleet.mapping.epochs import check_epoch, is_spent
from drystone.fleet.mapping.model import Change, PlacementChange, ServerChange
from drystone.fleet.mapping.places import count_by_server, find_place, fullness, missing_slot
from drystone.fleet.mapping.view import PRESENT, SERVING, STANDING, DiskState, View

_CHANGES_A_STEP = 5000
_COPIES_A_STEP = 200
_WORTH: tuple[MemberState, ...] = ("in_sync", "comparing", "copying")
"""The best first."""


def decide_servers(view: View) -> list[Change]:
    """Servers that died or came back."""
    changes: list[Change] = []
    for server in view.model.servers.values():
        alive = view.alive(server.id)
        if alive != server.alive and (not alive or view.sightings.heard(server.id)):
            why = "heard of again" if alive else f"silent for {view.rules.dead:g} s"
            changes.append(ServerChange(dataclasses.replace(server, alive=alive), why))
    return changes


def decide_placements(view: View, placements: Iterable[Placement]) -> list[PlacementChange]:
    """The next step of each placement that needs one, as many as can be found and committed in a moment.

    One step is one epoch. Failovers are quick to decide; new copies, for which all disks are looked at, are fewer.
    """
    changes: list[PlacementChange] = []
    copies = 0
    for placement in placements:
        if is_spent(placement):
            continue
        change = settle(view, placement, full=copies == _COPIES_A_STEP)
        if change is not None:
            changes.append(change)
            view.reserve(change.placement)
            copies += len(change.placement.members) > len(placement.members)
            if len(changes) == _CHANGES_A_STEP:
                break
    return changes


def settle(view: View, placement: Placement, *, full: bool = False) -> PlacementChange | None:
    """The next step of one placement; None when it is as it should be, or has to wait.

    :param full: no more copies are added for now.
    """
    states = {each.server: view.state(each) for each in placement.members}
    return (
        _follow_disks(view, placement, states)
        or _replace_leader(view, placement, states)
        or _give_up_members(view, placement, states)
        or _remove_surplus(view, placement, states)
        or (None if full else _add_member(view, placement, states))
    )


def lead(placement: Placement, heir: Member, why: str) -> PlacementChange:
    """Make `heir`, one of the members, the leader: it alone is in sync then.

    Others that have every acknowledged write still have it, if `heir` has.
    """
    complete = placement.complete() if heir.state != "copying" else ()
    others = (
        msgspec.structs.replace(each, state="comparing" if each in complete else "copying")
        for each in placement.members
        if each != heir
    )
    members = (msgspec.structs.replace(heir, state="in_sync"), *others)
    return step(placement, members, why, leader=heir.server)


def step(placement: Placement, members: Iterable[Member], why: str, *, leader: str = "") -> PlacementChange:
    """The placement's next epoch, with these members; the leader's is put first.

    :raises ExhaustedError: there is none.
    """
    check_epoch(placement)
    leading = leader or placement.leader
    ordered = tuple(sorted(members, key=lambda each: each.server != leading))
    after = msgspec.structs.replace(placement, epoch=placement.epoch + 1, leader=leading, members=ordered)
    return PlacementChange(after, placement.epoch, why)


def _follow_disks(view: View, placement: Placement, states: dict[str, DiskState]) -> PlacementChange | None:
    """Disks that were put into another server are copies there: what is on them is what it was.

    A leader's stays the leader's. Another is compared first: the server that it was in may have promised the leader not
    to lead, of which the one that it is in knows nothing. It has what it had: who was complete is so still. Where a
    server has two of a placement's disks then, the better one stays a member.
    """
    best: dict[str, tuple[tuple[bool, int], Member]] = {}
    leader = ""
    moved: list[str] = []
    for each in placement.members:
        record = view.model.disks.get(each.disk_id)
        there, absent = each, states[each.server] not in PRESENT
        if absent and record is not None and view.disk_state(record.server, each.disk_id) in SERVING:
            state = "comparing" if each.state == "in_sync" and each.server != placement.leader else each.state
            there = msgspec.structs.replace(each, server=record.server, disk=record.name, state=state)
            absent = False
            moved.append(f"{each.server}/{each.disk} is in {record.server} now")
        rank = (absent, _WORTH.index(there.state))
        if there.server not in best or rank < best[there.server][0]:
            best[there.server] = rank, there
            leader = there.server if each.server == placement.leader else leader
    members = [member for _, member in best.values()]
    if not moved or leader not in best or best[leader][1].state != "in_sync":
        return None
    return step(placement, members, ", ".join(moved), leader=leader)


def _replace_leader(view: View, placement: Placement, states: dict[str, DiskState]) -> PlacementChange | None:
    """Failover, when the leader's disk or server cannot serve and another complete member can; else it waits.

    One that was comparing itself with the leader has what was acknowledged and what was shown: it leads where none in
    sync can.
    """
    if states.get(placement.leader) in PRESENT:
        return None
    heirs = [each for each in placement.complete() if states[each.server] in SERVING and view.fresh(each.server)]
    if not heirs:
        return None
    why = _excuse(placement.leader, states)
    heir = min(heirs, key=lambda each: (each.state != "in_sync", states[each.server] is not DiskState.GOOD))
    present = tuple(each for each in placement.members if states[each.server] in PRESENT)
    left = msgspec.structs.replace(placement, members=present)
    return lead(left, heir, why)


def _give_up_members(view: View, placement: Placement, states: dict[str, DiskState]) -> PlacementChange | None:
    """Followers that are away or on bad disks are no members any more, so that no write waits for them.

    Whoever comes back is taken again, and compares what it has.
    """
    if states.get(placement.leader) not in SERVING or not view.fresh(placement.leader):
        return None
    gone = [each for each in placement.members if states[each.server] not in PRESENT]
    if not gone:
        return None
    kept = [each for each in placement.members if each not in gone]
    return step(placement, kept, ", ".join(_excuse(each.server, states) for each in gone))


def _excuse(server: str, states: dict[str, DiskState]) -> str:
    return f"{server} {'has a bad disk' if states.get(server) is DiskState.BAD else 'is silent'}"


def _add_member(view: View, placement: Placement, states: dict[str, DiskState]) -> PlacementChange | None:
    """One more copy, where fewer stand than there should be. Only a leader that serves can give its data."""
    if states.get(placement.leader) not in SERVING:
        return None
    standing = [server for server, state in states.items() if state in STANDING]
    if len(standing) + len(view.awaited(placement)) >= view.rules.copies:
        return None
    place = find_place(view, placement.policy, missing_slot(placement, standing), states, placement)
    if place is None:
        return None
    return step(placement, (*placement.members, place.member(in_sync=False)), f"a copy for {place.server}")


def _remove_surplus(view: View, placement: Placement, states: dict[str, DiskState]) -> PlacementChange | None:
    """Once enough copies on good disks are in sync, the others go; a leader on a disk that is emptied hands over."""
    sound = [each for each in placement.in_sync() if states[each.server] is DiskState.GOOD]
    if len(sound) < view.rules.copies or len(placement.members) == len(sound) == view.rules.copies:
        return None
    if states.get(placement.leader) is not DiskState.GOOD:
        return lead(placement, sound[0], f"{placement.leader}'s disk is to be emptied")
    counts = count_by_server(view)
    while len(sound) > view.rules.copies:
        followers = [each for each in sound if each.server != placement.leader]
        sound.remove(max(followers, key=lambda each: _load(view, each, counts)))  # of equals the one that came first
    return step(placement, sound, "enough copies are in sync")


def _load(view: View, member: Member, counts: dict[str, int]) -> tuple[float, int, int]:
    """How much a copy's disk bears: its fullness, copies on its server, copies on it."""
    report = view.sightings.disk(member.server, member.disk_id)
    full = 1.0 if report is None else fullness(report)
    return full, counts.get(member.server, 0), len(view.model.on_disk.get(member.disk_id, {}))
