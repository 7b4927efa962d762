"""Making regions: of a new group, or as further ones of a group that is there."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID, uuid4

from drystone.base.errors import DamagedError, DrystoneError, MismatchError, RefusedError, UsageError
from drystone.dvm.replication.documents import Transaction
from drystone.dvm.replication.regions import RegionDevice
from drystone.dvm.replication.status import to_transaction
from drystone.dvm.replication.views import CLEAN, EVERYTHING, Checks, View, look, look_all, pages_of
from drystone.dvm.replication.writing import write_pages
from drystone.formats.region.drafts import Draft, first_root
from drystone.formats.region.layout import LEAST_KEPT, LEAST_PAGES, MOST_KEPT, PAGE
from drystone.formats.region.slots import Slot, first_page_zero
from drystone.formats.region.transactions import Change, first_change
from drystone.formats.region.trees import Reached, read_data, read_root

KEEP = 8
"""Versions that stay readable, unless format is told otherwise."""


def format_regions(
    devices: Sequence[RegionDevice],
    *,
    group: UUID,
    keep: int = KEEP,
    force: bool = False,
    checks: Checks = EVERYTHING,
) -> Transaction:
    """Make regions of a new group: empty data, transaction 0. Durable when it returns.

    When it was interrupted, it is repeated with the same group.

    :param keep: versions that stay readable, 2 to 31. :param force: also over regions that are formatted already.
    :raises RefusedError: one is formatted already; nothing was changed. :raises UsageError: too small, or `keep`.
    :raises MismatchError: two of them are one place.
    """
    _check_new(devices, keep)
    for view in look_all(devices, checks):
        _refuse_taken(view, group, force=force)
    change = first_change(group)
    root, page = first_root(change)
    slots = [Slot(group, uuid4(), 1, device.pages, keep, root) for device in devices]
    for device, slot in zip(devices, slots, strict=True):
        _write_new(device, slot, {root.page: page})
    _read_back(devices, slots, checks)
    return to_transaction(change)


def add_regions(
    devices: Sequence[RegionDevice],
    new: Sequence[RegionDevice],
    *,
    keep: int | None = None,
    force: bool = False,
    checks: Checks = EVERYTHING,
) -> Transaction:
    """Make `new` further regions of the group of `devices`, with the same versions. Durable when it returns.

    An interrupted one leaves each of them not formatted, or complete.

    :param keep: versions that stay readable there; None takes that of the first of `devices`.
    :param force: also over regions that are formatted already, those of the same group that are out of step too.
    :raises RefusedError: one is formatted already; nothing was changed.
    :raises ExhaustedError: one is too small for the versions; nothing was changed.
    :raises DrystoneError: `devices` are not clean.
    """
    views = look_all(devices, checks)
    checks.require(views, CLEAN)
    lines = [_read_line(view, checks) for view in views]
    view, line = max(zip(views, lines, strict=True), key=lambda each: len(each[1]))
    slot = view.slot
    assert slot is not None
    wanted = slot.keep if keep is None else keep
    _check_new(new, wanted)
    for each in look_all(new, checks):
        _refuse_taken(each, None, force=force)
    drafts = [_draft(device, line[:wanted]) for device in new]
    slots = []
    for device, draft in zip(new, drafts, strict=True):
        root = draft.add_root(draft.versions)
        slots.append(Slot(slot.group, uuid4(), 1, device.pages, wanted, root))
    for device, draft, fresh in zip(new, drafts, slots, strict=True):
        _write_new(device, fresh, draft.pages)
    _read_back(new, slots, checks)
    return to_transaction(line[0][0])


def _read_line(view: View, checks: Checks) -> list[tuple[Change, bytes]]:
    """All versions of a region with their data, newest first."""
    assert view.slot is not None
    pages = pages_of(view, checks)
    return [(version.change, read_data(pages, version)) for version in read_root(pages, view.slot.committed)]


def _draft(device: RegionDevice, line: Sequence[tuple[Change, bytes]]) -> Draft:
    """:raises ExhaustedError: the region is too small."""
    draft = Draft(device.name, device.pages, Reached())
    for change, data in reversed(line):
        draft.add_version(change, data)
    return draft


def _write_new(device: RegionDevice, slot: Slot, pages: dict[int, bytes]) -> None:
    """Durable when this returns. Until the slot is written the region is not formatted."""
    if any(device.read(0, 1)):
        device.write(0, bytes(PAGE))
    write_pages(device, pages)
    device.write(0, first_page_zero(slot))
    device.flush()


def _read_back(devices: Sequence[RegionDevice], slots: Sequence[Slot], checks: Checks) -> None:
    """:raises MismatchError: what was written to one region is not there: another one is at the same place."""
    if "read-back" not in checks.steps:
        return
    for device, slot in zip(devices, slots, strict=True):
        if look(device, checks).slot != slot:
            raise MismatchError(
                f"{device.name} does not hold what was written to it: another of the regions is at the same place",
                hint="name each place once, by one path",
                device=device.name,
            )


def _check_new(devices: Sequence[RegionDevice], keep: int) -> None:
    """:raises UsageError: too small, or `keep` out of range."""
    if not LEAST_KEPT <= keep <= MOST_KEPT:
        raise UsageError(f"{keep} versions cannot be kept", hint=f"{LEAST_KEPT} to {MOST_KEPT}")
    for device in devices:
        if device.pages < LEAST_PAGES:
            raise UsageError(
                f"{device.name} has {device.pages} pages, a region has {LEAST_PAGES} or more",
                hint="256 pages are usual",
            )


def _refuse_taken(view: View, group: UUID | None, *, force: bool) -> None:
    """:raises RefusedError: it is formatted, and not by an interrupted format of this group."""
    error: DrystoneError | None = view.error
    if error is not None and not isinstance(error, DamagedError):
        raise error
    slot = view.slot
    if force or (error is None and view.zero is None):
        return
    if slot is not None and slot.group == group and slot.generation == 1 and slot.committed.sequence == 0:
        return
    whose = f"holds transaction {slot.committed.sequence} of group {slot.group}" if slot else "was formatted before"
    raise RefusedError(f"{view.name} {whose}", hint="--force destroys what it holds", device=view.name)
