"""Thin pools' transactions: ids, messages, and what to do when the kernel is elsewhere.

The owner of a pool counts transactions. It writes id T and the messages that lead from T-1 to T into its own metadata
first; the kernel keeps its id in the pool's. Kernel at T: they were sent. Kernel at T-1: they are to be sent, and
`set_transaction_id T-1 T` ends them. Anything else: owner and pool do not belong together.

Order. Messages that make something are sent before the devices that need it are loaded. Those that cannot be undone
(`delete`) wait until everything else is done, and `set_transaction_id` is the very last: it is
the pool's commit. A run that was interrupted in between is repeated from the same T-1:

* an id that exists already (EEXIST) is what the interrupted run made. Nobody was told of it, so it is deleted and made
  again; when its device is already active with the wanted table it is taken as made.
* an id that is already gone (ENODATA) is gone.

A program may be run long after the states that it was made from. So the pool is asked whether it still is at T-1 right
before anything is deleted, and, as the last thing of all, whether it is at T: the kernel answers a message with success
also when writing the metadata failed after it (pool_message ignores what commit answers), but then takes no other.

Facts: Linux 6.1 `drivers/md/dm-thin.c` (pool_message), `dm-thin-metadata.c` (__create_thin, __delete_device,
dm_pool_set_transaction_id: EINVAL unless the old id given is the pool's), so `set_transaction_id T T` asks whether the
pool is at T and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import msgspec

from drystone.base.errors import MismatchError, UsageError
from drystone.dvm.instructions import ClearFail, Jmp, Label, Message, Resume, Suspend, insisting
from drystone.dvm.inverse import inverse
from drystone.dvm.state import Device, State, Transaction
from drystone.dvm.unwinding import Writer

LARGEST_ID = (1 << 24) - 1
"""Thin device ids have 24 bits."""


class Making(msgspec.Struct, frozen=True):
    """A message that makes thin device `dev_id`, empty or as a snapshot of `origin`."""

    dev_id: int
    origin: int | None
    text: str


class Plan(msgspec.Struct, frozen=True):
    """What a pool is to be told: first what makes something, then the ids to delete, then the new transaction id."""

    pool: str
    old_id: int
    new_id: int
    making: tuple[Making, ...] = ()
    deleting: tuple[int, ...] = ()


def probe(pool: str, transaction_id: int) -> Message:
    """Succeeds when the pool is at `transaction_id`; EINVAL when it is at another one. Changes nothing."""
    return Message(pool, f"set_transaction_id {transaction_id} {transaction_id}")


def plan(pool: str, kernel: Transaction, wanted: Transaction) -> Plan | None:
    """What the pool is to be told, or None: it is there already.

    :raises MismatchError: the kernel is at another id. :raises UsageError: a message that cannot be in a transaction.
    """
    parsed = parse_messages(pool, wanted)
    if kernel.transaction_id == wanted.transaction_id:
        return None
    if kernel.transaction_id + 1 != wanted.transaction_id:
        raise MismatchError(
            f"thin pool {pool!r} is at transaction {kernel.transaction_id}, its owner at {wanted.transaction_id}",
            hint=_advice(kernel.transaction_id, wanted.transaction_id),
            device=pool,
            kernel=kernel.transaction_id,
            wanted=wanted.transaction_id,
        )
    return parsed


def _advice(kernel: int, wanted: int) -> str:
    if kernel > wanted:
        return f"the owner's metadata is older than the pool: find the metadata of transaction {kernel}"
    return f"the pool is older than the owner's metadata: use the metadata of transaction {kernel}, or the right pool"


def parse_messages(pool: str, wanted: Transaction) -> Plan:
    """The messages of a transaction, sorted into what makes and what ends.

    :raises UsageError: an unknown message, an id out of range, an id that is deleted and made, or made twice, a
        snapshot of what is deleted: repeated after a kill, it would have lost its origin.
    """
    if not 0 <= wanted.transaction_id < 1 << 64:
        raise UsageError(f"{pool!r}: {wanted.transaction_id} cannot be a transaction id")
    if wanted.transaction_id == 0 and wanted.messages:
        raise UsageError(f"{pool!r}: nothing leads to transaction 0, which is the one of a new pool")
    making: list[Making] = []
    deleting: list[int] = []
    for text in wanted.messages:
        match text.split():
            case ["create_thin", new]:
                making.append(Making(_dev_id(pool, new), None, text))
            case ["create_snap", new, origin]:
                making.append(Making(_dev_id(pool, new), _dev_id(pool, origin), text))
            case ["delete", old]:
                deleting.append(_dev_id(pool, old))
            case _:
                raise UsageError(
                    f"{pool!r}: {text!r} cannot be in a transaction",
                    hint="create_thin ID, create_snap ID ORIGIN, delete ID",
                )
    made = [each.dev_id for each in making]
    if len(set(made)) != len(made) or not set(made).isdisjoint(deleting):
        raise UsageError(f"{pool!r}: one transaction makes an id twice, or makes and deletes it")
    for each in making:
        if each.origin in deleting:
            raise UsageError(
                f"{pool!r}: one transaction takes a snapshot of thin id {each.origin} and deletes it",
                hint="delete it in the transaction that follows",
            )
    # Deleting an id twice would fail: each is sent once.
    new_id = wanted.transaction_id
    return Plan(pool, new_id - 1, new_id, tuple(making), tuple(dict.fromkeys(deleting)))


def _dev_id(pool: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 8 and int(text) <= LARGEST_ID):
        raise UsageError(f"{pool!r}: {text!r} is no thin device id", hint=f"0 to {LARGEST_ID}")
    return int(text)


def thin_id(device: Device, pool: str) -> int | None:
    """The id of `device` in `pool` when it is a thin device of it."""
    for line in device.table:
        words = line.params.split()
        if line.target == "thin" and len(words) >= 2 and words[0] == f"{{{pool}}}" and words[1].isdigit():
            return int(words[1])
    return None


def holder_of(state: State, pool: str, dev_id: int) -> Device | None:
    """The device of `state` whose live table is thin device `dev_id` of `pool`."""
    return next((device for device in state.devices if thin_id(device, pool) == dev_id), None)


def write_making(
    writer: Writer, plan_: Plan, current: State, desired: State, around: Callable[[Collection[str]], list[str]]
) -> None:
    """Send what makes something. The snapshots of one transaction show one moment: all their origins stand still from
    before the first of them until after the last.

    :param around: what to suspend for snapshots of these devices, parents first.
    :raises MismatchError: an id that is to be made belongs to an active device that is not the wanted one.
    :raises UsageError: two wanted devices are on one id that is to be made.
    """
    making = [each for each in plan_.making if not _is_made(plan_, each, current, desired)]
    origins = [None if each.origin is None else holder_of(current, plan_.pool, each.origin) for each in making]
    taken = [number for number, origin in enumerate(origins) if origin is not None]
    held = around({origin.name for origin in origins if origin is not None})
    for number, each in enumerate(making):
        if taken and number == taken[0]:
            for name in held:
                writer.do(Suspend(name), undo=[insisting(Resume(name))])
        _write_one(writer, plan_, each)
        if taken and number == taken[-1]:
            writer.do(*(Resume(name) for name in reversed(held)))


def _is_made(plan_: Plan, each: Making, current: State, desired: State) -> bool:
    """Whether the id is there already, active as it is wanted: an interrupted run made it. Raises as `write_making`."""
    _check_owner(desired, plan_.pool, each.dev_id)
    holder = holder_of(current, plan_.pool, each.dev_id)
    if holder is None:
        return False
    wanted = holder_of(desired, plan_.pool, each.dev_id)
    if wanted is None or wanted.name != holder.name:
        raise MismatchError(
            f"thin id {each.dev_id} of {plan_.pool!r} is in use by {holder.name!r}",
            hint="the owner of the pool gave out an id twice",
            device=holder.name,
        )
    return True


def _check_owner(desired: State, pool: str, dev_id: int) -> None:
    """One id is one device's."""
    owners = [device.name for device in desired.devices if thin_id(device, pool) == dev_id]
    if len(owners) > 1:
        raise UsageError(
            f"thin id {dev_id} of {pool!r} is given to {owners[0]!r} and {owners[1]!r}",
            hint="give each device an id that none had before",
        )


def _write_one(writer: Writer, plan_: Plan, each: Making) -> None:
    pool = plan_.pool
    message = Message(pool, each.text)
    leftover, made = writer.new_label("leftover"), writer.new_label("made")
    writer.tolerate(message, "EEXIST", leftover)
    writer.plain(Jmp(made), Label(leftover), ClearFail())
    # Only while the pool is at T-1 is it a leftover: at T it is somebody's data, and this program ran before.
    writer.do(probe(pool, plan_.old_id), Message(pool, f"delete {each.dev_id}", leftover=True), message)
    writer.plain(Label(made))
    writer.undo_with(inverse(message) or ())


def write_arrival(writer: Writer, pool: str, transaction_id: int) -> None:
    """A pool that could not be asked, and no messages: it is at the id, or is moved there from the one before.

    That move is not undone: without messages both ids mean the same.
    """
    if transaction_id == 0:
        writer.do(probe(pool, 0))
        return
    behind, there = writer.new_label("behind"), writer.new_label("there")
    writer.tolerate(probe(pool, transaction_id), "EINVAL", behind)
    writer.plain(Jmp(there), Label(behind), ClearFail())
    writer.do(Message(pool, f"set_transaction_id {transaction_id - 1} {transaction_id}"))
    writer.plain(Label(there))


def write_last(writer: Writer, plans: Iterable[Plan], *, is_past: bool) -> None:
    """Delete what is to be deleted, then set the new transaction ids and ask for them. Everything else is done before.

    Nothing is undone any more after the first `delete` has succeeded: the rest insists.

    :param is_past: something that cannot be undone was done already.
    """
    waiting = list(plans)
    for each in waiting:
        if each.deleting:
            question = probe(each.pool, each.old_id)
            writer.do(insisting(question) if is_past else question)
        for dev_id in each.deleting:
            message = Message(each.pool, f"delete {dev_id}")
            gone, on = writer.new_label("gone"), writer.new_label("on")
            writer.tolerate(insisting(message) if is_past else message, "ENODATA", gone)
            writer.plain(Jmp(on), Label(gone), ClearFail(), Label(on))
            if not is_past:
                writer.seal()
                is_past = True
    for each in waiting:
        message = Message(each.pool, f"set_transaction_id {each.old_id} {each.new_id}")
        question = probe(each.pool, each.new_id)
        if is_past:
            writer.do(insisting(message), insisting(question))
        else:
            writer.do(message, undo=inverse(message) or ())
            writer.do(question)
