"""The status of regions: what each holds, looked at closely, and whether they agree."""

from __future__ import annotations

from collections.abc import Sequence

from drystone.base.errors import BusyError, DamagedError, DrystoneError
from drystone.dvm.replication.documents import RegionStatus, Status, Transaction
from drystone.dvm.replication.regions import RegionDevice
from drystone.dvm.replication.together import gather
from drystone.dvm.replication.views import (
    AGREED,
    CLEAN,
    EVERYTHING,
    PREPARED,
    Checks,
    View,
    look,
    pages_of,
    require_some,
)
from drystone.formats.region.slots import Root, Slot
from drystone.formats.region.transactions import Change
from drystone.formats.region.trees import reach, read_data, read_root


def to_transaction(change: Change) -> Transaction:
    """A transaction as documents have it."""
    return Transaction(change.sequence, change.hash.hex(), change.parent.hex(), change.length, str(change.group))


def describe_all(devices: Sequence[RegionDevice], checks: Checks = EVERYTHING, *, closely: bool = True) -> Status:
    """The status of regions.

    :param closely: as for `describe`. :raises UsageError: there is none.
    """
    require_some(devices)

    def ask(number: int) -> tuple[View, RegionStatus]:
        view = look(devices[number], checks)
        return view, describe(view, checks, closely=closely)

    found = gather(devices, ask)
    views, regions = [view for view, _ in found], tuple(region for _, region in found)
    group = next((str(view.slot.group) for view in views if view.slot is not None), "")
    problem = next((each for each in regions if each.problem), None)
    if problem is not None and problem.state == "damaged":
        return Status(
            regions=regions,
            agreement="out-of-step",
            group=group,
            problem=f"{problem.name}: {problem.problem}",
            hint="dvm replicate recover, or leave it out and format it from the others",
        )
    try:
        checks.require(views, AGREED)
    except DrystoneError as error:  # also of a device that is in use
        return Status(regions=regions, agreement="out-of-step", group=group, problem=error.message, hint=error.hint)
    try:
        checks.require(views, CLEAN)
    except BusyError as error:
        return _describe_prepared(views, regions, group, checks, error)
    return Status(regions=regions, agreement="clean", group=group)


def describe(view: View, checks: Checks = EVERYTHING, *, closely: bool = True) -> RegionStatus:
    """The status of one region. Its newest data, and what it is prepared for, are read whole.

    :param closely: the tables of older versions are read, too, and used pages counted.
    """
    pages = view.device.pages
    if isinstance(view.error, DamagedError):
        return RegionStatus(name=view.name, state="damaged", pages=pages, problem=view.error.message)
    if view.error is not None:
        number = view.error.facts.get("errno")
        return RegionStatus(
            name=view.name,
            state="unreadable",
            pages=pages,
            problem=view.error.message,
            errno=number if isinstance(number, int) else 0,
        )
    if view.zero is None:
        return RegionStatus(name=view.name, state="unformatted", pages=pages)
    slot = view.slot
    if slot is None:
        return RegionStatus(name=view.name, state="damaged", pages=pages, problem=view.zero.problem)
    problem, versions, used = view.zero.problem, 0, 0
    try:
        versions, used = _read_all(view, slot, checks, closely=closely)
    except DrystoneError as error:
        problem = problem or error.message
    return RegionStatus(
        name=view.name,
        state="damaged" if problem else ("prepared" if slot.next else "clean"),
        pages=pages,
        region=str(slot.region),
        committed=_of_root(slot, slot.committed),
        next=_of_root(slot, slot.next) if slot.next else None,
        versions=versions,
        used_pages=used,
        problem=problem,
    )


def _read_all(view: View, slot: Slot, checks: Checks, *, closely: bool) -> tuple[int, int]:
    """How many versions a region has, and in how many pages: 0 when nobody looked closely.

    :raises DrystoneError: a page that they need cannot be read or is not what was written.
    """
    roots = [root for root in (slot.committed, slot.next) if root is not None]
    pages = pages_of(view, checks)
    for root in roots:
        read_data(pages, read_root(pages, root)[0])
    return len(read_root(pages, slot.committed)), len(reach(pages, roots).used) if closely else 0


def _describe_prepared(
    views: Sequence[View], regions: tuple[RegionStatus, ...], group: str, checks: Checks, busy: BusyError
) -> Status:
    checks.require(views, PREPARED)
    return Status(regions=regions, agreement="prepared", group=group, problem=busy.message, hint=busy.hint)


def _of_root(slot: Slot, root: Root) -> Transaction:
    return Transaction(root.sequence, root.hash.hex(), root.parent.hex(), root.length, str(slot.group))
