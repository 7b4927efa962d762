"""What undoes an instruction, given what its device was before.

Every opcode that changes the machine has a row in `_INVERSES`; None there and in an answer means irreversible.
Reads, jumps and notes change nothing and have the empty inverse.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drystone.dvm.instructions import (
    AnyInstruction,
    Changing,
    Clear,
    Commit,
    Create,
    Flush,
    Load,
    Message,
    Remove,
    Rename,
    Resume,
    Suspend,
    Write,
)
from drystone.dvm.state import Device

Inverse = tuple[Changing, ...] | None
"""Insisting instructions in the order to run them; None: it cannot be undone."""


def inverse(instruction: AnyInstruction, before: Device | None = None) -> Inverse:
    """The instructions that undo `instruction` after it has succeeded.

    :param before: its device as it was (None: there was none of that name). A `remove`, a `resume` that swaps tables,
        a `clear` of something and a `load` over something can only be undone with it.
    """
    row = _INVERSES.get(type(instruction))
    return row(instruction, before) if row else ()


def is_irreversible(instruction: AnyInstruction, before: Device | None = None) -> bool:
    """Whether nothing undoes it."""
    return inverse(instruction, before) is None


def _undo_create(instruction: Create, _before: Device | None) -> Inverse:
    return (Remove(instruction.device, insist=True),)


def _undo_remove(instruction: Remove, before: Device | None) -> Inverse:
    if before is None:
        return None
    again: list[Changing] = [Create(instruction.device, before.uuid, insist=True)]
    if before.table:
        again += [Load(instruction.device, before.table, before.read_only, insist=True)]
        again += [Resume(instruction.device, insist=True)]
    return tuple(again)


def _undo_rename(instruction: Rename, _before: Device | None) -> Inverse:
    return (Rename(instruction.to, instruction.device, insist=True),)


def _undo_suspend(instruction: Suspend, before: Device | None) -> Inverse:
    if before is not None and before.suspended:
        return ()
    # What was loaded meanwhile must not be swapped in by the way.
    return (Clear(instruction.device, insist=True), Resume(instruction.device, insist=True))


def _undo_resume(instruction: Resume, before: Device | None) -> Inverse:
    name = instruction.device
    if before is None or (before.inactive and not before.table):
        return None
    if not before.inactive:
        return (Suspend(name, insist=True),) if before.suspended else ()
    back = (Load(name, before.table, before.read_only, insist=True), Suspend(name, insist=True))
    return back if before.suspended else (*back, Resume(name, insist=True))


def _undo_load(instruction: Load, before: Device | None) -> Inverse:
    if before is not None and before.inactive:
        return (Load(instruction.device, before.inactive, before.read_only, insist=True),)
    return (Clear(instruction.device, insist=True),)


def _undo_clear(instruction: Clear, before: Device | None) -> Inverse:
    if before is None:
        return None
    return (Load(instruction.device, before.inactive, before.read_only, insist=True),) if before.inactive else ()


def _undo_message(instruction: Message, _before: Device | None) -> Inverse:
    match instruction.text.split():
        case ["create_thin", thin_id] | ["create_snap", thin_id, _]:
            text = f"delete {thin_id}"
        case ["set_transaction_id", old, new]:
            text = f"set_transaction_id {new} {old}"
        case ["reserve_metadata_snap"]:
            text = "release_metadata_snap"
        case ["take_metadata_snap"]:
            text = "drop_metadata_snap"
        case _:
            return () if instruction.leftover else None
    if text.startswith("set_transaction_id") and text.split()[1] == text.split()[2]:
        return ()
    return (Message(instruction.device, text, instruction.sector, insist=True),)


def _undo_write(_instruction: Write | Flush, _before: Device | None) -> Inverse:
    # Nothing refers to the bytes before the commit: they go to free space.
    return ()


def _undo_commit(_instruction: Commit, _before: Device | None) -> Inverse:
    return None


_INVERSES: dict[type[Any], Callable[[Any, Device | None], Inverse]] = {
    Create: _undo_create,
    Remove: _undo_remove,
    Rename: _undo_rename,
    Suspend: _undo_suspend,
    Resume: _undo_resume,
    Load: _undo_load,
    Clear: _undo_clear,
    Message: _undo_message,
    Write: _undo_write,
    Flush: _undo_write,
    Commit: _undo_commit,
}
