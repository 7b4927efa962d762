"""Data of a placement on disks that are no members of it: kept for a while, then deleted. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from drystone.fleet.documents import Placement
from drystone.fleet.mapping.model import Change, Leftover, LeftoverChange, Model, PlacementChange, PlacementRemoval
from drystone.fleet.mapping.view import SERVING, View

_GRACE = 60.0
"""Seconds for which a leftover stays noted though the disk does not have it."""


def with_leftovers(model: Model, changes: Iterable[Change], wall: float) -> list[Change]:
    """The changes, and what they leave over or take up again.

    :param wall: seconds since 1970.
    """
    result: list[Change] = []
    for change in changes:
        result.append(change)
        if isinstance(change, PlacementChange):
            own = {each.disk_id for each in change.placement.members}
            old = model.placements.get(change.placement.id)
        elif isinstance(change, PlacementRemoval):
            own = set()
            old = model.placements.get(change.id)
        else:
            continue
        id_ = change.id if isinstance(change, PlacementRemoval) else change.placement.id
        known = [model.leftovers[id_, disk_id] for disk_id in sorted(own) if (id_, disk_id) in model.leftovers]
        result.extend(LeftoverChange(each, "is a copy again", gone=True) for each in known)
        given_up = [each.disk_id for each in (old.members if old is not None else ()) if each.disk_id not in own]
        result.extend(LeftoverChange(Leftover(id_, each, wall), "is no copy any more") for each in given_up)
    return result


def review_leftovers(view: View, wall: float) -> list[Change]:
    """Leftovers that were seen first, may be deleted now, must stay after all, or are gone."""
    changes: list[Change] = []
    seen: set[tuple[str, str]] = set()
    model = view.model
    for _, _, held in view.sightings.held():
        key = (held.placement.id, held.disk_id)
        placement = model.placements.get(held.placement.id)
        if placement is None and held.placement.id not in model.removed:
            continue
        if placement is not None and any(each.disk_id == held.disk_id for each in placement.members):
            continue
        seen.add(key)
        if key not in model.leftovers:
            changes.append(LeftoverChange(Leftover(*key, wall), "found on a disk"))
    told = {disk_id for sighting in view.sightings.servers.values() for disk_id in sighting.told}
    for key, leftover in model.leftovers.items():
        if key not in seen and leftover.disk_id in told:
            # A minute's grace: what the server held may have been told before the copy was given up.
            if wall - leftover.since > _GRACE:
                changes.append(LeftoverChange(leftover, "is not on the disk any more", gone=True))
            continue
        placement = model.placements.get(leftover.placement)
        kept = view.rules.forgotten if placement is None else view.rules.leftover
        due = wall - leftover.since >= kept and _is_safe(view, placement)
        if due != leftover.due:
            why = "may be deleted" if due else "is kept, as copies are missing"
            changes.append(LeftoverChange(dataclasses.replace(leftover, due=due), why))
    return changes


def _is_safe(view: View, placement: Placement | None) -> bool:
    """Whether the placement has ended, or has all its copies on disks that serve."""
    if placement is None:
        return True
    return sum(view.state(each) in SERVING for each in placement.in_sync()) >= view.rules.copies
