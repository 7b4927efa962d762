"""The map out of what the disks hold, after the database was lost or put back to an older state. Pure.

For each placement the highest epoch that any disk knows counts, if every member that was complete in it was read;
otherwise the placement waits: a disk that is missing may know more. A server's word counts once it knows the term of
the mapper that asks, as it then refuses whatever an earlier mapper may have decided and it has not learned.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from drystone.fleet.documents import Bucket, Placement
from drystone.fleet.mapping.epochs import is_spent, measure_leap, measure_overruling
from drystone.fleet.mapping.model import BucketChange, Change, KeyChange, PlacementChange
from drystone.fleet.mapping.view import View


@dataclass(frozen=True, slots=True)
class Waiting:
    """A placement that the disks know better than the database, and that cannot be taken over yet.

    :ivar missing: ids of disks that were complete and must be read first.
    """

    placement: Placement
    missing: tuple[str, ...]


def find_newer(view: View) -> dict[str, Placement]:
    """Placements that a disk knows in a higher epoch than the database, by id, in the highest that is known.

    Of several that disks know of a host which the database does not, it is the one with the newest object: another had
    ended before the host was placed again.
    """
    newest: dict[str, Placement] = {}
    stored: dict[str, tuple[float, int]] = {}
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
        stored[placement.id] = max(stored.get(placement.id, (0.0, 0)), (held.newest, held.objects))
    chosen: dict[tuple[str, str], str] = {}
    for id_, placement in newest.items():
        host = placement.namespace, placement.host
        chosen[host] = max(chosen.get(host, id_), id_, key=lambda each: (stored[each], newest[each].epoch, each))
    return {id_: newest[id_] for id_ in chosen.values()}


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
    return PlacementChange(after, placement.epoch, why, led_past=True)


def rebuild(view: View, term: int, wall: float) -> tuple[list[Change], list[Waiting]]:
    """What can be taken over now, and what has to wait.

    :param term: our own. :param wall: seconds since 1970.
    """
    waiting: list[Waiting] = []
    known: list[Placement] = []
    read = find_read(view, term)
    for placement in find_newer(view).values():
        missing = tuple(each.disk_id for each in placement.complete() if each.disk_id not in read)
        if missing:
            waiting.append(Waiting(placement, missing))
        else:
            known.append(placement)
    return _take_over(view, known, measure_leap(term), "as the disks know it", wall), waiting


def overrule(view: View, doubtful: Sequence[Placement], term: int, why: str, wall: float) -> list[Change]:
    """What ends a rebuilding: what waits is taken over as far as it is known, as are the doubtful of the database, and
    led past whatever a disk that is missing may know."""
    newer = find_newer(view)
    epochs = measure_overruling(term)
    return [
        *_take_over(view, newer.values(), epochs, why, wall),
        *(leap(each, epochs, why) for each in doubtful if each.id not in newer),
    ]


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

    Whoever made a change in a newer epoch was complete in the one before, and knows the newer one. So when all that are
    complete in an epoch were read, and know none above it, nothing was changed in any. That a member is in sync a disk
    may know better than the database does in the same epoch.
    """
    read = find_read(view, term)
    newer = find_newer(view)
    known = dict(view.model.placements)
    for _, _, held in view.sightings.held():
        own = known.get(held.placement.id)
        if own is not None and own.epoch == held.placement.epoch:
            known[own.id] = _merge(own, held.placement)
    return [
        each
        for each in known.values()
        if each.id not in newer and all(member.disk_id in read for member in each.complete())
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


def _take_over(view: View, known: Iterable[Placement], epochs: int, why: str, wall: float) -> list[Change]:
    """Placements as the disks know them, so many epochs later; buckets and keys as a server knew them, and buckets of
    the placements where there are none."""
    changes = _restore_names(view)
    buckets = {*view.model.buckets, *(each.bucket.name for each in changes if isinstance(each, BucketChange))}
    for placement in known:
        if placement.namespace not in buckets:
            buckets.add(placement.namespace)
            bucket = Bucket(placement.namespace, placement.policy, "", wall)
            changes.append(BucketChange(bucket, "found on the disks"))
        own = view.model.placements.get(placement.id)
        before = 0 if own is None else own.epoch
        if is_spent(placement):  # nothing is decided about it in any epoch
            changes.append(PlacementChange(placement, before, why))
        else:
            changes.append(dataclasses.replace(leap(placement, epochs, why), before=before))
    return changes


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
