"""Programs in plain language: what `--dry-run` shows. The exact text is `drystone.dvm.text`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from drystone.base.sizes import SECTOR, format_size
from drystone.dvm.instructions import (
    AnyInstruction,
    Clear,
    Commit,
    Create,
    Exit,
    Flush,
    Jmp,
    Label,
    LiteralValue,
    Load,
    Message,
    Note,
    Reading,
    Remove,
    Rename,
    Resume,
    Suspend,
    Write,
)
from drystone.dvm.inverse import is_irreversible
from drystone.dvm.program import Program
from drystone.dvm.state import Device

NOTHING = "Nothing to do."


def describe(program: Program) -> list[str]:
    """What the program does, a line a step, in order; then what happens when a step fails.

    Two ways through the program (a pool that has to be asked first) are told one after the other.
    """
    if program.is_empty:
        return [NOTHING]
    lines: list[str] = []
    is_final = False
    step = 0
    for block in _ways(program.instructions):
        if isinstance(block[0], Label):
            lines.append("Otherwise, when that answer was no:")
        for each in _straight(block):
            text = _tell(each)
            if text is None:
                continue
            step += 1
            final = isinstance(each, Message | Commit) and is_irreversible(each)
            is_final = is_final or final
            lines.append(f"{step:4}. {text}{' (cannot be undone)' if final else ''}")
    if any(isinstance(each, Exit) and each.outcome == "unwound" for each in program.instructions):
        lines.append("If a step fails, the steps before it are undone, in reverse order.")
    if is_final:
        lines.append("After a step that cannot be undone, the rest is tried again, and reported if it still fails.")
    return lines


def _ways(code: tuple[AnyInstruction, ...]) -> Iterator[list[AnyInstruction]]:
    """The stretches of code that end in success."""
    block: list[AnyInstruction] = []
    for each in code:
        block.append(each)
        if isinstance(each, Exit):
            if each.outcome == "done":
                yield block
            block = []
    if block:
        yield block


def _straight(block: list[AnyInstruction]) -> Iterator[AnyInstruction]:
    """The instructions of a stretch when nothing fails."""
    skipped_to = ""
    for each in block:
        if skipped_to:
            if isinstance(each, Label) and each.label == skipped_to:
                skipped_to = ""
            continue
        if isinstance(each, Jmp):
            skipped_to = each.label
        yield each


def _tell(each: AnyInstruction) -> str | None:
    teller = _TELLERS.get(type(each))
    if teller is not None:
        return teller(each)
    if isinstance(each, Reading):
        return f"ask: {each.op} {getattr(each, 'device', '')}".rstrip()
    return None


def _tell_load(each: Load) -> str:
    size = format_size(Device(each.device, table=each.table).length * SECTOR)
    lines = "; ".join(f"{line.start} {line.length} {line.target} {line.params}".rstrip() for line in each.table)
    return f"prepare a table for {each.device} ({size}{', read-only' if each.read_only else ''}): {lines}"


def _tell_message(each: Message) -> str:
    match each.text.split():
        case ["set_transaction_id", old, new] if old == new:
            return f"ask {each.device} whether it is at transaction {new}"
        case ["set_transaction_id", old, new]:
            return f"move {each.device} from transaction {old} to {new}"
        case ["create_thin", dev_id]:
            return f"make thin device {dev_id} in {each.device}"
        case ["create_snap", dev_id, origin]:
            return f"make thin device {dev_id} in {each.device}, a snapshot of {origin}"
        case ["delete", dev_id]:
            return f"delete thin device {dev_id} from {each.device}, with its data"
    return f"tell {each.device}: {each.text}"


def _tell_suspend(each: Suspend) -> str:
    waiting = "without waiting for what is in flight" if each.no_flush else "when what is in flight is finished"
    return f"hold all reads and writes of {each.device}, {waiting}"


_TELLERS: dict[type[Any], Callable[[Any], str]] = {
    Create: lambda each: f"create the device {each.device}" + (f" (uuid {each.uuid})" if each.uuid else ""),
    Remove: lambda each: f"remove the device {each.device}",
    Rename: lambda each: f"rename {each.device} to {each.to}",
    Suspend: _tell_suspend,
    Resume: lambda each: f"let {each.device} run with its newest table",
    Load: _tell_load,
    Clear: lambda each: f"drop the prepared table of {each.device}",
    Message: _tell_message,
    Write: lambda each: f"write {len(each.hex) // 2} bytes to {each.device} at byte {each.offset}",
    Flush: lambda each: f"make what was written to {each.device} durable",
    Commit: lambda each: f"commit: write one sector to {each.device} at byte {each.offset}, and make it durable",
    LiteralValue: lambda each: f"note {each.key} in the result",
    Note: lambda each: each.text,
}
