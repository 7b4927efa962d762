"""Where new copies go: slots of disks of their own (`exclusive`), or disks that are shared by how full they are."""

from __future__ import annotations

from collections.abc import Iterable

from drystone.base.errors import ExhaustedError, UnavailableError
from drystone.fleet.documents import DiskReport, Placement, Policy, Slot
from drystone.fleet.mapping.view import Place, View

_RESERVE = 0.05
"""Of a shared disk's capacity that stays free."""
_FULLNESS_STEPS = 20
"""Disks whose fullness differs by less than a step count as equally full, so that the number of copies decides."""


def find_place(
    view: View, policy: Policy, slot: Slot, taken: Iterable[str], placement: Placement | None
) -> Place | None:
    """The best place for one more copy; None when there is none.

    A disk that has old data of the placement is best: it need not be copied again.

    :param taken: servers that have a copy already.
    """
    used = set(taken)
    data = _find_data(view, placement)
    best: tuple[tuple[object, ...], Place] | None = None
    counts = count_by_server(view)
    for server, disk in view.good_disks():
        if server in used or (placement is not None and view.sightings.paused(placement.id, server, view.now)):
            continue
        copies = view.copies_on(disk.disk_id)
        if policy == "exclusive":
            if view.slot_taken(disk.disk_id, slot):
                continue
            others = _has_other_data(view, disk.disk_id, slot, placement)
            load: tuple[object, ...] = (others, counts.get(server, 0), copies)
        else:
            if disk.disk_id not in data and not _has_room(disk, view, placement):
                continue
            load = (round(fullness(disk) * _FULLNESS_STEPS), copies, counts.get(server, 0))
        rank = (disk.disk_id not in data, *load, server, disk.name)
        if best is None or rank < best[0]:
            best = rank, Place(server, disk.name, disk.disk_id, slot)
    return None if best is None else best[1]


def find_first_places(view: View, policy: Policy) -> list[Place]:
    """Places for all copies of a new placement, the leader's first; fewer than wanted when servers are away.

    :raises UnavailableError: no server was heard of. :raises ExhaustedError: no disk has room.
    """
    found: list[Place] = []
    for number in range(view.rules.copies):
        place = find_place(view, policy, "secondary" if number else "primary", [each.server for each in found], None)
        if place is None:
            break
        found.append(place)
    if found and (len(found) == view.rules.copies or not _has_more_servers(view, found)):
        return found
    if not any(True for _ in view.good_disks()):
        raise UnavailableError("no storage server with a good disk was heard of", hint="try again")
    raise ExhaustedError(
        "no spare slot is left" if policy == "exclusive" else "no disk has room", hint="add disks or servers"
    )


def missing_slot(placement: Placement, staying: Iterable[str]) -> Slot:
    """The slot that a new copy takes, when the copies on the servers `staying` stay."""
    kept = {each.slot for each in placement.members if each.server in set(staying)}
    return "secondary" if "primary" in kept else "primary"


def _has_more_servers(view: View, found: list[Place]) -> bool:
    """Whether there are good disks in servers that have no copy yet: then it is room that lacks, not servers."""
    used = {each.server for each in found}
    return any(server not in used for server, _ in view.good_disks())


def _find_data(view: View, placement: Placement | None) -> set[str]:
    """Ids of the disks that hold data of the placement."""
    if placement is None:
        return set()
    return {held.disk_id for held in view.held_by_placement.get(placement.id, ())}


def _has_other_data(view: View, disk_id: str, slot: Slot, placement: Placement | None) -> bool:
    """Whether something else is left over in the slot, which an operator may want back."""
    own = None if placement is None else placement.id
    return any(
        held.slot == slot and held.placement.id != own and held.objects for held in view.held_by_disk.get(disk_id, ())
    )


def count_by_server(view: View) -> dict[str, int]:
    """Server to the number of copies on its disks."""
    return {
        server: sum(view.copies_on(disk_id) for disk_id in sighting.disks or {})
        for server, sighting in view.sightings.servers.items()
    }


def _has_room(disk: DiskReport, view: View, placement: Placement | None) -> bool:
    """Whether a shared disk has room for the placement's bytes beside its reserve."""
    size = 0
    if placement is not None:
        size = max((held.size for held in view.held_by_placement.get(placement.id, ())), default=0)
    return disk.free - size > disk.capacity * _RESERVE


def fullness(disk: DiskReport) -> float:
    """0 to 1; a disk that does not say counts as full."""
    return 1 - disk.free / disk.capacity if disk.capacity else 1.0
