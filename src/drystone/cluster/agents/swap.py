"""Programs that change mirrors under load: one a device, those below first.

dm-mirror with `handle_errors` completes no write once a leg has failed, until its table is swapped. A suspend that
flushes waits for these writes, and passes them up as errors; without a flush they are requeued and go through the new
table. So mirrors are suspended without flush and without freezing a file system, each by itself, and before anything
above them is touched: what is above cannot be suspended while a mirror holds its writes.

A table with `nosync` clears the bits of the log, which say what a leg has missed: it is never swapped to.

Source: Linux 6.1 `drivers/md/dm-raid1.c` (hold_bio, mirror_presuspend), `drivers/md/dm.c` (__dm_suspend).
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from drystone.base.errors import RefusedError
from drystone.dvm.graph import Graph
from drystone.dvm.instructions import Create, Load, Resume, Suspend
from drystone.dvm.inverse import inverse
from drystone.dvm.program import Needed, Program
from drystone.dvm.references import names_in
from drystone.dvm.state import Device, Line, State
from drystone.dvm.tables import same_table
from drystone.dvm.unwinding import Writer
from drystone.kernel.dm.legs import Mirror
from drystone.kernel.dm.targets import Error

_PLAIN = ("error", "mirror")


def lower_names(state: State) -> list[str]:
    """The mirrors and what is below them, from below: devices on legs and on nothing but such devices."""
    tables = {device.name: device.table for device in state.devices}
    lower: set[str] = set()
    for name in Graph(state.devices).children_first(tables):
        on = {child for line in tables[name] for child in names_in(line.params)}
        mirrored = any(line.target in _PLAIN for line in tables[name])
        if on <= lower and (mirrored or not on):
            lower.add(name)
    return [device.name for device in state.devices if device.name in lower]


def swaps(current: State, desired: State) -> Iterator[Program]:
    """A program for each device of `desired`, all of them lower ones, that is not there or has another table.

    Each expects those before it to have run. What is in `current` and not desired stays.

    :raises RefusedError: a table with `nosync` for a device that is there.
    """
    there = {device.name: device for device in current.devices}
    wanted = {device.name: device for device in desired.devices}
    live = {device.name: device.table for device in without_sync(current).devices}
    plain = {device.name: device.table for device in without_sync(desired).devices}
    for name in Graph(desired.devices).children_first(wanted):
        before, after = there.get(name), wanted[name]
        is_same = before is not None and same_table(live[name], plain[name])
        if before is None or not is_same or before.suspended or before.inactive:
            if before is not None and before.table and not is_same:
                _refuse_forgetting(after)
            yield _program(before, after, there)
        there[name] = after


def fail_all(current: State) -> Iterator[Program]:
    """A program for each device of `current`, those below first, after which all I/O to it fails, also what it held."""
    devices = {device.name: device for device in current.devices}
    for name in Graph(current.devices).children_first(devices):
        before = devices[name]
        after = replace(before, table=(Line(0, before.length, Error.kind, ""),), suspended=False, inactive=())
        yield from swaps(State((before,)), State((after,)))


def mirror_of(device: Device) -> Mirror | None:
    """What a device is when it is a mirror. :raises UsageError: its parameters are no mirror's."""
    if len(device.table) != 1 or device.table[0].target != Mirror.kind:
        return None
    return Mirror.parse(device.table[0].params)


def without_sync(state: State) -> State:
    """With mirrors whose tables say nothing of how their logs begin: that counts only when they come to be."""
    devices = []
    for device in state.devices:
        mirror = mirror_of(device)
        if mirror is not None:
            line = replace(device.table[0], params=replace(mirror, sync="").to_params())
            devices.append(replace(device, table=(line,)))
        else:
            devices.append(device)
    return State(tuple(devices))


def _program(before: Device | None, after: Device, there: dict[str, Device]) -> Program:
    """Give `after` its table, whatever it had. When it fails the device has its old table and runs, or is gone."""
    writer = Writer()
    if before is None:
        create = Create(after.name, after.uuid)
        writer.do(create, undo=inverse(create) or ())
    load = Load(after.name, after.table, after.read_only)
    writer.do(load, undo=() if before is None else inverse(load) or ())
    if before is not None and before.table:
        # Also where an interrupted run left it suspended: then it changes nothing.
        suspend = Suspend(after.name, no_flush=True, lock_fs=False)
        writer.do(suspend, undo=inverse(suspend) or ())
    writer.do(Resume(after.name))
    on = [there[name] for line in after.table for name in names_in(line.params)]
    needed = [*on, before] if before is not None else on
    return Program(tuple(writer.finish()), tuple({each.name: Needed(each.name, each.uuid) for each in needed}.values()))


def _refuse_forgetting(after: Device) -> None:
    mirror = mirror_of(after)
    if mirror is not None and mirror.sync == "nosync":
        raise RefusedError(
            f"{after.name} is in use: a table with nosync would forget what its legs have missed",
            hint="nosync is for mirrors that nothing was ever written to",
        )
