"""Which free extents a volume gets: four policies behind one small interface.

    contiguous   one run; when a volume grows, right after its last extent
    cling        only on devices that the volume uses already; a new one stays on a single device
    spread       as evenly over the devices as they have room
    anywhere     wherever there is room, in the order of the devices, fewest runs first

A policy places one leg: `POLICIES[name](room, leg)` gives runs of the free extents in `room`, or None when they do not
suffice. `allocate` serves several legs at once and keeps them on different devices, whatever the policy: a stripe that
shares a disk gains nothing, a mirror that does so loses its purpose. Nothing here changes a group.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from drystone.base.errors import ExhaustedError, UsageError
from drystone.dvm.groups.group import Disk, Group
from drystone.dvm.groups.kinds import Run, joined

Hole = tuple[int, int]
"""Free extents [begin, end) of a device."""
Room = Mapping[str, Sequence[Hole]]
"""Device uuid -> its holes, lowest first; devices in the order of the group."""


class Leg(msgspec.Struct, frozen=True):
    """What one leg asks for.

    :ivar count: extents. :ivar after: the runs that it has already, in their order.
    """

    count: int
    after: tuple[Run, ...] = ()

    @property
    def devices(self) -> frozenset[str]:
        """The devices that it uses already."""
        return frozenset(run.device for run in self.after)


Policy = Callable[[Room, Leg], tuple[Run, ...] | None]


def free_room(group: Group) -> dict[str, list[Hole]]:
    """The holes of every device, those that are not allocatable included."""
    used: dict[str, list[Hole]] = {device.uuid: [] for device in group.devices}
    for volume in group.volumes:
        for run in volume.runs():
            for place in run.places():
                used[place.device].append((place.begin, place.end))
    room: dict[str, list[Hole]] = {}
    for device in group.devices:
        holes, at = [], 0
        for begin, end in sorted(used[device.uuid]):
            if begin > at:
                holes.append((at, begin))
            at = end
        if at < device.extents:
            holes.append((at, device.extents))
        room[device.uuid] = holes
    return room


def taken(room: Room, runs: Sequence[Run]) -> dict[str, Sequence[Hole]]:
    """The room that is left without `runs`, which are free in it."""
    left = dict(room)
    for run in runs:
        holes: list[Hole] = []
        for begin, end in left[run.device]:
            if begin <= run.begin < end:
                pieces = ((begin, run.begin), (run.end, end))
                holes += [(first, last) for first, last in pieces if first < last]
            else:
                holes.append((begin, end))
        left[run.device] = holes
    return left


def free_extents(holes: Sequence[Hole]) -> int:
    """How many extents are in `holes`."""
    return sum(end - begin for begin, end in holes)


def allocate(
    group: Group,
    legs: Sequence[Leg],
    policy: str = "anywhere",
    devices: Sequence[Disk] | None = None,
    *,
    free: Room | None = None,
) -> list[tuple[Run, ...]]:
    """Free extents for each of `legs`, no device for two of them.

    :param devices: those to choose from; None for all. One that is not allocatable is never chosen.
    :param free: the free room, for a caller that knows it already.
    :raises ExhaustedError: there is no such room. :raises UsageError: no such policy.
    """
    place = POLICIES.get(policy)
    if place is None:
        raise UsageError(f"there is no allocation policy {policy!r}", hint=f"one of {', '.join(POLICIES)}")
    chosen = {device.uuid for device in (group.devices if devices is None else devices) if device.allocatable}
    free = free_room(group) if free is None else free
    room = {uuid: holes for uuid, holes in free.items() if uuid in chosen and holes}
    shares = [room] if len(legs) == 1 else _share_out(room, legs)
    found = [place(part, leg) if leg.count else () for part, leg in zip(shares, legs, strict=True)]
    runs = [each for each in found if each is not None]
    if len(runs) < len(legs):
        wanted = sum(leg.count for leg in legs)
        apart = f" in {len(legs)} legs on different devices" if len(legs) > 1 else ""
        raise ExhaustedError(
            f"group {group.name} has no room for {wanted} extents{apart} by the policy {policy}",
            hint=f"{sum(map(free_extents, room.values()))} extents are free on {len(room)} devices",
            wanted=wanted,
            extent_size=group.extent_size,
        )
    return runs


def _share_out(room: Room, legs: Sequence[Leg]) -> list[Room]:
    """A part of the devices for each leg: its own; then one that holds it whole; then what is left, largest first."""
    owned = [leg.devices & room.keys() for leg in legs]
    taken = {device for leg in legs for device in leg.devices}
    spare = [device for device in room if device not in taken]
    shares: list[set[str]] = [set(devices) for devices in owned]
    lacking = {at: leg.count - sum(free_extents(room[device]) for device in owned[at]) for at, leg in enumerate(legs)}
    for at in sorted(lacking, key=lambda at: (-lacking[at], at)):
        if lacking[at] > 0 and (whole := _fitting(room, spare, lacking[at], is_new=not legs[at].after)):
            shares[at].add(whole)
            spare.remove(whole)
            lacking[at] = 0
    for device in sorted(spare, key=lambda device: -free_extents(room[device])):
        at = max(lacking, key=lambda at: (lacking[at], -at))
        if lacking[at] <= 0:
            break
        shares[at].add(device)
        lacking[at] -= free_extents(room[device])
    return [{device: room[device] for device in room if device in share} for share in shares]


def _fitting(room: Room, spare: list[str], count: int, *, is_new: bool) -> str | None:
    """A device with room for `count`: for a new leg one where they are in a row, if there is any."""
    enough = [device for device in spare if free_extents(room[device]) >= count]
    whole = [device for device in enough if max(end - begin for begin, end in room[device]) >= count]
    return next(iter(whole if is_new and whole else enough), None)


def contiguous(room: Room, leg: Leg) -> tuple[Run, ...] | None:
    """One run: after the last extent of the leg, or, for a new one, in the smallest hole that takes it."""
    if leg.after:
        last = leg.after[-1]
        for begin, end in room.get(last.device, ()):
            if begin == last.end and end - begin >= leg.count:
                return (Run(last.device, begin, leg.count),)
        return None
    fitting = [
        (end - begin, device, begin) for device in room for begin, end in room[device] if end - begin >= leg.count
    ]
    if not fitting:
        return None
    _, device, begin = min(fitting, key=lambda each: each[0])
    return (Run(device, begin, leg.count),)


def cling(room: Room, leg: Leg) -> tuple[Run, ...] | None:
    """The devices that the leg uses already, the last one first; for a new one a single device."""
    if leg.after:
        order = list(dict.fromkeys(run.device for run in reversed(leg.after)))
        return _take({device: room[device] for device in order if device in room}, leg)
    whole = contiguous(room, leg)
    if whole is not None:
        return whole
    return next((runs for device in room if (runs := _take({device: room[device]}, leg)) is not None), None)


def anywhere(room: Room, leg: Leg) -> tuple[Run, ...] | None:
    """After the last extent if it can be, then one hole that takes all, then hole by hole."""
    return contiguous(room, leg) or contiguous(room, Leg(leg.count)) or _take(room, leg)


def spread(room: Room, leg: Leg) -> tuple[Run, ...] | None:
    """The same number of extents from every device, as far as each has room: the fullest ones first."""
    counts = {device: free_extents(room[device]) for device in room}
    if sum(counts.values()) < leg.count:
        return None
    shares: dict[str, int] = {}
    left = leg.count
    for at, device in enumerate(sorted(counts, key=lambda device: counts[device])):
        shares[device] = min(counts[device], -(-left // (len(counts) - at)))
        left -= shares[device]
    runs: list[Run] = []
    for device in room:
        if shares[device]:
            runs += _take({device: room[device]}, Leg(shares[device])) or ()
    return joined(runs)


def _take(room: Room, leg: Leg) -> tuple[Run, ...] | None:
    """Hole by hole: first what continues the leg, then in the order of the devices."""
    holes = [(device, begin, end) for device in room for begin, end in room[device]]
    if leg.after:
        last = leg.after[-1]
        holes.sort(key=lambda hole: hole[:2] != (last.device, last.end))
    runs: list[Run] = []
    left = leg.count
    for device, begin, end in holes:
        if not left:
            break
        runs.append(Run(device, begin, min(left, end - begin)))
        left -= runs[-1].count
    return None if left else joined(runs)


POLICIES: dict[str, Policy] = {"contiguous": contiguous, "cling": cling, "spread": spread, "anywhere": anywhere}
"""The policies by name."""
