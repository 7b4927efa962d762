"""The map out of what the disks hold, after the database was lost or put back to an older state. Pure.

For each placement the highest epoch that any disk knows counts, if every member that was in sync in it was read;
otherwise the placement waits: a disk that is missing may know more. A server's word counts once it knows the term of
the mapper that asks, as it then refuses whatever an earlier mapper may have decided and it has not learned.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from drystone.fleet.documents import Bucket, Placement
from drystone.fleet.mapping.model import BucketChange, Change, KeyChange, PlacementChange
from drystone.fleet.mapping.view import View

_LEAP = 1000
"""Epochs that are left out at least: what the lost database decided and nobody learned was in one of them, if anywhere.
"""
_LEAPS, _APART = 61, 64
"""Leaps of different lengths, so many epochs from each other: two rebuildings that begin at the same epoch come to
different ones. Short ones, as each mapper that takes over a rebuilding leaps, and epochs have 23 bits."""
_FARTHER = 20_000
"""Epochs: more than a database that was lost can be ahead, with a rebuilding of its own."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A placement that the disks know better than the database, and that cannot be taken over yet.

    :ivar missing: ids of disks that were in sync and must be read first.
    """

    placement: Placement
    missing: tuple[str, ...]


def find_newer(view: View) -> dict[str, Placement]:
    """Placements that a disk knows in a higher epoch than the database, by id, in the highest that is known."""
    newest: dict[str, Placement] = {}
    for _, _, held in view.sightings.held():
        placement = held.placement
        own = view.model.find(placement.namespace, placement.host)
        if placement.id in view.model.removed or (own is not None and own.id != placement.id):
            continue
        if own is not None and own.epoch >= placement.epoch:
            continue
        best = newest.get(placement.id)
        if best is None or placement.epoch > best.epoch:
            newest[placement.id] = placement
        elif placement.epoch == best.epoch:
            newest[placement.id] = _merge(best, placement)
    return newest


def find_orphans(view: View) -> list[Placement]:
    """Placements on disks whose host has another one in the database: left alone, for people to look at."""
    found: dict[str, Placement] = {}
    for _, _, held in view.sightings.held():
        own = view.model.find(held.placement.namespace, held.placement.host)
        if own is not None and own.id != held.placement.id and held.placement.id not in view.model.removed:
            found[held.placement.id] = held.placement
    return list(found.values())


def leap(placement: Placement, epochs: int, why: str) -> PlacementChange:
    """The placement as it is, so many epochs later: whatever was decided in those between is overruled."""
    after = msgspec.structs.replace(placement, epoch=placement.epoch + epochs)
    return PlacementChange(after, placement.epoch, why)


def measure_leap(term: int) -> int:
    """How many epochs a rebuilding in this term leaves out. Terms differ by a random number each time."""
    return _LEAP + _APART * (term % _LEAPS)


def measure_overruling(term: int) -> int:
    """How many are left out where a disk that is missing may know more."""
    return _FARTHER + measure_leap(term)


def rebuild(view: View, term: int, wall: float) -> tuple[list[Change], list[Waiting]]:
    """What can be taken over now, and what has to wait.

    :param term: our own. :param wall: seconds since 1970.
    """
    changes = _restore_names(view)
    waiting: list[Waiting] = []
    made = {each.bucket.name for each in changes if isinstance(each, BucketChange)}
    read = find_read(view, term)
    for placement in find_newer(view).values():
        missing = tuple(each.disk_id for each in placement.in_sync() if each.disk_id not in read)
        if missing:
            waiting.append(Waiting(placement, missing))
        else:
            if placement.namespace not in view.model.buckets and placement.namespace not in made:
                made.add(placement.namespace)
                bucket = Bucket(placement.namespace, placement.policy, "", wall)
                changes.append(BucketChange(bucket, "found on the disks"))
            after = msgspec.structs.replace(placement, epoch=placement.epoch + measure_leap(term))
            own = view.model.placements.get(placement.id)
            before = 0 if own is None else own.epoch
            changes.append(PlacementChange(after, before, "as the disks know it"))
    return changes, waiting


def find_read(view: View, term: int) -> set[str]:
    """Ids of the disks whose server has told this mapper what they hold."""
    return {
        disk_id
        for sighting in view.sightings.servers.values()
        if sighting.held is not None and sighting.held_term == term
        for disk_id in sighting.told
    }


def find_certain(view: View, term: int) -> list[Placement]:
    """Placements that may be decided about while the map is being rebuilt: nobody knows a newer epoch.

    Whoever made a change in a newer epoch was in sync in the one before, and knows the newer one. So when all that are
    in sync in an epoch were read, and know none above it, nothing was changed in any.
    """
    read = find_read(view, term)
    newer = find_newer(view)
    return [
        each
        for each in view.model.placements.values()
        if each.id not in newer and all(member.disk_id in read for member in each.in_sync())
    ]


def unheard(view: View, term: int) -> set[str]:
    """Servers that have not told this mapper what they hold, of those that anybody knows of."""
    known = set(view.model.servers) | view.rules.servers
    for _, _, held in view.sightings.held():
        known.update(each.server for each in held.placement.members)
    told = {
        server
        for server, sighting in view.sightings.servers.items()
        if sighting.held is not None and sighting.held_term == term
    }
    return known - told


def _restore_names(view: View) -> list[Change]:
    """Buckets and keys of the newest account that a server has, which the database does not have."""
    known = view.sightings.known
    if known is None:
        return []
    buckets = [each for each in known.buckets if each.name not in view.model.buckets]
    keys = [each for each in known.keys if each.access_key not in view.model.keys]
    why = "as a server knew it"
    return [*(BucketChange(each, why) for each in buckets), *(KeyChange(each, why) for each in keys)]


def _merge(one: Placement, other: Placement) -> Placement:
    """Two accounts of one epoch: a leader counts members as in sync before the mapper is told."""
    synced = {each.server for placement in (one, other) for each in placement.in_sync()}
    members = tuple(
        msgspec.structs.replace(each, state="in_sync") if each.server in synced else each for each in one.members
    )
    return msgspec.structs.replace(one, members=members)
