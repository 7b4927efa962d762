"""What differs between two states, and how each device has to be treated.

A device is the same in both when the desired one's uuid is the current one's, or, where the desired one has none, when
the names agree.
"""

from __future__ import annotations

import enum

import msgspec

from drystone.base.errors import UsageError
from drystone.dvm.graph import Graph
from drystone.dvm.references import LONGEST_NAME, with_names_replaced
from drystone.dvm.state import Device, Line, State, check_state
from drystone.dvm.tables import same_table
from drystone.kernel.dm.abc import TableLine
from drystone.kernel.dm.targets import ThinPool, parse_target


class Kind(enum.Enum):
    """How a device is treated."""

    KEEP = "nothing to do"
    NEW = "create, load, resume; before its parents"
    EARLY = "swap its table before its parents' are loaded: they need its new size, or it is suspended already"
    SWITCH = "swap its table together with those above and below that change too"
    LATE = "swap its table when its parents no longer use what it loses"
    GROW = "a thin pool gets larger, which cannot be undone: last"
    GONE = "remove, parents first"


class Changes(msgspec.Struct, frozen=True):
    """Two states by one set of names.

    :ivar renames: (old, new) in an order in which every new name is free.
    :ivar before: current devices by their names after the renames; references are renamed too, and inactive tables
        dropped (`leftovers` are the devices that have one).
    :ivar after: desired devices by name.
    """

    renames: tuple[tuple[str, str], ...]
    leftovers: tuple[str, ...]
    before: dict[str, Device]
    after: dict[str, Device]
    kinds: dict[str, Kind]
    old_graph: Graph
    new_graph: Graph

    def of_kind(self, *kinds: Kind) -> list[str]:
        """Names of the devices of these kinds."""
        return [name for name, kind in self.kinds.items() if kind in kinds]


def compare(current: State, desired: State) -> Changes:
    """What differs.

    :raises UsageError: a state that cannot be, or a wish that no program can fulfil.
    """
    check_state(current, "current state")
    check_state(desired, "desired state")
    for device in desired.devices:
        if device.suspended or device.inactive or not device.table:
            raise UsageError(
                f"desired state: {device.name!r} has no table, an inactive one, or is suspended",
                hint="a desired device has a live table and nothing else",
            )
    same = _match(current, desired)
    renames = _plan_renames(current, desired, same)
    new_names = {device.name: device.name for device in current.devices}
    for old, new in renames:
        origin = next(name for name, now in new_names.items() if now == old)
        new_names[origin] = new
    before = {
        new_names[device.name]: _renamed(device, new_names) if renames or device.inactive else device
        for device in current.devices
    }
    after = {device.name: device for device in desired.devices}
    leftovers = tuple(new_names[device.name] for device in current.devices if device.inactive)
    old_graph, new_graph = Graph(before.values()), Graph(after.values())
    kinds = _classify(before, after, old_graph, new_graph)
    return Changes(renames, leftovers, before, after, kinds, old_graph, new_graph)


def needs_load(before: Device, after: Device) -> bool:
    """Whether the table has to be loaded: it means something else, or read-only differs."""
    return not same_table(before.table, after.table) or before.read_only != after.read_only


def _match(current: State, desired: State) -> dict[str, str]:
    """Desired name -> current name, for the devices that are in both."""
    by_uuid = {device.uuid: device.name for device in current.devices if device.uuid}
    same: dict[str, str] = {}
    for device in desired.devices:
        if device.uuid and device.uuid in by_uuid:
            same[device.name] = by_uuid[device.uuid]
    taken = set(same.values())
    for device in desired.devices:
        if not device.uuid and device.name not in taken and current.find(device.name) is not None:
            same[device.name] = device.name
    return same


def _plan_renames(current: State, desired: State, same: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """Renames to desired names; what stands in the way of one, or of a new device, goes to a passing name."""
    names = {device.name for device in current.devices}
    waiting = {old: new for new, old in same.items() if old != new}
    renames: list[tuple[str, str]] = []

    def rename(old: str, new: str) -> None:
        names.remove(old)
        names.add(new)
        renames.append((old, new))

    wanted = {device.name for device in desired.devices}
    for name in sorted((wanted & names) - set(same.values())):
        rename(name, _passing_name(name, names | wanted))
    while waiting:
        free = next((old for old, new in waiting.items() if new not in names), None)
        if free is not None:
            rename(free, waiting.pop(free))
            continue
        # Only circles are left: one of them steps aside.
        old = next(iter(waiting))
        aside = _passing_name(old, names | wanted)
        rename(old, aside)
        waiting[aside] = waiting.pop(old)
    return tuple(renames)


def _passing_name(name: str, taken: set[str]) -> str:
    for number in range(1, len(taken) + 2):
        suffix = f".old{number}"
        candidate = name.encode()[: LONGEST_NAME - len(suffix)].decode(errors="ignore") + suffix
        if candidate not in taken:
            return candidate
    raise AssertionError("one of n + 1 names is not among n")


def _renamed(device: Device, new_names: dict[str, str]) -> Device:
    table = tuple(
        Line(line.start, line.length, line.target, with_names_replaced(line.params, lambda n: f"{{{new_names[n]}}}"))
        for line in device.table
    )
    return msgspec.structs.replace(device, name=new_names[device.name], table=table, inactive=())


def _classify(
    before: dict[str, Device], after: dict[str, Device], old_graph: Graph, new_graph: Graph
) -> dict[str, Kind]:
    kinds = {name: Kind.GONE for name in before if name not in after}
    kinds |= {name: _first_guess(name, before, after) for name in after}
    moving = {name for name, kind in kinds.items() if kind in (Kind.NEW, Kind.EARLY, Kind.SWITCH)}
    leaving = moving | {name for name, kind in kinds.items() if kind is Kind.GONE}
    for name, kind in kinds.items():
        if kind is not Kind.SWITCH:
            continue
        old, new = before[name], after[name]
        if new.length > old.length or (new.length == old.length and old.read_only and not new.read_only):
            if not moving.isdisjoint(new_graph.parents[name]):
                kinds[name] = Kind.EARLY
        elif loses(old, new):
            # Not one whose children will be on it: with its old table it would for a while be on itself.
            is_turned = not old_graph.below(name).isdisjoint(new_graph.above(name))
            if not leaving.isdisjoint(old_graph.parents[name]) and not is_turned:
                kinds[name] = Kind.LATE
    return kinds


def loses(before: Device, after: Device) -> bool:
    """Whether those on it cannot keep all that they have of it: it gets shorter, or read-only."""
    return after.length < before.length or (after.read_only and not before.read_only)


def _first_guess(name: str, before: dict[str, Device], after: dict[str, Device]) -> Kind:
    old, new = before.get(name), after[name]
    if old is None:
        return Kind.NEW
    if old.suspended or not old.table:
        return Kind.EARLY
    if grows_pool(name, before, after):
        return Kind.GROW
    return Kind.SWITCH if needs_load(old, new) else Kind.KEEP


def grows_pool(name: str, before: dict[str, Device], after: dict[str, Device]) -> bool:
    """Whether a pool that is there gets more data or metadata. dm-thin takes neither back.

    The kernel looks at the size of the metadata device when the pool is resumed, so the pool is loaded again for it.
    """
    old, new = before.get(name), after[name]
    if old is None or not (old.is_pool and new.is_pool):
        return False
    if new.length > old.length:
        return True
    line = new.table[0]
    target = parse_target(TableLine(line.start, line.length, line.target, line.params))
    assert isinstance(target, ThinPool)
    child = target.metadata.strip("{}")
    return child in before and child in after and after[child].length > before[child].length > 0
