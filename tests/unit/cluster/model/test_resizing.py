"""Sizes that grow and volumes that go back, as functions of values."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from drystone.base.errors import BusyError, ExhaustedError, RefusedError, UsageError
from drystone.cluster.model.dlv import COPIED_ID, Attachment, Dlv, Rollback, Snapshot, Source
from drystone.cluster.model.layout import LARGEST_SIZE
from drystone.cluster.model.resizing import plan_rollback, resize, tell_rollback, withdraw_rollback

GIB = 1 << 30
MONDAY = Snapshot(id="m", name="monday", thin_id=1, size=GIB, status="available")
FOR_CLONE = replace(MONDAY, id="c", name="clone-1", thin_id=2, temporary=True)
SOURCE = Source(dlv="o", name="old", snapshot="s", thin_id=1)
DLV = Dlv(
    id="i", name="db", dvg="g", size=GIB, initial_size=GIB, mirrors=2, stripes=1, chunk=128, block=128,
    status="detached", epoch=5, transaction_id=2, snapshots=(MONDAY,),
)  # fmt: skip


def test_a_larger_size_is_of_the_next_epoch_and_a_file_system_follows_once() -> None:
    assert resize(DLV, 2 * GIB, grow_filesystem=False) == replace(DLV, size=2 * GIB, epoch=6)
    after = resize(DLV, GIB, grow_filesystem=True)
    assert (after.size, after.epoch, after.fill) == (GIB, 6, 6)
    assert resize(after, 2 * GIB, grow_filesystem=False).fill == 6, "what was asked before is to be done still"


@pytest.mark.parametrize(
    ("size", "changes", "error", "text"),
    [
        (GIB - 4096, {}, RefusedError, "not made smaller"),
        (GIB, {}, RefusedError, "1.0 GiB already"),
        (GIB + 1, {}, UsageError, "multiple of 4096"),
        (LARGEST_SIZE + 4096, {}, UsageError, "multiple of 4096"),
        (0, {}, UsageError, "multiple of 4096"),
        (2 * GIB, {"status": "deleting"}, BusyError, "is deleting"),
        (2 * GIB, {"source": SOURCE}, BusyError, "is a clone that is being copied from dlv old"),
        (2 * GIB, {"source": replace(SOURCE, status="whole")}, BusyError, "is a clone"),
        (2 * GIB, {"snapshots": (replace(FOR_CLONE, status="planned"),)}, BusyError, "db@clone-1, .* is planned"),
        (2 * GIB, {"snapshots": (replace(FOR_CLONE, status="creating"),)}, BusyError, "db@clone-1, .* is creating"),
    ],
)
def test_no_other_size_is_taken(size: int, changes: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        resize(replace(DLV, **changes), size, grow_filesystem=False)


def test_a_rollback_is_planned_and_told_in_one_transaction() -> None:
    planned = plan_rollback(DLV, MONDAY)
    assert planned == replace(DLV, rollback=Rollback(snapshot="m", thin_id=2))
    assert planned.next_thin_id == 3
    assert planned.rollback is not None
    told = tell_rollback(planned, planned.rollback)
    assert (told.thin_id, told.rollback, told.transaction_id, told.epoch) == (2, None, 3, 6)
    assert told.messages == ("create_snap 2 1", "delete 0")
    assert (told.size, told.snapshots) == (DLV.size, DLV.snapshots)
    again = plan_rollback(told, MONDAY)
    assert again.rollback is not None
    assert tell_rollback(again, again.rollback).messages == ("create_snap 3 1", "delete 2")
    assert withdraw_rollback(planned) == replace(DLV, epoch=6)
    with pytest.raises(RefusedError, match="is told"):
        withdraw_rollback(told)


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"status": "attached", "attachment": Attachment(ihost="h1", epoch=4)}, BusyError, "attached to h1"),
        ({"status": "attaching", "wanted": "h1"}, BusyError, "attached to h1"),
        ({"status": "creating"}, BusyError, "is creating"),
        ({"status": "deleting"}, BusyError, "is deleting"),
        ({"rollback": Rollback(snapshot="m", thin_id=2)}, BusyError, "to monday already"),
        ({"thin_id": COPIED_ID - 1}, ExhaustedError, "ran out"),
        ({"source": SOURCE}, BusyError, "is a clone that is being copied from dlv old"),
        ({"source": replace(SOURCE, status="whole")}, BusyError, "is a clone"),
    ],
)
def test_a_volume_that_could_be_open_or_is_not_there_is_not_rolled_back(
    changes: Any, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        plan_rollback(replace(DLV, **changes), MONDAY)


@pytest.mark.parametrize("status", ["planned", "creating", "deleting", "failed"])
def test_nor_to_a_snapshot_that_is_not_there_for_sure(status: Any) -> None:
    with pytest.raises(BusyError, match=f"db@monday is {status}"):
        plan_rollback(DLV, replace(MONDAY, status=status))


def test_nor_to_a_snapshot_that_goes_with_the_copying_of_a_clone() -> None:
    with pytest.raises(BusyError, match="db@clone-1 goes with"):
        plan_rollback(DLV, FOR_CLONE)


def test_a_source_gets_larger_once_the_snapshot_for_its_clone_is_made() -> None:
    """Made later, that would hold a file system that does not fit into the clone."""
    assert resize(replace(DLV, snapshots=(FOR_CLONE,)), 2 * GIB, grow_filesystem=True).size == 2 * GIB
    planned = replace(MONDAY, status="planned")
    assert resize(replace(DLV, snapshots=(planned,)), 2 * GIB, grow_filesystem=True).size == 2 * GIB
