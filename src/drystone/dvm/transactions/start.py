"""Groups become active, as a machine starts: their devices are waited for, their metadata read, their volumes made.

An update that a crash cut short is finished or undone first, when all devices are there. With `partial`, what lacks a
device does not keep the rest from becoming active.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from drystone.base.clock import Clock
from drystone.base.errors import DrystoneError, NotFoundError
from drystone.dvm.describe import describe
from drystone.dvm.discovery.devices import Devices, GroupReference
from drystone.dvm.transactions import transact
from drystone.dvm.transactions.live_group import Host
from drystone.dvm.transactions.opening import opened
from drystone.dvm.transactions.survey import Survey, explain
from drystone.dvm.volactivate import LeftOut

POLL_S = 0.5
"""Seconds between two looks for devices that are waited for."""
_CUT_SHORT = frozenset({"prepared", "interrupted", "behind"})
_HARMLESS = frozenset({"new", "outside"})


class Lacking(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A volume that lacks devices (their uuids)."""

    volume: str
    missing: tuple[str, ...]


class Started(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What became of a group.

    :ivar sequence: of the metadata that it was activated from.
    :ivar recovered: an update that was cut short was finished or undone first.
    :ivar steps: what was done, or in a rehearsal would be.
    :ivar left_out: volumes that stay as they are. :ivar degraded: raid sets that go on without some legs.
    :ivar code, message, hint: of the error that kept the group from it.
    """

    group: str
    sequence: int = 0
    recovered: bool = False
    steps: tuple[str, ...] = ()
    left_out: tuple[Lacking, ...] = ()
    degraded: tuple[Lacking, ...] = ()
    code: str = ""
    message: str = ""
    hint: str = ""


class Activated(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What `dvm activate` prints."""

    schema: Literal["drystone.dvm.activation"] = "drystone.dvm.activation"
    version: Literal[1] = 1
    groups: tuple[Started, ...] = ()
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Wish:
    """How groups become active.

    :ivar partial: also without what lacks a device. :ivar only: names of volumes; all without.
    :ivar off: the other way: they are taken out of device-mapper.
    """

    partial: bool = False
    only: tuple[str, ...] = ()
    off: bool = False
    dry_run: bool = False


def wait_for(find: Callable[[], Devices], wait_s: float, clock: Clock) -> Devices:
    """The devices of a group, as soon as none is missing, or as they are after `wait_s` seconds.

    :raises NotFoundError: no device of it has turned up by then.
    """
    end = clock.monotonic() + wait_s
    while True:
        is_over = clock.monotonic() >= end
        try:
            found = find()
        except NotFoundError:
            if is_over:
                raise
        else:
            if is_over or not found.missing:
                return found
        clock.sleep(POLL_S)


def start(host: Host, devices: Devices, wish: Wish) -> Started:
    """Make a group's volumes active, or take them away.

    :raises MismatchError: a device is missing, and `partial` was not said. :raises DrystoneError: of a device, or of a
        program: what it did is undone.
    """
    along = host.activation(devices, partial=wish.partial, only=wish.only)
    is_recovered = not wish.dry_run and _recover(host, devices)
    with opened(devices, alone=not wish.dry_run, wait_s=host.wait_s) as survey:
        head, version = transact.read(survey, partial=wish.partial or wish.off)
        metadata = bytes(version.metadata)
        if wish.off:
            program = along.stop(metadata, dry_run=wish.dry_run)
            done = Started(group=devices.group.name, steps=() if program.is_empty else tuple(describe(program)))
        else:
            plan = along.start(metadata, dry_run=wish.dry_run)
            done = Started(
                group=devices.group.name,
                steps=plan.steps,
                left_out=_lacking(plan.left_out),
                degraded=_lacking(plan.degraded),
            )
    if not wish.dry_run:
        host.make_nodes()
    return msgspec.structs.replace(done, sequence=head.sequence, recovered=is_recovered)


def start_all(
    groups: Sequence[GroupReference], start_one: Callable[[GroupReference], Started]
) -> tuple[tuple[Started, ...], DrystoneError | None]:
    """Each of the groups, whatever became of those before it; and the first error."""
    done, first = [], None
    for group in groups:
        try:
            done.append(start_one(group))
        except DrystoneError as error:
            done.append(Started(group=group.name, code=error.code, message=error.message, hint=error.hint))
            first = first or error
    return tuple(done), first


def render_text(activated: Activated) -> list[str]:
    """A line a group for people, as a journal has it; in a rehearsal the steps below it."""
    lines: list[str] = []
    for group in activated.groups:
        lines.append(f"{group.group}: {'; '.join(_clauses(group, dry_run=activated.dry_run))}")
        lines += [f"  {step}" for step in group.steps] if activated.dry_run else []
    return lines


def _clauses(group: Started, *, dry_run: bool) -> list[str]:
    if group.message:
        return [group.message]
    count = len(group.steps)
    if count == 0:
        first = "nothing to do"
    else:
        first = f"{count} {'step' if count == 1 else 'steps'} {'would be taken' if dry_run else 'taken'}"
    clauses = [f"version {group.sequence}, {first}"]
    clauses += ["an update that was cut short was finished or undone first"] if group.recovered else []
    clauses += [f"{each.volume} is degraded (missing: {', '.join(each.missing)})" for each in group.degraded]
    return clauses + [f"{each.volume} is left out (missing: {', '.join(each.missing)})" for each in group.left_out]


def is_cut_short(found: Survey) -> bool:
    """Whether all devices are there and agree but for an update that was cut short: to finish it loses nothing."""
    codes = {each.code for each in explain(found).findings} - _HARMLESS
    return bool(codes) and codes <= _CUT_SHORT and not found.document.missing


def _recover(host: Host, devices: Devices) -> bool:
    with opened(devices, wait_s=host.wait_s) as survey:
        if not is_cut_short(survey):
            return False
    with opened(devices, write=True, wait_s=host.wait_s) as survey:
        if is_cut_short(survey):
            transact.recover(survey, ("activate",), host.now())
    return True


def _lacking(found: Sequence[LeftOut]) -> tuple[Lacking, ...]:
    return tuple(Lacking(each.name, each.missing) for each in found)
