"""Which dpvs the legs of a group go to.

Two legs of one mirror are never on one dpv, nor in one location. For one group: when there is a way at all, one is
found. First the legs are spread, on the dpvs that have the fewest of this volume, then the most room; where that leads
nowhere, every mirror takes the locations with the most places left. That greedy rule is complete for legs of one size:
k mirrors of m legs fit exactly when min(places, k), summed over the locations, is k * m or more, and taking from the
fullest keeps that true for the mirrors that are left.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from drystone.base.errors import ExhaustedError
from drystone.cluster.model.dlv import Dlv, Group, Leg
from drystone.cluster.model.dpv import Dpv

Place = tuple[str, str]


def allocate(
    groups: Sequence[Group], mirrors: int, dpvs: Sequence[Dpv], existing: Sequence[Leg], make_id: Callable[[], str]
) -> tuple[Leg, ...]:
    """Legs for all `groups`, the largest groups first, on those of `dpvs` that are available.

    :param mirrors: legs of each mirror. :param existing: the volume's legs already, for spreading.
    :raises ExhaustedError: there is no way for a group; nothing is given out then.
    """
    usable = [dpv for dpv in dpvs if dpv.takes_legs]
    free = {dpv.name: dpv.free for dpv in usable}
    loads = Counter(leg.dpv for leg in existing)
    legs: list[Leg] = []
    for group in sorted(groups, key=lambda each: (-each.extents, each.number)):
        chosen = _spread(group, mirrors, usable, free, loads) or _pack(group, mirrors, usable, free)
        if chosen is None:
            raise _no_room(group, mirrors, usable, free)
        for stripe, names in enumerate(chosen):
            for place, name in enumerate(names):
                free[name] -= group.extents
                loads[name] += 1
                legs.append(
                    Leg(
                        id=make_id(), group=group.number, stripe=stripe, place=place, dpv=name, extents=group.extents
                    )
                )  # fmt: skip
    return tuple(sorted(legs, key=lambda leg: (leg.group, leg.stripe, leg.place)))


def replacement(dlv: Dlv, lost: Leg, dpvs: Sequence[Dpv], make_id: Callable[[], str]) -> Leg:
    """A blank leg for the place of a lost one: where no other leg of its mirror is, on the dpv with the fewest legs.

    A leg that `lost` is to succeed does not count: it is given up.

    :raises ExhaustedError: there is no room.
    """
    places = {dpv.name: dpv.place for dpv in dpvs}
    mine = dlv.legs_of(lost.mirror)
    taken = {places.get(leg.dpv) for leg in mine if leg.id not in {lost.id, lost.instead_of}}
    names = {leg.dpv for leg in mine}
    loads = Counter(leg.dpv for leg in dlv.legs)
    able = [
        dpv
        for dpv in dpvs
        if dpv.takes_legs and dpv.free >= lost.extents and dpv.place not in taken and dpv.name not in names
    ]
    if not able:
        raise ExhaustedError(
            f"there is no room for another leg of mirror {lost.mirror} of dlv {dlv.name}: {lost.extents} extents in a "
            "location of its own",
            hint="add a dpv to the group",
        )
    chosen = min(able, key=lambda dpv: (loads[dpv.name], -dpv.free, dpv.name))
    return Leg(
        id=make_id(), group=lost.group, stripe=lost.stripe, place=lost.place, dpv=chosen.name, extents=lost.extents,
        in_sync=False,
    )  # fmt: skip


def _spread(
    group: Group, mirrors: int, dpvs: Sequence[Dpv], free: dict[str, int], loads: Counter[str]
) -> list[list[str]] | None:
    """One mirror after the other onto the dpvs with the fewest legs of this volume; None: it leads nowhere."""
    left = dict(free)
    load = Counter(loads)
    chosen: list[list[str]] = []
    for _ in range(group.stripes):
        names: list[str] = []
        places: set[Place] = set()
        for dpv in sorted(dpvs, key=lambda each: (load[each.name], -left[each.name], each.name)):
            if len(names) < mirrors and left[dpv.name] >= group.extents and dpv.place not in places:
                names.append(dpv.name)
                places.add(dpv.place)
        if len(names) < mirrors:
            return None
        for name in names:
            left[name] -= group.extents
            load[name] += 1
        chosen.append(names)
    return chosen


def _pack(group: Group, mirrors: int, dpvs: Sequence[Dpv], free: dict[str, int]) -> list[list[str]] | None:
    """Every mirror onto the locations that have the most places left; None: there is no way."""
    places: dict[Place, list[str]] = defaultdict(list)
    for dpv in sorted(dpvs, key=lambda each: each.name):
        places[dpv.place] += [dpv.name] * min(free[dpv.name] // group.extents, group.stripes)
    chosen: list[list[str]] = []
    for _ in range(group.stripes):
        fullest = heapq.nlargest(mirrors, places, key=lambda place: len(places[place]))
        if len(fullest) < mirrors or not places[fullest[-1]]:
            return None
        chosen.append([places[place].pop() for place in fullest])
    return chosen


def _no_room(group: Group, mirrors: int, dpvs: Sequence[Dpv], free: dict[str, int]) -> ExhaustedError:
    able = {dpv.place for dpv in dpvs if free[dpv.name] >= group.extents}
    return ExhaustedError(
        f"there is no room for the {group.role} group: {group.stripes * mirrors} legs of {group.extents} extents, the "
        f"{mirrors} of a mirror in different locations; {len(able)} locations have room for one",
        hint="add dpvs to the group, or ask for fewer mirrors or a smaller initial size",
        locations=len(able),
        extents=group.extents,
    )
