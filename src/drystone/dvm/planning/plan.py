"""From a group and a layout to a plan: which mutators, in which order, at what cost; and the plan carried out.

A plan is bound to the group that it was made from, by the hash of its document, and says what it leads to, by another:
`apply` gives exactly that group or refuses. Space that a plan frees is not used again by the same plan: until it is
committed, the old volumes are still there. So new volumes come first and removals last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
from blake3 import blake3

from drystone.base.documents import decode
from drystone.base.errors import MismatchError, RefusedError, UsageError
from drystone.base.sizes import format_size
from drystone.dvm.dmactivate import activate as compile_program
from drystone.dvm.groups.group import Group, Index, device_name, visible
from drystone.dvm.groups.kinds import RAID_PARITY, AnyVolume, Raid, Raid1, Raid10, Thin, ThinPool
from drystone.dvm.instructions import Suspend
from drystone.dvm.metadata import create, move, names, remove, size, thin
from drystone.dvm.metadata.edit import Ids, seeded_ids, whole_extents
from drystone.dvm.planning.layout import Layout, Wanted
from drystone.dvm.state import State
from drystone.dvm.volactivate import activate, paths_of

SCHEMA = "drystone.dvm.plan"
VERSION = 1
"""The version of the schema that this code writes, and the only one that it reads."""


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="do"):
    """One change of the group's document."""


class Create(Step, frozen=True, tag="create"):
    """A new volume."""

    volume: Wanted


class Extend(Step, frozen=True, tag="extend"):
    """A volume gets larger: to `size` bytes."""

    name: str
    size: int
    policy: str = "anywhere"
    on: tuple[str, ...] = ()


class Reduce(Step, frozen=True, tag="reduce"):
    """A volume gets smaller: to `size` bytes."""

    name: str
    size: int


class Remove(Step, frozen=True, tag="remove"):
    """Volumes go."""

    names: tuple[str, ...]


class Tag(Step, frozen=True, tag="tag"):
    """A volume's tags change."""

    name: str
    add: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()


class Move(Step, frozen=True, tag="move"):
    """A move begins of all that is on a device; `dvm metadata move --finish` ends it."""

    device: str
    to: tuple[str, ...] = ()


AnyStep = Create | Extend | Reduce | Remove | Tag | Move


class Cost(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a step costs: bytes that the kernel copies afterwards, and bytes of volumes that are lost.

    :ivar what: the step in words.
    """

    what: str
    copied: int = 0
    lost: int = 0


class Planned(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A step with its cost."""

    step: AnyStep
    cost: Cost


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="schema", tag=SCHEMA):
    """What is to be done to a group.

    :ivar group: its name. :ivar base: hash of its document as it is, :ivar result: and as it will be; 64 hex digits.
    :ivar seed: what the uuids of new volumes follow from. :ivar copied, lost: bytes, in all.
    :ivar suspended: device-mapper names of those whose users wait a moment, if the volumes are active.
    """

    version: int = VERSION
    group: str
    base: str
    result: str
    seed: str
    steps: tuple[Planned, ...]
    copied: int
    lost: int
    suspended: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Whether the group is as the layout wants it."""
        return not self.steps


def hash_group(group: Group) -> str:
    """What a plan is bound to: BLAKE3 of the document's shortest JSON text, 64 hex digits."""
    return blake3(msgspec.json.encode(group)).hexdigest()


def plan(group: Group, layout: Layout, seed: str) -> Plan:
    """The plan that makes `group` what `layout` wants.

    :param seed: text that no other plan has, which the uuids of new volumes follow from.
    :raises UsageError: it cannot be done: a volume would have to change its kind, or to get smaller and cannot.
    :raises ExhaustedError: there is no room, counting nothing that the plan itself frees.
    :raises NotFoundError: a device or pool that is not there.
    """
    made: list[Planned] = []
    run = _Run(group, _ids(group, seed))
    for step in _steps(run, layout):
        before = run.group
        run.do(step)
        made.append(Planned(step, COSTS[type(step)](before, run.group, step)))
    return Plan(
        group=group.name,
        base=hash_group(group),
        result=hash_group(run.group),
        seed=seed,
        steps=tuple(made),
        copied=sum(each.cost.copied for each in made),
        lost=sum(each.cost.lost for each in made),
        suspended=_suspended(group, run.group),
    )


def apply(group: Group, wanted: Plan, *, lose_data: bool = False) -> Group:
    """The group that the plan leads to.

    :param lose_data: the caller has seen how much is lost.
    :raises MismatchError: the group is another than the plan was made from. :raises RefusedError: data would be lost,
        and `lose_data` was not given.
    """
    found = hash_group(group)
    if found != wanted.base:
        raise MismatchError(
            f"group {group.name} has moved on: it is {found[:12]}, and the plan was made from {wanted.base[:12]}",
            hint="make a new plan, and look at it",
        )
    if wanted.lost and not lose_data:
        raise RefusedError(
            f"the plan loses {format_size(wanted.lost)} of volumes", hint="--lose-data, if that is meant"
        )
    run = _Run(group, _ids(group, wanted.seed))
    for each in wanted.steps:
        run.do(each.step)
    result = hash_group(run.group)
    if result != wanted.result:
        raise MismatchError(
            f"the plan leads to {result[:12]} and says {wanted.result[:12]}", hint="it was changed; make a new one"
        )
    return run.group


def parse_plan(data: bytes | str, what: str = "plan") -> Plan:
    """:raises UsageError: no plan, or one of another version."""
    found = decode(data, Plan, what)
    if found.version != VERSION:
        raise UsageError(f"{what}: version {found.version} is not known", hint=f"this program reads version {VERSION}")
    return found


def describe(wanted: Plan) -> list[str]:
    """The plan in words, a line a step, and what it costs."""
    if wanted.is_empty:
        return ["Nothing to do."]
    lines = [each.cost.what for each in wanted.steps]
    lines.append(f"The kernel copies {format_size(wanted.copied)}; {format_size(wanted.lost)} of data are lost.")
    if wanted.suspended:
        lines.append(f"Users of these wait a moment, if they are active: {', '.join(wanted.suspended)}.")
    return lines


def _ids(group: Group, seed: str) -> Ids:
    """The uuids of one plan, which no plan for another state of the group gives out."""
    return seeded_ids(f"{seed}/{hash_group(group)}")


@dataclass(slots=True)
class _Run:
    """A group on its way.

    :ivar told: pools that have begun a transaction in it, which later steps join.
    """

    group: Group
    ids: Ids
    told: set[str] = field(default_factory=set)

    def do(self, step: AnyStep) -> None:
        """Change the group."""
        self.group = DOERS[type(step)](self, step)

    def joins(self, pool: str) -> bool:
        """Whether a change of this pool belongs to a transaction that the run has begun; it has from now on."""
        known = pool in self.told
        self.told.add(pool)
        return known


def _steps(run: _Run, layout: Layout) -> Iterator[AnyStep]:
    """The steps one by one; each is to be done before the next is asked for."""
    before = Index(run.group)
    wanted = {each.name: each for each in layout.volumes}
    for each in layout.volumes:
        found = before.by_name.get(each.name)
        if found is None:
            yield Create(each)
            continue
        _check_kind(before, found, each)
        whole = _whole(run.group, found, each.size)
        if whole > found.size:
            yield Extend(each.name, each.size, each.policy, each.on)
        yield from _retag(found, each)
    for each in layout.volumes:
        found = before.by_name.get(each.name)
        if found is not None and _whole(run.group, found, each.size) < found.size:
            yield Reduce(each.name, each.size)
    going = tuple(each.name for each in visible(before.group) if each.name not in wanted)
    if layout.others == "remove" and going:
        yield Remove(going)
    for device in layout.empty:
        disk = Index(run.group).find_device(device)
        others = tuple(
            each.uuid
            for each in run.group.devices
            if each.allocatable and not {each.uuid, each.path} & {*layout.empty, disk.uuid}
        )
        if any(piece.device == disk.uuid and piece.to is None for each in run.group.volumes for piece in each.runs()):
            yield Move(device, others)


def _whole(group: Group, volume: AnyVolume, wanted: int) -> int:
    """`wanted` bytes as the volume can have them, as far as whole extents (and whole rows of stripes) go."""
    size = whole_extents(group, wanted) * group.extent_size
    # What a raid set or a row of stripes was rounded up to is as wanted.
    legs = len(next(iter(getattr(volume, "rows", ()))).legs) if getattr(volume, "rows", ()) else 1
    if isinstance(volume, Raid):
        legs = len(volume.legs) // 2 if isinstance(volume, Raid10) else len(volume.legs) - RAID_PARITY[type(volume)]
        legs = 1 if isinstance(volume, Raid1) else legs
    row = legs * group.extent_size
    return -(-size // row) * row


def _check_kind(index: Index, found: AnyVolume, wanted: Wanted) -> None:
    if found.part_of is not None:
        raise UsageError(f"{found.name} is a part of another volume")
    is_other_pool = isinstance(found, Thin) and index.volumes[found.pool].name != wanted.pool
    if found.kind != wanted.kind or is_other_pool:
        raise UsageError(
            f"{found.name} is {found.kind}, and {wanted.kind} is wanted"
            + (" of another pool" if is_other_pool else ""),
            hint="remove it by a plan of its own, or use dvm metadata (mirror, unmirror, ...)",
        )


def _retag(found: AnyVolume, wanted: Wanted) -> Iterator[Tag]:
    if wanted.tags is not None and set(wanted.tags) != set(found.tags):
        add = tuple(each for each in wanted.tags if each not in found.tags)
        yield Tag(found.name, add, tuple(each for each in found.tags if each not in wanted.tags))


def _create(run: _Run, step: Create) -> Group:
    want = step.volume
    if want.kind == "thin_pool":
        return thin.thin_pool(
            run.group,
            want.name,
            want.size,
            run.ids,
            block=want.block,
            policy=want.policy,
            devices=want.on,
            tags=want.tags or (),
        )
    if want.kind == "thin":
        return thin.thin(
            run.group, want.pool, [want.name], want.size, run.ids, tags=want.tags or (), join=run.joins(want.pool)
        )
    wish = create.Wish(want.name, want.size, want.legs, want.chunk, want.policy, want.on, want.tags or (), want.nosync)
    return create.create(run.group, wish, run.ids, want.kind)


def _remove(run: _Run, step: Remove) -> Group:
    """Thin volumes pool by pool, as each pool may have begun a transaction or not; then the others."""
    index = Index(run.group)
    pools: dict[str, list[str]] = {}
    for name in step.names:
        volume = index.find(name)
        if isinstance(volume, Thin) and index.volumes[volume.pool].name not in step.names:
            pools.setdefault(index.volumes[volume.pool].name, []).append(name)
    rest = [name for name in step.names if not any(name in gone for gone in pools.values())]
    group = run.group
    for pool, gone in pools.items():
        group = remove.remove(group, gone, join=run.joins(pool))
    return remove.remove(group, rest) if rest else group


DOERS: dict[type[Step], Callable[[_Run, Any], Group]] = {
    Create: _create,
    Extend: lambda run, step: size.extend(run.group, step.name, size=step.size, policy=step.policy, devices=step.on),
    Reduce: lambda run, step: size.reduce(run.group, step.name, size=step.size, lose_data=True),
    Remove: _remove,
    Tag: lambda run, step: names.tag(run.group, step.name, add=step.add, drop=step.drop),
    Move: lambda run, step: move.begin(run.group, step.device, devices=step.to),
}
"""A step -> the group after it."""


def _synced(volume: AnyVolume, grown: int) -> int:
    """Bytes that the kernel writes to bring `grown` bytes of a volume in sync with themselves."""
    if not isinstance(volume, Raid) or volume.nosync:
        return 0
    legs = len(volume.legs)
    if isinstance(volume, Raid1):
        return grown * (legs - 1)
    if isinstance(volume, Raid10):
        return grown
    parity = RAID_PARITY[type(volume)]
    return grown * parity // (legs - parity)


def _cost_of_create(_before: Group, after: Group, step: Create) -> Cost:
    made = Index(after).by_name[step.volume.name]
    what = f"create {made.name}: {made.kind}, {format_size(made.size)}"
    devices = sorted({_shown(after, run.device) for run in Index(after).runs(made)})
    return Cost(
        f"{what} on {', '.join(devices)}" if devices else f"{what} in {step.volume.pool}", _synced(made, made.size)
    )


def _cost_of_extend(before: Group, after: Group, step: Extend) -> Cost:
    old, new = Index(before).by_name[step.name], Index(after).by_name[step.name]
    what = f"extend {step.name}: {format_size(old.size)} to {format_size(new.size)}"
    return Cost(what, _synced(new, new.size - old.size))


def _cost_of_reduce(before: Group, after: Group, step: Reduce) -> Cost:
    old, new = Index(before).by_name[step.name], Index(after).by_name[step.name]
    what = f"reduce {step.name}: {format_size(old.size)} to {format_size(new.size)}; shrink its file system before"
    return Cost(what, lost=old.size - new.size)


def _cost_of_remove(before: Group, _after: Group, step: Remove) -> Cost:
    index = Index(before)
    gone = [index.by_name[name] for name in step.names]
    # What is in a pool is counted by its volumes.
    lost = sum(each.size for each in gone if not isinstance(each, ThinPool))
    return Cost(f"remove {', '.join(step.names)}: {format_size(lost)} of data", lost=lost)


def _cost_of_tag(_before: Group, _after: Group, step: Tag) -> Cost:
    changes = [*(f"+{each}" for each in step.add), *(f"-{each}" for each in step.drop)]
    return Cost(f"tag {step.name}: {' '.join(changes)}")


def _cost_of_move(before: Group, _after: Group, step: Move) -> Cost:
    device = Index(before).find_device(step.device)
    runs = [run for each in before.volumes for run in each.runs() if run.device == device.uuid and run.to is None]
    moved = sum(run.count for run in runs) * before.extent_size
    return Cost(f"begin to move {format_size(moved)} away from {_shown(before, device.uuid)}", moved)


COSTS: dict[type[Step], Callable[[Group, Group, Any], Cost]] = {
    Create: _cost_of_create,
    Extend: _cost_of_extend,
    Reduce: _cost_of_reduce,
    Remove: _cost_of_remove,
    Tag: _cost_of_tag,
    Move: _cost_of_move,
}
"""A step -> what it costs, from the group before it and after it."""


def _shown(group: Group, uuid: str) -> str:
    device = Index(group).devices[uuid]
    return device.path or device.uuid


def _suspended(before: Group, after: Group) -> tuple[str, ...]:
    """The devices that the program between the two states suspends, of volumes that are there before and after."""
    program = compile_program(_state(before), _state(after))
    known = {device_name(before.name, each.name) for each in before.volumes}
    found = (each.device for each in program.instructions if isinstance(each, Suspend))
    return tuple(dict.fromkeys(each for each in found if each in known))


def _state(group: Group) -> State:
    return activate(group, paths_of(group)).state
