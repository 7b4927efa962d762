"""Volumes get larger and smaller. New bytes are added at the end, lost ones are taken from there.

`GROW` and `SHRINK` say how each kind does it; a kind that is not in a table cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from drystone.base.errors import RefusedError, UsageError
from drystone.dvm.groups.allocation import Leg, allocate
from drystone.dvm.groups.group import Disk, Group, Index
from drystone.dvm.groups.kinds import (
    RAID_LEAST,
    AnyVolume,
    Cache,
    Crypt,
    Era,
    Linear,
    Raid,
    Row,
    Run,
    Snapshot,
    Striped,
    Thin,
    ThinPool,
    joined,
    raid_size,
)
from drystone.dvm.metadata.create import rows_of
from drystone.dvm.metadata.edit import (
    changed,
    check_no_snapshots,
    chosen_devices,
    part_of_run,
    replaced,
    split,
    whole_extents,
)
from drystone.dvm.metadata.raid import check_not_moving, check_regions


class _Change(msgspec.Struct, frozen=True):
    """What is asked for: the volume gets `size` bytes at least, and extents by `policy` from `devices`."""

    index: Index
    size: int
    policy: str = "anywhere"
    devices: Sequence[Disk] | None = None

    @property
    def extent(self) -> int:
        """Bytes of an extent."""
        return self.index.group.extent_size


def extend(
    group: Group,
    name: str,
    *,
    size: int | None = None,
    by: int | None = None,
    policy: str = "anywhere",
    devices: Sequence[str] = (),
) -> Group:
    """The group with the volume `name` made larger: to `size` bytes, or by `by` bytes, rounded up.

    Besides volumes, `POOL:meta` of a thin pool and `SNAPSHOT:cow` of a classic snapshot can be named.

    :raises UsageError: it would not get larger, or its kind cannot. :raises ExhaustedError: there is no room.
    """
    index = Index(group)
    volume = _find(index, name)
    wanted = _wanted(volume, size, by)
    if wanted <= volume.size:
        raise UsageError(f"{name} has {volume.size} bytes already", hint="dvm metadata reduce makes it smaller")
    check_no_snapshots(index, volume, "extended")
    return replaced(group, change=_grow(volume, _Change(index, wanted, policy, chosen_devices(index, devices))))


def reduce(
    group: Group, name: str, *, size: int | None = None, by: int | None = None, lose_data: bool = False
) -> Group:
    """The group with the volume `name` made smaller: to `size` bytes, or by `by` bytes; never smaller than asked for.

    :param lose_data: the caller knows that what lies beyond is lost, and has shrunk the file system.
    :raises RefusedError: `lose_data` was not given. :raises UsageError: it would not get smaller, or its kind cannot.
    """
    index = Index(group)
    volume = _find(index, name)
    wanted = _wanted(volume, size, None if by is None else -by)
    if not 0 < wanted < volume.size:
        raise UsageError(f"{name} has {volume.size} bytes and cannot be reduced to {wanted}")
    check_no_snapshots(index, volume, "reduced")
    change = _shrink(volume, _Change(index, wanted))
    if change[0].size == volume.size:
        raise UsageError(f"{name} cannot have fewer than {volume.size} bytes and {wanted} or more")
    if not lose_data:
        raise RefusedError(
            f"{name}: what lies beyond byte {change[0].size} would be lost",
            hint="shrink the file system first, then say --lose-data",
            volume=name,
        )
    return replaced(group, change=change)


def _find(index: Index, name: str) -> AnyVolume:
    volume = index.find(name)
    if volume.part_of is not None:
        owner = index.volumes[volume.part_of]
        if volume.uuid not in owner.blank_parts() or not isinstance(owner, ThinPool | Snapshot):
            raise UsageError(f"{name} is a part of {owner.name}", hint=f"name {owner.name}")
    return volume


def _wanted(volume: AnyVolume, size: int | None, by: int | None) -> int:
    if (size is None) == (by is None):
        raise UsageError("one of a size and a difference is needed")
    return size if size is not None else volume.size + (by or 0)


def _grow(volume: AnyVolume, change: _Change) -> list[AnyVolume]:
    grow = GROW.get(type(volume))
    if grow is None:
        raise UsageError(f"{volume.name} is a {volume.kind} and cannot be extended", kind=volume.kind)
    return grow(volume, change)


def _shrink(volume: AnyVolume, change: _Change) -> list[AnyVolume]:
    shrink = SHRINK.get(type(volume))
    if shrink is None:
        raise UsageError(f"{volume.name} is a {volume.kind} and cannot be reduced", kind=volume.kind)
    return shrink(volume, change)


def _more(volume: AnyVolume, change: _Change) -> int:
    return whole_extents(change.index.group, change.size - volume.size)


def _grow_linear(volume: Linear, change: _Change) -> list[AnyVolume]:
    leg = Leg(_more(volume, change), volume.segments)
    (runs,) = allocate(change.index.group, [leg], change.policy, change.devices)
    size = volume.size + leg.count * change.extent
    return [changed(volume, segments=joined([*volume.segments, *runs]), size=size)]


def _shrink_linear(volume: Linear, change: _Change) -> list[AnyVolume]:
    count = whole_extents(change.index.group, change.size)
    kept, _ = split(volume.segments, count)
    return [changed(volume, segments=kept, size=count * change.extent)]


def _grow_striped(volume: Striped, change: _Change) -> list[AnyVolume]:
    """A row as wide as the last one. Where all legs go on behind their last extents, the last row gets longer."""
    last = volume.rows[-1].legs
    count = -(-_more(volume, change) // len(last))
    after = [tuple(row.legs[at] for row in volume.rows if len(row.legs) == len(last)) for at in range(len(last))]
    legs = [Leg(count, runs) for runs in _apart(after)]
    rows = rows_of(allocate(change.index.group, legs, change.policy, change.devices))
    size = volume.size + count * len(last) * change.extent
    return [changed(volume, rows=_joined_rows((*volume.rows, *rows)), size=size)]


def _apart(after: list[tuple[Run, ...]]) -> list[tuple[Run, ...]]:
    """What each leg has: of a device that two legs have used in turn, only the last one's use counts."""
    taken: dict[str, int] = {}
    for runs in zip(*after, strict=True):
        for at, run in enumerate(runs):
            taken[run.device] = at
    return [tuple(run for run in runs if taken[run.device] == at) for at, runs in enumerate(after)]


def _joined_rows(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Rows whose legs all continue each other made one: extents are whole chunks, so no byte changes its place."""
    found: list[Row] = []
    for row in rows:
        before = found[-1].legs if found else ()
        merged = [joined(pair) for pair in zip(before, row.legs, strict=False)]
        if len(before) == len(row.legs) and all(len(runs) == 1 for runs in merged):
            found[-1] = Row(tuple(runs[0] for runs in merged))
        else:
            found.append(row)
    return tuple(found)


def _shrink_striped(volume: Striped, change: _Change) -> list[AnyVolume]:
    left = whole_extents(change.index.group, change.size)
    kept: list[Row] = []
    for row in volume.rows:
        if left <= 0:
            break
        each = min(row.legs[0].count, -(-left // len(row.legs)))
        kept.append(Row(tuple(part_of_run(run, 0, each) for run in row.legs)))
        left -= each * len(row.legs)
    size = sum(run.count for row in kept for run in row.legs) * change.extent
    return [changed(volume, rows=tuple(kept), size=size)]


def _grow_raid(volume: Any, change: _Change) -> list[AnyVolume]:
    index, count = change.index, len(volume.legs)
    data = [index.volumes[leg.data] for leg in volume.legs]
    share = -(-_more(volume, change) // raid_size(type(volume), count, 1))
    legs = []
    for leg, part in zip(volume.legs, data, strict=True):
        _check_linear(volume, part)
        beside = tuple(run for run in index.runs(index.volumes[leg.metadata]))
        legs.append(Leg(share, (*beside, *part.runs())))
    runs = allocate(index.group, legs, change.policy, change.devices)
    size = volume.size + raid_size(type(volume), count, share * change.extent)
    check_regions(volume, size)
    grown = [
        changed(part, segments=joined([*part.runs(), *new]), size=part.size + share * change.extent)
        for part, new in zip(data, runs, strict=True)
        if isinstance(part, Linear)
    ]
    return [changed(volume, size=size), *grown]


def _shrink_raid(volume: Any, change: _Change) -> list[AnyVolume]:
    index, count = change.index, len(volume.legs)
    share = -(-whole_extents(index.group, change.size) // raid_size(type(volume), count, 1))
    shrunk: list[AnyVolume] = []
    for leg in volume.legs:
        part = index.volumes[leg.data]
        _check_linear(volume, part)
        shrunk += _shrink(part, _Change(index, share * change.extent))
    return [changed(volume, size=raid_size(type(volume), count, share * change.extent)), *shrunk]


def _check_linear(volume: Raid, part: AnyVolume) -> None:
    if not isinstance(part, Linear):
        raise UsageError(f"{volume.name} has a {part.kind} leg and keeps its size")
    check_not_moving(part)


def _grow_pool(volume: ThinPool, change: _Change) -> list[AnyVolume]:
    data = _grow(change.index.volumes[volume.data], change)
    return [changed(volume, size=data[0].size), *data]


def _resize_thin(volume: Thin, change: _Change) -> list[AnyVolume]:
    return [changed(volume, size=whole_extents(change.index.group, change.size) * change.extent)]


def _grow_base(volume: Cache | Era | Crypt, change: _Change) -> list[AnyVolume]:
    base = _grow(change.index.volumes[volume.base], change)
    return [changed(volume, size=base[0].size), *base]


def _shrink_base(volume: Crypt, change: _Change) -> list[AnyVolume]:
    base = _shrink(change.index.volumes[volume.base], change)
    return [changed(volume, size=base[0].size), *base]


GROW: dict[type, Callable[[Any, _Change], list[AnyVolume]]] = {
    Linear: _grow_linear,
    Striped: _grow_striped,
    **dict.fromkeys(RAID_LEAST, _grow_raid),
    ThinPool: _grow_pool,
    Thin: _resize_thin,
    **dict.fromkeys((Cache, Era, Crypt), _grow_base),
}
"""A kind -> what makes it larger: the volume comes first, then its parts. A classic snapshot has its origin's size."""

SHRINK: dict[type, Callable[[Any, _Change], list[AnyVolume]]] = {
    Linear: _shrink_linear,
    Striped: _shrink_striped,
    **dict.fromkeys(RAID_LEAST, _shrink_raid),
    Thin: _resize_thin,
    Crypt: _shrink_base,
}
"""A kind -> what makes it smaller. The kernel's pools, caches and eras keep what they have."""
