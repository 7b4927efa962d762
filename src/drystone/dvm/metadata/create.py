"""New volumes from free extents: linear, striped, and by `raid.py` the raid kinds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from drystone.base.errors import UsageError
from drystone.dvm.groups.allocation import Leg, allocate
from drystone.dvm.groups.group import Group, Index
from drystone.dvm.groups.kinds import AnyVolume, Linear, Row, Run, Striped
from drystone.dvm.metadata.edit import Ids, check_free_name, chosen_devices, replaced, whole_extents
from drystone.dvm.metadata.raid import RAIDS, make_raid

CHUNK = 64 << 10
"""Bytes of a chunk unless another size is asked for."""


class Wish(msgspec.Struct, frozen=True):
    """What a new volume is to be.

    :ivar size: bytes; rounded up to what the kind can have. :ivar legs: 0: as few as the kind can have.
    :ivar chunk: bytes. :ivar devices: uuids, paths or @TAGs; none for all.
    """

    name: str
    size: int
    legs: int = 0
    chunk: int = CHUNK
    policy: str = "anywhere"
    devices: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    nosync: bool = False


def create(group: Group, wish: Wish, ids: Ids, kind: str = "linear") -> Group:
    """The group with one more volume.

    :raises ExistsError: the name is taken. :raises ExhaustedError: there is no room. :raises UsageError: a wish that
        cannot be.
    """
    index = Index(group)
    check_free_name(index, wish.name)
    make = MAKERS.get(kind)
    if make is None:
        raise UsageError(f"volumes of kind {kind!r} are not made so", hint=f"one of {', '.join(MAKERS)}")
    return replaced(group, add=make(index, wish, ids))


def _linear(index: Index, wish: Wish, ids: Ids) -> list[AnyVolume]:
    if wish.legs > 1:
        raise UsageError("a linear volume has one leg", hint="--kind striped")
    count = whole_extents(index.group, wish.size)
    (runs,) = allocate(index.group, [Leg(count)], wish.policy, chosen_devices(index, wish.devices))
    size = count * index.group.extent_size
    return [Linear(uuid=ids(), name=wish.name, size=size, tags=wish.tags, segments=runs)]


def _striped(index: Index, wish: Wish, ids: Ids) -> list[AnyVolume]:
    legs = wish.legs or 2
    if legs < 2:
        raise UsageError("a striped volume has two legs at least")
    extent = index.group.extent_size
    count = -(-whole_extents(index.group, wish.size) // legs)
    found = allocate(index.group, [Leg(count)] * legs, wish.policy, chosen_devices(index, wish.devices))
    rows, size = rows_of(found), count * legs * extent
    return [Striped(uuid=ids(), name=wish.name, size=size, tags=wish.tags, chunk=min(wish.chunk, extent), rows=rows)]


def _raid(kind: str) -> Callable[[Index, Wish, Ids], list[AnyVolume]]:
    def make(index: Index, wish: Wish, ids: Ids) -> list[AnyVolume]:
        return make_raid(
            index,
            RAIDS[kind],
            ids,
            name=wish.name,
            size=wish.size,
            legs=wish.legs,
            chunk=wish.chunk,
            policy=wish.policy,
            devices=wish.devices,
            tags=wish.tags,
            nosync=wish.nosync,
        )

    return make


def rows_of(legs: Sequence[tuple[Run, ...]]) -> tuple[Row, ...]:
    """Rows out of legs of one length: a new row wherever one of the legs goes on elsewhere."""
    queues = [list(leg) for leg in legs]
    rows = []
    while queues[0]:
        count = min(queue[0].count for queue in queues)
        row = []
        for queue in queues:
            run = queue.pop(0)
            row.append(Run(run.device, run.begin, count))
            if run.count > count:
                queue.insert(0, Run(run.device, run.begin + count, run.count - count))
        rows.append(Row(tuple(row)))
    return tuple(rows)


MAKERS: dict[str, Callable[[Index, Wish, Ids], list[AnyVolume]]] = {
    "linear": _linear,
    "striped": _striped,
    **{kind: _raid(kind) for kind in RAIDS},
}
"""A kind's name -> what makes one, from the extents that are free."""
