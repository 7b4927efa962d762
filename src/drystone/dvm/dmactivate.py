"""The compiler: current state and desired state to a program.

The order of a program, and why:

1. Renames, so that names are free; what an interrupted run left in inactive slots is cleared.
2. Children first, a device or a set of devices that change together at a time: new devices are created, loaded and
   resumed; pools are told what to make; where tables are swapped, all are preloaded children first, suspended parents
   first and resumed children first.
3. Parents first: devices that are not wanted go, and devices that shrink do so when nobody uses their end any more.
4. What cannot be undone: pools grow, thin ids are deleted, transaction ids are set.

Until 4 everything has an inverse, which the program carries with it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from drystone.base.errors import UsageError
from drystone.dvm.changes import Changes, Kind, compare, grows_pool, loses, needs_load
from drystone.dvm.graph import Graph, reach
from drystone.dvm.instructions import (
    AnyInstruction,
    Changing,
    Clear,
    ClearFail,
    Create,
    Jmp,
    JmpFail,
    Label,
    Load,
    Note,
    OnDevice,
    Remove,
    Rename,
    Resume,
    Suspend,
    insisting,
)
from drystone.dvm.inverse import inverse
from drystone.dvm.program import Needed, Program
from drystone.dvm.references import names_in
from drystone.dvm.state import Device, State, Transaction
from drystone.dvm.thin_pool import Plan, plan, probe, write_arrival, write_last, write_making
from drystone.dvm.unwinding import Writer


def activate(current: State, desired: State) -> Program:
    """The program that leads from `current` to `desired`; the empty one when nothing differs.

    Devices are matched by uuid where the desired one has one, else by name. Those of `current` that are not in
    `desired` are removed. Absolute paths in tables are compared as text: see `state.resolve_paths`.

    :raises UsageError: a document that cannot be (see `check_state`), or a wish that no program can fulfil.
    :raises MismatchError: a thin pool is neither at the desired transaction id nor one before it.
    """
    changes = compare(current, desired)
    asleep = [name for name, transaction in _unasked(changes).items() if transaction.messages]
    if len(asleep) > 1:
        raise UsageError(
            f"{len(asleep)} thin pools with messages cannot be asked for their transactions: {', '.join(asleep)}",
            hint="activate them one at a time, so that each can say at which transaction it is",
        )
    if asleep:
        code = _wake_pool(changes, asleep[0], current)
    else:
        writer = Writer()
        _write_changes(writer, changes)
        if writer.is_empty:
            return Program()
        code = writer.finish()
    return Program(tuple(code), _needed(code, current))


def _unasked(changes: Changes) -> dict[str, Transaction]:
    """Wanted transactions of pools whose own is not known: they are not active, or stand on a suspended device."""
    return {
        name: after.transaction
        for name, after in changes.after.items()
        if after.transaction is not None and (name not in changes.before or changes.before[name].transaction is None)
    }


def _needed(code: Iterable[AnyInstruction], current: State) -> tuple[Needed, ...]:
    """The devices of `current` that the instructions name."""
    used: set[str] = set()
    for each in code:
        if isinstance(each, OnDevice):
            used.add(each.device)
        if isinstance(each, Load):
            used.update(name for line in each.table for name in names_in(line.params))
    return tuple(Needed(device.name, device.uuid) for device in current.devices if device.name in used)


def _wake_pool(changes: Changes, pool: str, current: State) -> list[AnyInstruction]:
    """A program for a pool of which nobody knows yet whether its messages were sent.

    It brings the pool and what is below it to their desired tables and asks the pool, then goes on in one of two ways:
    each is a whole program of its own from there on.
    """
    wanted = changes.after[pool].transaction
    assert wanted is not None
    desired = State(tuple(changes.after.values()))
    inside = changes.new_graph.below(pool) | {pool}
    quiet = msgspec.structs.replace(changes.after[pool], transaction=None)
    basis = [quiet if name == pool else device for name, device in changes.after.items() if name in inside]
    uuids = {device.uuid for device in basis if device.uuid}
    before = [device for device in current.devices if device.name in inside or device.uuid in uuids]
    # What those stood on until now stays as it is for the time being.
    graph = Graph(current.devices)
    lower = {name for device in before for name in graph.below(device.name)} - {device.name for device in before}
    staying = [device for device in current.devices if device.name in lower]
    basis += [msgspec.structs.replace(device, suspended=False, inactive=()) for device in staying]
    first = compare(State((*before, *staying)), State(tuple(basis)))

    writer = Writer()
    _write_changes(writer, first)
    behind = writer.new_label("behind")
    writer.tolerate(probe(pool, wanted.transaction_id), "EINVAL", behind)
    outside = [device for device in current.devices if device not in before and device not in staying]
    for place, at in (("", wanted.transaction_id), (behind, wanted.transaction_id - 1)):
        if place:
            writer.plain(Label(place), ClearFail())
            writer.do(probe(pool, at))
        awake = msgspec.structs.replace(quiet, transaction=Transaction(at))
        middle = State((*outside, *(awake if device is quiet else device for device in basis)))
        rest = Writer(prefix=f"at{at}-", way_out=writer.target)
        _write_changes(rest, compare(middle, desired))
        writer.plain(*rest.finish())
    return writer.finish(())


def _write_changes(writer: Writer, changes: Changes) -> None:
    for old, new in changes.renames:
        rename = Rename(old, new)
        writer.do(rename, undo=inverse(rename) or ())
    for name in changes.leftovers:
        writer.do(Clear(name))
    plans = _plans(changes)
    for unit in _units(changes):
        _write_unit(writer, changes, unit, plans)
    handed = set(_handed_over(changes, changes.of_kind(Kind.SWITCH, Kind.EARLY, Kind.LATE)))
    for name in changes.old_graph.parents_first(changes.of_kind(Kind.GONE, Kind.LATE)):
        if name in handed:
            continue
        if changes.kinds[name] is Kind.LATE:
            _write_switch(writer, changes, (name,))
        else:
            remove = Remove(name)
            writer.do(remove, undo=inverse(remove, changes.before[name]) or ())
    growing = [name for name in changes.after if grows_pool(name, changes.before, changes.after)]
    for name in growing:
        _write_growth(writer, changes.before[name], changes.after[name])
    write_last(writer, plans.values(), is_past=bool(growing))


def _plans(changes: Changes) -> dict[str, Plan]:
    """What the pools that could be asked are to be told, by name."""
    plans: dict[str, Plan] = {}
    for name, after in changes.after.items():
        before = changes.before.get(name)
        if before is not None and before.table and before.is_pool != after.is_pool:
            raise UsageError(f"{name!r} cannot turn into a thin pool, or from one", hint="make it under another name")
        if before is not None and before.transaction is not None and after.transaction is not None:
            found = plan(name, before.transaction, after.transaction)
            if found is not None:
                plans[name] = found
    return plans


def _units(changes: Changes) -> list[tuple[str, ...]]:
    """What is to be done children first: single devices, and sets of devices whose tables are swapped together.

    A set comes as early as its children allow, so that what is built on it finds its new tables; and after those that
    let go of an end which it loses, as far as these do not wait for it themselves.
    """
    unit_of = _switch_sets(changes)
    busy = (Kind.NEW, Kind.EARLY, Kind.SWITCH)
    needs = _needs_of_units(changes, unit_of)
    done: dict[tuple[str, ...], None] = {}
    started: set[tuple[str, ...]] = set()
    for root in changes.new_graph.children_first(changes.after):
        stack: list[tuple[tuple[str, ...], bool]] = [(unit_of.get(root, (root,)), False)]
        while stack:
            unit, is_ready = stack.pop()
            if is_ready:
                done[unit] = None
            elif unit not in started:
                started.add(unit)
                stack.append((unit, True))
                stack += [(other, False) for other in needs[unit]]
    pools = {name for name, device in changes.after.items() if device.transaction is not None}
    return [unit for unit in done if changes.kinds[unit[0]] in busy or not pools.isdisjoint(unit)]


def _needs_of_units(
    changes: Changes, unit_of: Mapping[str, tuple[str, ...]]
) -> dict[tuple[str, ...], list[tuple[str, ...]]]:
    """What each unit comes after: what it will be on; and what was on the end of a device of it that shrinks."""
    children = changes.new_graph.children
    needs: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
    for each in changes.after:
        unit = unit_of.get(each, (each,))
        if unit not in needs:
            needs[unit] = [unit_of.get(child, (child,)) for name in unit for child in children[name]]
    for losing in changes.of_kind(Kind.SWITCH):
        if losing not in changes.before or not loses(changes.before[losing], changes.after[losing]):
            continue
        unit = unit_of[losing]
        for parent in changes.old_graph.parents[losing]:
            other = unit_of.get(parent, (parent,))
            if other not in needs or other == unit:
                continue
            below = {child for name in other for child in children[name]}.intersection(unit)
            if below and all(_carries_before(changes, child, other) for child in below):
                # What it will be on is there already, under whatever else is there: it need not wait for less.
                needs[other] = [each for each in needs[other] if each != unit]
            if unit not in reach(needs, other):
                needs[unit].append(other)
    return needs


def _carries_before(changes: Changes, name: str, upper: Collection[str]) -> bool:
    """Whether a device can, with its old table, be under the new ones of `upper`."""
    before, after = changes.before.get(name), changes.after[name]
    if before is None or before.length < after.length or (before.read_only and not after.read_only):
        return False
    return changes.old_graph.below(name).isdisjoint(upper)


def _switch_sets(changes: Changes) -> dict[str, tuple[str, ...]]:
    """Each device of kind SWITCH -> its set, children first. Two are in one set when one is on the other."""
    switching = set(changes.of_kind(Kind.SWITCH))
    set_of: dict[str, set[str]] = {name: {name} for name in switching}
    for name in switching:
        for graph in (changes.old_graph, changes.new_graph):
            for other in graph.below(name) & switching:
                merged = set_of[name] | set_of[other]
                for member in merged:
                    set_of[member] = merged
    for middle in changes.of_kind(Kind.EARLY):
        # What is below it goes first, and what is above it later: all at once, it would be loaded over what still
        # stands on it.
        lower, upper = changes.new_graph.below(middle), changes.new_graph.above(middle)
        for members in [each for each in _distinct(set_of.values()) if lower & each and upper & each]:
            for part in (members & lower, members - lower):
                set_of |= dict.fromkeys(part, part)
    return {name: tuple(changes.new_graph.children_first(members)) for name, members in set_of.items()}


def _distinct(sets: Iterable[set[str]]) -> list[set[str]]:
    """Each of the sets once."""
    return list({id(each): each for each in sets}.values())


def _write_unit(writer: Writer, changes: Changes, unit: tuple[str, ...], plans: dict[str, Plan]) -> None:
    unasked = _unasked(changes)
    asleep = changes.kinds[unit[0]] is Kind.EARLY and changes.before[unit[0]].suspended
    if not asleep:
        _write_messages(writer, changes, unit, plans)
    match changes.kinds[unit[0]]:
        case Kind.NEW:
            _write_new(writer, changes.after[unit[0]], _frozen_for(changes, changes.after[unit[0]]))
        case Kind.EARLY:
            _write_early(writer, changes, unit[0])
        case Kind.SWITCH:
            _write_switch(writer, changes, unit)
        case _:
            pass
    if asleep:
        _write_messages(writer, changes, unit, plans)
    for name in unit:
        if name in unasked:
            write_arrival(writer, name, unasked[name].transaction_id)


def _write_messages(writer: Writer, changes: Changes, unit: tuple[str, ...], plans: dict[str, Plan]) -> None:
    current, desired = State(tuple(changes.before.values())), State(tuple(changes.after.values()))
    for name in unit:
        if name in plans:
            write_making(writer, plans[name], current, desired, lambda origins: _running_from(changes, origins))


def _running_from(changes: Changes, origins: Iterable[str]) -> list[str]:
    """These devices and all that stands on them, parents first, as far as they run."""
    graph = changes.old_graph
    names = graph.parents_first({above for name in origins for above in (name, *graph.above(name))})
    return [each for each in names if changes.before[each].table and not changes.before[each].suspended]


def _frozen_for(changes: Changes, new: Device) -> list[str]:
    """What stands still, parents first, while a new snapshot of a device that has others already comes to be.

    So its file system is clean in it. Of the first one the origin's own table changes, which suspends it anyway.
    """
    origins = {line.params.split()[0] for line in new.table if line.target == "snapshot"}
    return [
        name
        for origin, before in changes.before.items()
        if changes.kinds[origin] is Kind.KEEP
        and any(line.target == "snapshot-origin" and line.params in origins for line in before.table)
        for name in _running_from(changes, (origin,))
    ]


def _write_new(writer: Writer, after: Device, frozen: Sequence[str]) -> None:
    create = Create(after.name, after.uuid)
    writer.do(create, undo=inverse(create) or ())
    # Removing it drops its tables as well: loading and resuming need no undoing of their own.
    writer.do(Load(after.name, after.table, after.read_only))
    for name in frozen:
        writer.do(Suspend(name), undo=[insisting(Resume(name))])
    writer.do(Resume(after.name), *(Resume(name) for name in reversed(frozen)))


def _write_early(writer: Writer, changes: Changes, name: str) -> None:
    before, after = changes.before[name], changes.after[name]
    if before.table and not before.suspended:
        _write_switch(writer, changes, (name,))
        return
    _write_handover(writer, changes, (name,))
    # A pool that grows is resumed as it was: growing comes last.
    if needs_load(before, after) and not grows_pool(name, changes.before, changes.after):
        load = Load(name, after.table, after.read_only)
        writer.do(load, undo=inverse(load) or ())
    writer.do(Resume(name))
    if before.suspended:
        # It was left in the middle of a change. Its old table may no longer fit what is below it: only forward is safe.
        writer.seal()


def _write_switch(writer: Writer, changes: Changes, unit: tuple[str, ...]) -> None:
    """Swap the tables of `unit` (children first): preload, suspend parents first, resume children first."""
    before, after = changes.before, changes.after
    load = {name: Load(name, after[name].table, after[name].read_only) for name in unit}
    reload = {name: Load(name, before[name].table, before[name].read_only, insist=True) for name in unit}
    preloaded = [name for name in unit if not _loads_suspended(before[name], after[name])]
    held_back = [name for name in unit if name not in preloaded]
    for name in preloaded:
        writer.do(load[name], undo=inverse(load[name]) or ())
    place = writer.target
    for name in changes.old_graph.parents_first(unit):
        suspend = Suspend(name)
        writer.do(suspend, undo=inverse(suspend, before[name]) or ())
    back = _write_handover(writer, changes, unit)
    writer.do(*(load[name] for name in held_back))
    undo: list[Changing] = [reload[name] for name in preloaded]
    undo += [Suspend(name, insist=True) for name in reversed(unit)]
    undo += [reload[name] for name in held_back]
    undo += back
    undo += [Resume(name, insist=True) for name in changes.old_graph.children_first(unit)]
    # A resume that fails may have swapped the table: all of the set goes back to the old ones, whichever failed.
    writer.undo_and_skip_to(undo, place)
    writer.do(*(Resume(name) for name in unit))
    if any(_merged_stores(after[name]) - _merged_stores(before[name]) for name in unit):
        # From its first moment on a merge writes over the origin.
        writer.seal()


def _write_handover(writer: Writer, changes: Changes, unit: Sequence[str]) -> list[Changing]:
    """Remove the snapshots whose stores are merged into a device of `unit`; what brings them back.

    A store is one device's at a time. The origin is suspended meanwhile: what is written to it would be lacking in the
    snapshot, should it come back.
    """
    back: list[Changing] = []
    for name in _handed_over(changes, unit):
        undo = inverse(Remove(name), changes.before[name]) or ()
        writer.do(Remove(name), undo=undo)
        back += undo
    return back


def _handed_over(changes: Changes, names: Iterable[str]) -> list[str]:
    """The snapshots that go because their stores are merged by one of these devices."""
    stores = set().union(*(_merged_stores(changes.after[name]) for name in names))
    return [
        name
        for name in changes.of_kind(Kind.GONE)
        if any(line.target == "snapshot" and line.params.split()[1] in stores for line in changes.before[name].table)
    ]


def _merged_stores(device: Device) -> set[str]:
    """What holds the exceptions that a device merges."""
    return {line.params.split()[1] for line in device.table if line.target == "snapshot-merge"}


def _loads_suspended(before: Device, after: Device) -> bool:
    """Whether the new table must be loaded while the old one is suspended.

    A snapshot's store is read when its table is loaded, and the one that has it is removed only then.

    dm-era reads its metadata when a table is loaded, and the live one goes on writing it until it is suspended
    (Linux `drivers/md/dm-era-target.c`, era_ctr and era_postsuspend): preloaded, it would start from stale roots.
    So does dm-clone (`drivers/md/dm-clone-target.c`, clone_ctr and clone_postsuspend).
    """
    keepers = [{line.target for line in device.table} & {"era", "clone"} for device in (before, after)]
    return bool(keepers[0] & keepers[1]) or bool(_merged_stores(after) - _merged_stores(before))


def _write_growth(writer: Writer, before: Device, after: Device) -> None:
    """A larger thin pool. Nothing is undone any more when it is resumed.

    A resume that fails may have grown the pool already, and then the old table no longer fits: the new one is tried
    again before the old one.
    """
    load, suspend = Load(after.name, after.table, after.read_only), Suspend(after.name)
    writer.plain(Note(f"the thin pool {after.name} grows, which cannot be undone"))
    writer.do(load, undo=inverse(load) or ())
    place = writer.target
    writer.do(suspend, undo=inverse(suspend) or ())
    reload = Load(before.name, before.table, before.read_only, insist=True)
    writer.undo_and_skip_to((reload, insisting(suspend), Resume(before.name, insist=True)), place)
    again, grown = writer.new_label("again"), writer.new_label("grown")
    writer.plain(Resume(after.name), JmpFail(again), Jmp(grown), Label(again), ClearFail())
    writer.do(load, Resume(after.name))
    writer.plain(Label(grown))
    writer.seal()
