"""A dlv gets larger, or goes back to what a snapshot of it holds: from the recorded dlv to the one to be recorded."""

from __future__ import annotations

from msgspec.structs import replace

from drystone.base.errors import BusyError, RefusedError, UsageError
from drystone.base.sizes import format_size
from drystone.cluster.model.dlv import Dlv, Rollback, Snapshot, free_thin_id
from drystone.cluster.model.layout import check_shape
from drystone.cluster.model.restoring import check_filled


def resize(dlv: Dlv, size: int, *, grow_filesystem: bool) -> Dlv:
    """A dlv of `size` bytes. Its pool is not touched: that grows when more is written than it has room for.

    :param grow_filesystem: what is on it is to follow, also when the size is the one that it has.
    :raises UsageError: no volume can have that size. :raises BusyError: it is being deleted, or restored; it is a clone
        that has not all yet; a snapshot that a clone is to be copied from is not made yet, and would hold what is
        larger than that.
    :raises RefusedError: it is larger, or as large.
    """
    check_shape(size, min(size, dlv.initial_size), dlv.mirrors, dlv.stripes)
    if dlv.status in {"deleting", "failed"}:
        raise BusyError(f"dlv {dlv.name} is {dlv.status}")
    _refuse_clone(dlv)
    check_filled(dlv)
    for each in dlv.snapshots:
        if each.temporary and each.status in {"planned", "creating"}:
            raise BusyError(
                f"snapshot {dlv.name}@{each.name}, that a clone is to be copied from, is {each.status}",
                hint="try again when it is made",
            )
    if size < dlv.size:
        raise RefusedError(
            f"dlv {dlv.name} has {format_size(dlv.size)} and is not made smaller",
            hint="make a smaller dlv, and copy what this one holds",
            size=dlv.size,
        )
    if size == dlv.size and not grow_filesystem:
        raise RefusedError(
            f"dlv {dlv.name} has {format_size(dlv.size)} already",
            hint="ask for the file system to grow, or for a larger size",
            size=dlv.size,
        )
    epoch = dlv.epoch + 1
    return replace(dlv, size=size, epoch=epoch, fill=epoch if grow_filesystem else dlv.fill)


def plan_rollback(dlv: Dlv, snapshot: Snapshot) -> Dlv:
    """A dlv that its pool will be told to roll back, with its next attachment. Its size stays.

    :raises BusyError: it is attached or to be, or not made yet; it is to be rolled back already; it is a clone that has
        not all yet; the snapshot is not there yet, or not for long. :raises ExhaustedError: thin ids ran out.
    """
    holder = dlv.wanted if dlv.attachment is None else dlv.attachment.ihost
    if holder:
        raise BusyError(
            f"dlv {dlv.name} is attached to {holder}",
            hint="unmount it and detach it first: what has it open would write over what it holds then",
        )
    if dlv.status != "detached":
        raise BusyError(f"dlv {dlv.name} is {dlv.status}", hint="wait until it is detached")
    _refuse_clone(dlv)
    if dlv.rollback is not None:
        raise BusyError(
            f"dlv {dlv.name} is to be rolled back to {name_of(dlv, dlv.rollback)} already",
            hint="cancel that job first, or attach the dlv",
        )
    if snapshot.status != "available":
        raise BusyError(
            f"snapshot {dlv.name}@{snapshot.name} is {snapshot.status}", hint="roll back to one that is available"
        )
    if snapshot.temporary:
        raise BusyError(
            f"snapshot {dlv.name}@{snapshot.name} goes with the copying of a clone", hint="roll back to one that stays"
        )
    return replace(dlv, rollback=Rollback(snapshot=snapshot.id, thin_id=free_thin_id(dlv)))


def tell_rollback(dlv: Dlv, rollback: Rollback) -> Dlv:
    """A dlv of which the pool is told: in one transaction the volume becomes a snapshot of the snapshot, and what it
    was is deleted. A kernel that knows the one or the other transaction has the one or the other volume, whole.
    """
    return replace(
        dlv,
        thin_id=rollback.thin_id,
        rollback=None,
        messages=rollback_messages(dlv, rollback),
        transaction_id=dlv.transaction_id + 1,
        epoch=dlv.epoch + 1,
    )


def give_up_told(dlv: Dlv) -> Dlv:
    """A dlv with what it held before `tell_rollback`, at the transaction before: the one that its pool is at.

    What the pool may have made for the rollback has an id that the record does not know any more; the next one that is
    given that id deletes it first (drystone.dvm.thin_pool). The next transaction has the id of this one: an old copy of
    the record would take what that makes for the volume, so it is not to count past.

    :raises UsageError: the pool was told of something else.
    """
    match [each.split() for each in dlv.messages]:
        case [["create_snap", new, _], ["delete", old]] if int(new) == dlv.thin_id:
            before = int(old)
        case _:
            raise UsageError(f"the pool of dlv {dlv.name} was told of no rollback last")
    before_it, epoch = dlv.transaction_id - 1, dlv.epoch + 1
    return replace(dlv, thin_id=before, messages=(), transaction_id=before_it, epoch=epoch, set_epoch=epoch)


def rollback_messages(dlv: Dlv, rollback: Rollback) -> tuple[str, ...]:
    """What the pool is told."""
    source = dlv.snapshot(rollback.snapshot)
    assert source is not None, "no snapshot is deleted while its dlv is to be rolled back to it"
    return (f"create_snap {rollback.thin_id} {source.thin_id}", f"delete {dlv.thin_id}")


def withdraw_rollback(dlv: Dlv) -> Dlv:
    """As it was. :raises RefusedError: the pool may have been told."""
    if dlv.rollback is None:
        raise RefusedError(f"the pool of dlv {dlv.name} is told of its rollback", hint="let the job finish")
    return replace(dlv, rollback=None, epoch=dlv.epoch + 1)


def _refuse_clone(dlv: Dlv) -> None:
    if dlv.source is not None:
        raise BusyError(
            f"dlv {dlv.name} is a clone that is being copied from dlv {dlv.source.name}",
            hint="wait until its job is finished",
        )


def name_of(dlv: Dlv, rollback: Rollback) -> str:
    """Of the snapshot that it leads to."""
    found = dlv.snapshot(rollback.snapshot)
    return rollback.snapshot if found is None else found.name
