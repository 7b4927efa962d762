"""Whether copies that count as in sync are equal, at moments when they must be."""

from __future__ import annotations

from drystone.fleet.documents import Placement
from drystone.testing.fleet.world.history import HistoryError
from drystone.testing.fleet.world.shelf import Shelf
from drystone.testing.fleet.world.world import World


def check_copies(world: World) -> int:
    """Compare all copies that the database has as in sync, where their leader has nothing under way; their number.

    Nobody could be told by this that a rule was broken: but it is where a wrong answer begins, long before a failover
    lets a client see it.

    :raises HistoryError: two differ.
    """
    compared = 0
    shelves = {disk.id: disk.shelves for node in world.nodes for disk in node.disks}
    if world.database.model.recovering or world.database.put_back:
        return 0
    for placement in world.database.model.placements.values():
        copies = {
            each.server: shelves[each.disk_id][placement.id]
            for each in placement.in_sync()
            if placement.id in shelves.get(each.disk_id, {})
        }
        own = copies.get(placement.leader)
        if own is None or not _is_idle(own, placement):
            continue
        for server, shelf in copies.items():
            compared += 1
            if shelf.entries != own.entries and shelf.live() != own.live():
                raise HistoryError(
                    f"{server} differs from {placement.leader} in {placement.id}, epoch {placement.epoch}, at "
                    f"{world.timeline.time:.3f}: {_spell(shelf, own)}"
                )
    return compared


def _is_idle(shelf: Shelf, placement: Placement) -> bool:
    """Whether the leader's copy knows the newest epoch, and no change is under way or was given up."""
    return shelf.placement.epoch == placement.epoch and not shelf.intents and not shelf.dirty


def _spell(one: Shelf, other: Shelf) -> str:
    """`k1 (v3, 5:1) and (nothing, 6:2)`."""
    keys = sorted(one.live().keys() | other.live().keys())
    return ", ".join(f"{key} {one.find(key)} and {other.find(key)}" for key in keys if one.find(key) != other.find(key))
