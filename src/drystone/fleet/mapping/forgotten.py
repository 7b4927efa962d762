"""Hosts that were forgotten: what disks still hold of them can be had back until it is deleted. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from drystone.base.errors import ExhaustedError, ExistsError, NotFoundError, UnavailableError
from drystone.fleet.documents import Member, Placement
from drystone.fleet.mapping.audit import name_placement
from drystone.fleet.mapping.decide import lead
from drystone.fleet.mapping.model import PlacementChange
from drystone.fleet.mapping.view import SERVING, View


@dataclass(frozen=True, slots=True)
class Forgotten:
    """A placement that has ended, as the disks know it in its highest epoch.

    :ivar objects: keys, :ivar size: bytes that a disk holds of it. :ivar until: seconds since 1970, when it may be
        deleted. :ivar held_on: ids of the disks that hold it.
    """

    placement: Placement
    objects: int
    size: int
    until: float
    held_on: frozenset[str]


def find_forgotten(view: View) -> list[Forgotten]:
    """All of which something is left and nothing is being deleted, in the order of their names."""
    found: list[Forgotten] = []
    for id_, held in view.held_by_placement.items():
        if id_ not in view.model.removed or not any(each.objects for each in held):
            continue
        left = view.given_up(held[0].placement)
        if not left or any(each.due for each in left):
            continue
        found.append(
            Forgotten(
                max((each.placement for each in held), key=lambda each: each.epoch),
                max(each.objects for each in held),
                max(each.size for each in held),
                max(each.since for each in left) + view.rules.forgotten,
                frozenset(each.disk_id for each in held),
            )
        )
    return sorted(found, key=lambda each: (each.placement.namespace, each.placement.host, -each.until))


def recall(view: View, namespace: str, host: str, epochs: int) -> PlacementChange:
    """A forgotten host's placement again, led by a member that was in sync; the others compare themselves with it.

    :param epochs: that are left out: no server may have a newer one.
    :raises ExistsError: the host has another placement since. :raises NotFoundError: nothing of it is left, or its
        bucket is not there. :raises UnavailableError: no disk serves that has it whole. :raises ExhaustedError: its
        slots are others' now, or its epochs are used up.
    """
    if view.model.find(namespace, host) is not None:
        raise ExistsError(f"{namespace}/{host} has a placement", hint="forget that first")
    if namespace not in view.model.buckets:
        raise NotFoundError(f"there is no bucket {namespace!r}", hint="make it first")
    known = [
        each for each in find_forgotten(view) if (each.placement.namespace, each.placement.host) == (namespace, host)
    ]
    if not known:
        raise NotFoundError(f"nothing is left of {namespace}/{host}, or it is being deleted")
    newest = max(known, key=lambda each: each.until)
    placement = newest.placement
    whole = [each for each in placement.in_sync() if each.disk_id in newest.held_on and view.state(each) in SERVING]
    if not whole:
        raise UnavailableError(f"no disk serves that has {name_placement(placement)} whole")
    free = [each for each in whole if _is_free(view, placement, each)]
    if not free:
        raise ExhaustedError(f"the slots of {name_placement(placement)} are others' now", hint="empty a disk")
    heir = min(free, key=lambda each: each.server != placement.leader)
    # What is left over is deleted little by little: the others may lack what they had.
    members = tuple(each if each is heir else msgspec.structs.replace(each, state="copying") for each in free)
    led = lead(msgspec.structs.replace(placement, members=members), heir, "").placement
    after = msgspec.structs.replace(led, epoch=led.epoch + epochs)
    return PlacementChange(after, 0, "remembered by an operator")


def _is_free(view: View, placement: Placement, member: Member) -> bool:
    """Whether a copy may be where it was."""
    return placement.policy == "shared" or not view.slot_taken(member.disk_id, member.slot)
