"""The edits that mutators are made of: a group with volumes added, changed, taken away or laid below another.

`Ids` gives out new uuids, so that a mutator is a function of what it is given.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import msgspec

from drystone.base.errors import ExistsError, UsageError
from drystone.base.names import check_name, new_uuid
from drystone.dvm.groups.allocation import Leg, allocate
from drystone.dvm.groups.group import Disk, Group, Index
from drystone.dvm.groups.kinds import AnyVolume, Linear, Run, Snapshot, Thin, joined
from drystone.dvm.groups.rules import check_group

Ids = Callable[[], str]
"""Gives a new uuid at every call."""

Kind = TypeVar("Kind", bound=AnyVolume)


def random_ids() -> str:
    """A uuid that nobody had before."""
    return new_uuid()


def seeded_ids(seed: str) -> Ids:
    """Uuids that follow from `seed`: the same at every run. Only for what is thrown away or repeated on purpose."""
    numbers = iter(range(1 << 62))
    return lambda: str(uuid.uuid5(uuid.NAMESPACE_OID, f"{seed}/{next(numbers)}"))


def replaced(
    group: Group,
    *,
    add: Iterable[AnyVolume] = (),
    change: Iterable[AnyVolume] = (),
    drop: Iterable[str] = (),
    **fields: Any,
) -> Group:
    """The group with volumes added at the end, changed in place (by uuid) and dropped (by uuid), and checked.

    :raises UsageError: the result would not be whole.
    """
    changed = {volume.uuid: volume for volume in change}
    gone = set(drop)
    volumes = [changed.get(volume.uuid, volume) for volume in group.volumes if volume.uuid not in gone]
    result = msgspec.structs.replace(group, volumes=(*volumes, *add), **fields)
    check_group(result)
    return result


def changed(volume: Kind, **fields: Any) -> Kind:
    """The volume with some fields changed."""
    return msgspec.structs.replace(volume, **fields)


def check_free_name(index: Index, name: str) -> str:
    """`name` itself, when a new volume can have it.

    :raises UsageError: it cannot be a name. :raises ExistsError: it is taken.
    """
    check_name(name, "name")
    if name in index.by_name:
        raise ExistsError(f"group {index.group.name} has a volume {name!r}", hint="take another name", volume=name)
    return name


def whole_extents(group: Group, size: int) -> int:
    """Extents that `size` bytes need, rounded up.

    :raises UsageError: nothing, or less.
    """
    if size <= 0:
        raise UsageError(f"{size} bytes are no size of a volume")
    return -(-size // group.extent_size)


def chosen_devices(index: Index, references: Sequence[str]) -> list[Disk] | None:
    """The devices that were named, by uuid, path or @TAG; None for none, which means all.

    :raises NotFoundError: one is not there.
    """
    found: list[Disk] = []
    for reference in references:
        if reference.startswith("@"):
            found += [device for device in index.group.devices if reference[1:] in device.tags]
        else:
            found.append(index.find_device(reference))
    return found if references else None


def linear_part(owner: str, name: str, ids: Ids, group: Group, runs: tuple[Run, ...]) -> Linear:
    """A linear part of the volume with uuid `owner`."""
    size = sum(run.count for run in runs) * group.extent_size
    return Linear(uuid=ids(), name=name, size=size, part_of=owner, segments=joined(runs))


def split(runs: tuple[Run, ...], count: int) -> tuple[tuple[Run, ...], tuple[Run, ...]]:
    """The first `count` extents of `runs`, and the others."""
    first: list[Run] = []
    rest: list[Run] = []
    for run in runs:
        here = min(run.count, count)
        count -= here
        if here:
            first.append(part_of_run(run, 0, here))
        if run.count > here:
            rest.append(part_of_run(run, here, run.count))
    return tuple(first), tuple(rest)


def part_of_run(run: Run, begin: int, end: int) -> Run:
    """Extents [begin, end) of the run, counted from its own begin; a move that is under way goes along."""
    to = None if run.to is None else msgspec.structs.replace(run.to, begin=run.to.begin + begin)
    return Run(run.device, run.begin + begin, end - begin, to)


def new_parts(
    index: Index, owner: AnyVolume, sizes: dict[str, int], ids: Ids, policy: str, devices: Sequence[str]
) -> dict[str, Linear]:
    """Linear parts of `owner` by their last name (`meta`), of at least so many bytes each, from one allocation."""
    group = index.group
    counts = {name: whole_extents(group, size) for name, size in sizes.items()}
    (runs,) = allocate(group, [Leg(sum(counts.values()))], policy, chosen_devices(index, devices))
    parts = {}
    for name, count in counts.items():
        mine, runs = split(runs, count)
        parts[name] = linear_part(owner.uuid, f"{owner.name}:{name}", ids, group, mine)
    return parts


def renamed(index: Index, volume: AnyVolume, name: str) -> list[AnyVolume]:
    """The volume and all its parts under the name `name`."""
    return [changed(each, name=name + each.name[len(volume.name) :]) for each in index.tree(volume)]


def pushed_down(index: Index, volume: AnyVolume, last_name: str, ids: Ids) -> list[AnyVolume]:
    """What `volume` is, as a part of itself called `NAME:last_name` and with a new uuid: its parts go along.

    The caller puts another kind with the old uuid and name in its place, so that whoever uses the volume goes on.
    First in the list is the new part.
    """
    uuid_ = ids()
    moved = []
    for each in renamed(index, volume, f"{volume.name}:{last_name}"):
        if each.uuid == volume.uuid:
            moved.append(changed(each, uuid=uuid_, part_of=volume.uuid, tags=()))
        elif each.part_of == volume.uuid:
            moved.append(changed(each, part_of=uuid_))
        else:
            moved.append(each)
    return [*moved, *_copies(index, volume.uuid, uuid_)]


def pulled_up(index: Index, volume: AnyVolume, part: AnyVolume) -> list[AnyVolume]:
    """The inverse of `pushed_down`: `part` takes the place, uuid and name of `volume`. It is first in the list."""
    raised = []
    for each in renamed(index, part, volume.name):
        if each.uuid == part.uuid:
            raised.append(changed(each, uuid=volume.uuid, part_of=volume.part_of, tags=volume.tags))
        elif each.part_of == part.uuid:
            raised.append(changed(each, part_of=volume.uuid))
        else:
            raised.append(each)
    return [*raised, *_copies(index, part.uuid, volume.uuid)]


def _copies(index: Index, uuid_: str, new: str) -> list[AnyVolume]:
    """The thin snapshots of the thin volume `uuid_`, as those of it under the uuid `new`."""
    thins = [each for each in index.group.volumes if isinstance(each, Thin)]
    return [changed(each, origin=new) for each in thins if each.origin == uuid_]


def check_no_snapshots(index: Index, volume: AnyVolume, what: str) -> None:
    """:raises UsageError: the volume has classic snapshots, which `what` would harm."""
    names = [
        user.name for user in index.users(volume.uuid) if isinstance(user, Snapshot) and user.origin == volume.uuid
    ]
    if names:
        raise UsageError(f"{volume.name} cannot be {what}: it has snapshots", hint=f"remove {', '.join(names)} first")


def check_visible(volume: AnyVolume) -> None:
    """:raises UsageError: the volume is a part of another."""
    if volume.part_of is not None:
        raise UsageError(f"{volume.name} is a part of another volume", hint="name the volume that it belongs to")
