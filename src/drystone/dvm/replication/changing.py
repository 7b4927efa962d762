"""What changes regions: prepare, commit, abort, recover. The other half of `replicate`, whose words hold here too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from drystone.base.errors import DamagedError, DrystoneError, MismatchError, UsageError
from drystone.dvm.replication.documents import Status, Transaction
from drystone.dvm.replication.reading import read_versions, require_views, slot_of, status
from drystone.dvm.replication.recovery import Decision, Standing, Step, decide
from drystone.dvm.replication.regions import RegionDevice
from drystone.dvm.replication.status import to_transaction
from drystone.dvm.replication.together import Answer, done_together, gather
from drystone.dvm.replication.views import CLEAN, EVERYTHING, PREPARED, USABLE, Checks, View, pages_of
from drystone.dvm.replication.writing import (
    Drafted,
    committed_slot,
    draft_versions,
    give_up,
    prepared_slot,
    rolled_back_slot,
    settle,
    verify_root,
    write_pages,
    write_slot,
)
from drystone.formats.region.drafts import Common
from drystone.formats.region.layout import LONGEST_DATA
from drystone.formats.region.slots import Slot
from drystone.formats.region.transactions import Change, next_change
from drystone.formats.region.trees import read_data


def prepare(
    devices: Sequence[RegionDevice], data: bytes, *, parent: str | None = None, checks: Checks = EVERYTHING
) -> Transaction:
    """Write `data` to every region, as what comes next. Durable when it returns; the old data stay the committed ones.

    When it fails it takes back what it did; where that fails too, and after a crash, `recover` does so.

    :param parent: hash of the transaction that `data` was made from; None takes whatever is committed.
    :raises MismatchError: another one is committed by now. :raises ExhaustedError: a region is full; nothing
        was written. :raises UsageError: more than 64 MiB.
    """
    if len(data) > LONGEST_DATA:
        raise UsageError(
            f"{len(data)} bytes are more than the {LONGEST_DATA} that a version may have", hint="is it the right file?"
        )
    views = require_views(devices, CLEAN, checks)
    committed = slot_of(views[0]).committed
    if "parent" in checks.steps and parent is not None and parent != committed.hash.hex():
        raise MismatchError(
            f"the base has moved on: the data were made from {parent[:8]}, committed is {committed.hash.hex()[:8]}",
            hint="read again, and make the change once more",
        )
    change = next_change(read_versions(views[0], checks)[0].change, data)
    common = Common()
    try:
        drafts = _of_each(views, lambda view: draft_versions(view, [(change, data)], checks, common=common))
    except DamagedError as error:
        error.hint = error.hint or "dvm replicate status; leave it out, and format it from the others"
        raise
    _flush(views, checks)
    writes = [partial(write_pages, draft.view.device, draft.pages) for draft in drafts]
    if not done_together([view.device for view in views], writes):
        for draft in drafts:
            write_pages(draft.view.device, draft.pages)
    try:
        for draft in drafts:
            write_slot(draft.view, prepared_slot(slot_of(draft.view), draft.root))
    except DrystoneError as error:
        _take_back(views, change, checks, error)
        raise
    return to_transaction(change)


def commit(devices: Sequence[RegionDevice], *, checks: Checks = EVERYTHING) -> Transaction:
    """Make what is prepared the committed data, on every region. Durable when it returns.

    From the first region on that has done so, all will: when one fails, the others go on, and the error tells
    (facts: `failed`, the names). `recover` then finishes it.

    :raises DamagedError: what is prepared is not all there; nothing was changed.
    """
    views = require_views(devices, PREPARED, checks)
    if "next" in checks.steps:
        _of_each(views, lambda view: _verify_next(view, checks))
    slots: list[tuple[View, Slot]] = []
    for view in views:
        slot = slot_of(view)
        assert slot.next is not None
        slots.append((view, committed_slot(slot, slot.next)))
    transaction = _next_of(views[0])
    _write_slots(slots, checks)
    return transaction


def _of_each(views: Sequence[View], ask: Callable[[View], Answer]) -> list[Answer]:
    return gather([view.device for view in views], lambda number: ask(views[number]))


def _verify_next(view: View, checks: Checks) -> None:
    """:raises DamagedError: what a region is prepared for is not all there."""
    root = slot_of(view).next
    assert root is not None
    verify_root(view, root, checks)


def abort(devices: Sequence[RegionDevice], *, checks: Checks = EVERYTHING) -> Transaction:
    """Give up what is prepared, on every region. Durable when it returns. The transaction that stays committed.

    When one region fails the others go on, and the error tells (facts: `failed`, the names).
    """
    views = require_views(devices, PREPARED, checks)
    transaction = to_transaction(read_versions(views[0], checks)[0].change)
    _write_slots([(view, rolled_back_slot(slot_of(view))) for view in views], checks)
    return transaction


def recover(devices: Sequence[RegionDevice], *, checks: Checks = EVERYTHING) -> Status:
    """Bring the regions together, by what they hold alone. Durable when it returns. Repeated, it does nothing.

    :raises DrystoneError: a region cannot be read, is not formatted, or neither slot is valid: leave it out.
    :raises MismatchError: a fork. :raises ExhaustedError: a region that is behind is too small. Nothing was changed.
    """
    views = require_views(devices, USABLE, checks)
    standings = [_stand(view, checks) for view in views]
    decision = decide(standings, checks.steps)
    copies = _draft_copies(views, standings, decision, checks)
    for view, step in zip(views, decision.steps, strict=True):
        root = slot_of(view).next
        if step is Step.FORWARD and root is not None:
            verify_root(view, root, checks)
    _flush(views, checks)
    for number, (view, step) in enumerate(zip(views, decision.steps, strict=True)):
        _take_step(view, step, copies.get(number))
    return status(devices, checks=checks)


def _take_step(view: View, step: Step, copy: Drafted | None) -> None:
    """Do to one region what was decided; durable when this returns."""
    slot = slot_of(view)
    if copy is not None:
        write_pages(view.device, copy.pages)
        write_slot(view, committed_slot(slot, copy.root))
    elif step is Step.BACK:
        write_slot(view, rolled_back_slot(slot))
    elif step is Step.FORWARD and slot.next is not None:
        write_slot(view, committed_slot(slot, slot.next))
    elif step is Step.MEND:
        write_slot(view, slot)


def _draft_copies(
    views: Sequence[View], standings: Sequence[Standing], decision: Decision, checks: Checks
) -> dict[int, Drafted]:
    """For each region that is behind, by its number: the versions it lacks, drafted.

    :raises DamagedError: no region at the head has all of them.
    """
    sources = [view for view in views if slot_of(view).committed.hash == decision.head]
    copies: dict[int, Drafted] = {}
    data: dict[Change, bytes] = {}
    common = Common()
    for number, (view, standing) in enumerate(zip(views, standings, strict=True)):
        if decision.steps[number] is Step.COPY:
            lacking: list[tuple[Change, bytes]] = []
            own = {change.hash for change in standing.line}
            for change in _line_of(sources, checks)[: slot_of(view).keep]:
                if change.hash in own:
                    break
                if change not in data:
                    data[change] = _read_from(sources, change, checks)
                lacking.append((change, data[change]))
            copies[number] = draft_versions(view, lacking, checks, common=common)
    return copies


def _line_of(sources: Sequence[View], checks: Checks) -> tuple[Change, ...]:
    """The longest list of versions among regions at the head, newest first."""
    lines = [tuple(version.change for version in read_versions(view, checks)) for view in sources]
    return max(lines, key=len)


def _read_from(sources: Sequence[View], change: Change, checks: Checks) -> bytes:
    """The data of a transaction, from whichever region has them.

    :raises DamagedError: none has.
    """
    problem: DrystoneError | None = None
    for view in sources:
        try:
            for version in read_versions(view, checks):
                if version.change == change:
                    return read_data(pages_of(view, checks), version)
        except DrystoneError as error:
            problem = problem or error
    raise problem or DamagedError(f"transaction {change.sequence} is in no region")


def _flush(views: Sequence[View], checks: Checks) -> None:
    """Settle every region, before the first slot is written."""
    if not done_together([view.device for view in views], [partial(settle, view, checks) for view in views]):
        for view in views:
            settle(view, checks)


def _write_slots(slots: Sequence[tuple[View, Slot]], checks: Checks) -> None:
    """Write one slot a region; all are tried.

    :raises DrystoneError: the first failure, with the names of all that failed.
    """
    _flush([view for view, _ in slots], checks)
    failed: list[str] = []
    first: DrystoneError | None = None
    for view, slot in slots:
        try:
            write_slot(view, slot)
        except DrystoneError as error:
            failed.append(view.name)
            first = first or error
    if first is not None:
        first.facts["failed"] = failed
        first.hint = first.hint or "dvm replicate recover, without the regions that fail"
        raise first


def _take_back(views: Sequence[View], change: Change, checks: Checks, cause: DrystoneError) -> None:
    """Give up a preparation that failed, as far as the regions let us; what is left is in the facts of `cause`."""
    left: list[str] = []
    for view in views:
        try:
            give_up(view, change.hash, checks)
        except DrystoneError:
            left.append(view.name)
    if left:
        cause.facts["prepared"] = left
        cause.hint = cause.hint or "dvm replicate recover, without the regions that fail"


def _stand(view: View, checks: Checks) -> Standing:
    slot = slot_of(view)
    assert view.zero is not None
    line = tuple(version.change for version in read_versions(view, checks))
    return Standing(view.name, slot, line, not view.zero.problem)


def _next_of(view: View) -> Transaction:
    slot = slot_of(view)
    root = slot.next
    assert root is not None
    return Transaction(root.sequence, root.hash.hex(), root.parent.hex(), root.length, str(slot.group))
