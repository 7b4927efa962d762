"""Placements that end: their bucket was deleted, and they have been empty for a while. Pure."""

from __future__ import annotations

from drystone.fleet.documents import Placement
from drystone.fleet.mapping.model import Change, PlacementRemoval
from drystone.fleet.mapping.view import View

_EMPTY_SECONDS = 120.0
"""Longer than a leader may have an older map, and than the time between two accounts of what the disks hold."""


class Endings:
    """Since when (monotonic seconds) each placement without a bucket was seen empty. Forgotten with the mapper."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def review(self, view: View) -> list[Change]:
        """Those that end now."""
        empty = {each.id: each for each in view.model.placements.values() if _is_empty(view, each)}
        self._since = {id_: self._since.get(id_, view.now) for id_ in empty}
        return [
            end(empty[id_], "its bucket was deleted")
            for id_, since in self._since.items()
            if view.now - since >= _EMPTY_SECONDS
        ]


def end(placement: Placement, why: str) -> PlacementRemoval:
    """The placement ends; what its disks hold is left over."""
    return PlacementRemoval(placement.id, placement.folder, placement.epoch, why)


def _is_empty(view: View, placement: Placement) -> bool:
    """Whether its bucket is gone, and every one of its disks has told that it holds nothing of it."""
    if placement.namespace in view.model.buckets:
        return False
    told = {disk_id for sighting in view.sightings.servers.values() for disk_id in sighting.told}
    held = view.held_by_placement.get(placement.id, ())
    return not any(each.objects for each in held) and all(each.disk_id in told for each in placement.members)
