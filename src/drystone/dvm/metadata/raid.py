"""Raid sets: made new, made of a linear volume, taken apart again, and mended after a leg was lost.

Each leg has two linear parts on the same devices: `NAME:metaN`, where the kernel keeps the leg's superblock and its
bitmap of regions, and `NAME:dataN`. Facts: Linux 6.1 `drivers/md/dm-raid.c` (super_init_validation: new legs in a set
that is not new need `rebuild`; validate_region_size: at most 2**21 regions).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from drystone.base.errors import RefusedError, UsageError
from drystone.dvm.groups.allocation import Leg as Wanted
from drystone.dvm.groups.allocation import allocate
from drystone.dvm.groups.group import Group, Index
from drystone.dvm.groups.kinds import (
    RAID_LEAST,
    RAID_PARITY,
    AnyVolume,
    Leg,
    Linear,
    Raid,
    Raid1,
    Raid5,
    Raid6,
    Raid10,
    Run,
    raid_size,
)
from drystone.dvm.metadata.edit import (
    Ids,
    changed,
    check_visible,
    chosen_devices,
    linear_part,
    pulled_up,
    pushed_down,
    renamed,
    replaced,
    split,
    whole_extents,
)

RAIDS: dict[str, type[Raid1 | Raid5 | Raid6 | Raid10]] = {
    "raid1": Raid1,
    "raid5": Raid5,
    "raid6": Raid6,
    "raid10": Raid10,
}
REGION = 2 << 20
"""Bytes of a region, where the set is neither too small nor too large for it."""
_METADATA = (2 << 12) + (1 << 18)
"""Bytes of a leg's metadata: two superblocks, and a bit for each of 2**21 regions."""
_MOST_REGIONS = 1 << 21


def make_raid(
    index: Index,
    kind: type[Raid1 | Raid5 | Raid6 | Raid10],
    ids: Ids,
    *,
    name: str,
    size: int,
    legs: int,
    chunk: int,
    policy: str,
    devices: Sequence[str],
    tags: tuple[str, ...],
    nosync: bool,
) -> list[AnyVolume]:
    """A new raid set and its parts, on as many devices as it has legs (at least).

    :param size: bytes, rounded up so that all legs are whole extents. :param legs: 0 for the fewest.
    """
    group, count = index.group, legs or RAID_LEAST[kind]
    if count < RAID_LEAST[kind] or (kind is Raid10 and count % 2):
        raise UsageError(f"{name}: {count} legs are not enough, or odd", hint=f"{RAID_LEAST[kind]} or more")
    if nosync and kind in {Raid5, Raid6}:
        raise RefusedError("without a first sync the parity is wrong and a lost leg cannot be made good")
    share = -(-whole_extents(group, size) // (raid_size(kind, count, 1)))
    data = share * group.extent_size
    meta = whole_extents(group, _METADATA)
    places = allocate(group, [Wanted(meta + share)] * count, policy, chosen_devices(index, devices))
    uuid, parts, made = ids(), [], []
    for at, runs in enumerate(places):
        leg, two = _leg(group, ids, uuid, name, at, runs, meta)
        made.append(leg)
        parts += two
    whole = raid_size(kind, count, data)
    chunked: dict[str, Any] = {} if kind is Raid1 else {"chunk": min(chunk, group.extent_size)}
    region = max(region_size(whole), chunked.get("chunk", 0))
    volume = kind(
        uuid=uuid, name=name, size=whole, tags=tags, legs=tuple(made), region=region, nosync=nosync, **chunked
    )
    return [volume, *parts]


def _leg(
    group: Group, ids: Ids, owner: str, name: str, at: int, runs: tuple[Run, ...], meta: int
) -> tuple[Leg, list[Linear]]:
    """Leg number `at` on `runs`, the first `meta` extents of which are its metadata."""
    first, rest = split(runs, meta)
    metadata = linear_part(owner, f"{name}:meta{at}", ids, group, first)
    data = linear_part(owner, f"{name}:data{at}", ids, group, rest)
    return Leg(data.uuid, metadata.uuid), [metadata, data]


def region_size(size: int) -> int:
    """Bytes of a region for a set of `size` bytes: REGION, less for a small set, more for one that would have too many.

    A quarter of the regions that fit is used, so that the set can grow fourfold.
    """
    region = REGION
    while region > size and region > 4096:
        region //= 2
    while size // region > _MOST_REGIONS // 4:
        region *= 2
    return region


def check_regions(volume: Raid, size: int) -> None:
    """:raises UsageError: of `size` bytes, the set would have more regions than its bitmap has bits."""
    if size // volume.region > _MOST_REGIONS:
        raise UsageError(
            f"{volume.name} cannot have {size} bytes: it has regions of {volume.region}", hint="make a new volume"
        )


def mirror(
    group: Group, name: str, ids: Ids, *, legs: int = 2, policy: str = "anywhere", devices: Sequence[str] = ()
) -> Group:
    """A linear volume becomes the first leg of a raid1. What it holds stays, and is copied to the other legs.

    :raises UsageError: it is no linear volume, or is being moved. :raises ExhaustedError: no other device has room.
    """
    index = Index(group)
    volume = index.find(name)
    check_visible(volume)
    if not isinstance(volume, Linear) or legs < 2:
        raise UsageError(
            f"{name} cannot become a raid1: only a linear volume can, of two legs or more", kind=volume.kind
        )
    check_not_moving(volume)
    meta, share = whole_extents(group, _METADATA), volume.size // group.extent_size
    wanted = [Wanted(meta, volume.segments), *[Wanted(meta + share)] * (legs - 1)]
    first, *others = allocate(group, wanted, policy_for(policy), chosen_devices(index, devices))
    (below,) = pushed_down(index, volume, "data0", ids)
    metadata = linear_part(volume.uuid, f"{name}:meta0", ids, group, first)
    made, parts = [Leg(below.uuid, metadata.uuid)], [metadata, below]
    for at, runs in enumerate(others, 1):
        leg, two = _leg(group, ids, volume.uuid, name, at, runs, meta)
        made.append(leg)
        parts += two
    region = region_size(volume.size)
    top = Raid1(uuid=volume.uuid, name=name, size=volume.size, tags=volume.tags, legs=tuple(made), region=region)
    return replaced(group, change=[top], add=parts)


def policy_for(policy: str) -> str:
    """Of a leg that has extents and gets metadata beside them: `contiguous` would want it right behind its data."""
    return "cling" if policy == "contiguous" else policy


def check_not_moving(volume: AnyVolume) -> None:
    """:raises UsageError: extents of it are being moved."""
    if any(run.to is not None for run in volume.runs()):
        raise UsageError(f"{volume.name} is being moved", hint="end the move first: dvm metadata move --finish")


def unmirror(group: Group, name: str, *, keep: int = 0) -> Group:
    """A raid1 becomes the linear volume that its leg number `keep` is. The other legs' extents are free.

    :raises UsageError: it is no raid1, has no such leg, or that leg is still to be rebuilt.
    """
    index = Index(group)
    volume = index.find(name)
    check_visible(volume)
    if not isinstance(volume, Raid1) or not 0 <= keep < len(volume.legs):
        raise UsageError(f"{name} is no raid1 with a leg number {keep}", kind=volume.kind)
    if volume.legs[keep].rebuild:
        raise RefusedError(f"leg {keep} of {name} is not rebuilt yet", hint="keep another one")
    (top,) = pulled_up(index, volume, index.volumes[volume.legs[keep].data])
    return replaced(group, change=[top], drop=volume.parts())


def add_legs(
    group: Group, name: str, ids: Ids, *, count: int = 1, policy: str = "anywhere", devices: Sequence[str] = ()
) -> Group:
    """A raid1 with `count` legs more, on devices that it does not use yet. They are rebuilt from the others.

    :raises UsageError: it is no raid1, or has a leg that is not rebuilt. :raises ExhaustedError: no device has room.
    """
    index, volume = _find_raid1(group, name)
    pairs = [(index.volumes[leg.metadata], index.volumes[leg.data]) for leg in volume.legs]
    if any(leg.rebuild for leg in volume.legs):
        raise UsageError(f"{name} has a leg that is being rebuilt", hint="wait, then dvm metadata settle")
    meta, share = (each.size // group.extent_size for each in pairs[0])
    used = [Wanted(0, tuple(run for each in pair for run in index.runs(each))) for pair in pairs]
    wanted = [*used, *[Wanted(meta + share)] * count]
    places = allocate(group, wanted, policy_for(policy), chosen_devices(index, devices))
    legs, parts = list(volume.legs), []
    for at in range(len(used), len(wanted)):
        leg, two = _leg(group, ids, volume.uuid, name, at, places[at], meta)
        legs.append(Leg(leg.data, leg.metadata, rebuild=True))
        parts += two
    return replaced(group, change=[changed(volume, legs=tuple(legs))], add=parts)


def drop_legs(group: Group, name: str, which: Sequence[int]) -> Group:
    """A raid1 without its legs of these numbers, whose extents are free. Those after them move up.

    :raises UsageError: it is no raid1, has no such leg, or would have fewer than two.
    :raises RefusedError: none of those that stay is complete.
    """
    index, volume = _find_raid1(group, name)
    going = set(which)
    for at in going:
        if not 0 <= at < len(volume.legs):
            raise UsageError(f"{name} has no leg number {at}", hint=f"0 to {len(volume.legs) - 1}")
    legs = tuple(leg for at, leg in enumerate(volume.legs) if at not in going)
    if len(legs) < RAID_LEAST[Raid1]:
        raise UsageError(f"{name} would have {len(legs)} legs", hint="dvm metadata unmirror keeps a single one")
    if all(leg.rebuild for leg in legs):
        raise RefusedError(f"none of the other legs of {name} is rebuilt yet", hint="wait, then dvm metadata settle")
    drop = [
        part.uuid
        for at in going
        for uuid in (volume.legs[at].metadata, volume.legs[at].data)
        for part in index.tree(index.volumes[uuid])
    ]
    moved = [
        part
        for at, leg in enumerate(legs)
        for kind, uuid in (("meta", leg.metadata), ("data", leg.data))
        for part in renamed(index, index.volumes[uuid], f"{name}:{kind}{at}")
    ]
    return replaced(group, change=[changed(volume, legs=legs), *moved], drop=drop)


def legs_on(group: Group, name: str, devices: Sequence[str]) -> list[int]:
    """Numbers of the legs of a raid1 that have extents on one of these devices (uuids, paths or @TAGs).

    :raises UsageError: it is no raid1, or has none there.
    """
    index, volume = _find_raid1(group, name)
    chosen = {each.uuid for each in chosen_devices(index, devices) or ()}
    found = [at for at, leg in enumerate(volume.legs) if chosen & _devices(index, leg)]
    if not found:
        raise UsageError(f"no leg of {name} is on these devices")
    return found


def _find_raid1(group: Group, name: str) -> tuple[Index, Raid1]:
    index = Index(group)
    volume = index.find(name)
    if not isinstance(volume, Raid1):
        raise UsageError(f"{name} is a {volume.kind}, no raid1", kind=volume.kind)
    return index, volume


def repair(
    group: Group, name: str, lost: Sequence[str], ids: Ids, *, policy: str = "anywhere", devices: Sequence[str] = ()
) -> Group:
    """The legs of a raid set that have extents on the `lost` devices (uuids or paths) get new ones, to be rebuilt.

    :raises RefusedError: more legs are lost than the others can replace. :raises ExhaustedError: there is no room.
    """
    index = Index(group)
    volume = index.find(name)
    if not isinstance(volume, Raid1 | Raid5 | Raid6 | Raid10):
        raise UsageError(f"{name} is no raid set", kind=volume.kind)
    gone = {index.find_device(each).uuid for each in lost}
    bad = [at for at, leg in enumerate(volume.legs) if leg.rebuild or gone & _devices(index, leg)]
    if not bad:
        raise UsageError(f"no leg of {name} is on these devices")
    check_survives(volume, bad)
    usable = [each for each in chosen_devices(index, devices) or group.devices if each.uuid not in gone]
    drop: list[str] = []
    wanted = []
    for at, leg in enumerate(volume.legs):
        pair = index.volumes[leg.metadata], index.volumes[leg.data]
        if at in bad:
            drop += [leg.metadata, leg.data]
            wanted.append(Wanted(sum(each.size for each in pair) // group.extent_size))
        else:
            wanted.append(Wanted(0, tuple(run for each in pair for run in each.runs())))
    places = allocate(group, wanted, policy_for(policy), usable)
    legs, parts = list(volume.legs), []
    for at in bad:
        meta = index.volumes[volume.legs[at].metadata].size // group.extent_size
        leg, two = _leg(group, ids, volume.uuid, volume.name, at, places[at], meta)
        legs[at] = Leg(leg.data, leg.metadata, rebuild=True)
        parts += two
    return replaced(group, change=[changed(volume, legs=tuple(legs))], drop=drop, add=parts)


def settled(group: Group, name: str) -> Group:
    """The legs of a raid set that were to be rebuilt have been: the set is started without that wish from now on.

    :raises UsageError: none was.
    """
    volume = Index(group).find(name)
    if not isinstance(volume, Raid1 | Raid5 | Raid6 | Raid10) or not any(leg.rebuild for leg in volume.legs):
        raise UsageError(f"{name} has no leg that is being rebuilt", kind=volume.kind)
    legs = tuple(Leg(leg.data, leg.metadata) for leg in volume.legs)
    return replaced(group, change=[changed(volume, legs=legs)])


def check_survives(volume: Raid, lost: Sequence[int]) -> None:
    """:raises RefusedError: without the legs of these numbers nobody knows what the set holds."""
    if not survives(volume, lost):
        raise RefusedError(
            f"{volume.name} has lost {len(lost)} of its {len(volume.legs)} legs: the others do not hold all of its data"
        )


def survives(volume: Raid, lost: Sequence[int]) -> bool:
    """Whether the set holds all of its data without the legs of these numbers."""
    if isinstance(volume, Raid10):
        pairs = [at // 2 for at in lost]
        return len(set(pairs)) == len(pairs)
    most = len(volume.legs) - 1 if isinstance(volume, Raid1) else RAID_PARITY[type(volume)]
    return len(lost) <= most


def _devices(index: Index, leg: Leg) -> set[str]:
    return {run.device for uuid in (leg.metadata, leg.data) for run in index.runs(index.volumes[uuid])}
