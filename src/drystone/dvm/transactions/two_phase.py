"""A program with the metadata's commit inside: the second phase of an update that also changes device-mapper.

The new tables are loaded and the devices suspended; then the metadata is committed; then the devices are resumed. Up to
the commit everything is undone when something fails; from it on everything goes forward. So nothing is ever written by
a new table while the metadata still has the old one, nor the other way round.

Where the commit goes, in a program of `dmactivate`:

* before the first resume of a device that the program has suspended; devices that are removed after that belong to
  nobody any more;
* of a program that only makes devices: before the last of them is resumed;
* of one that only removes or renames them: behind it;
* of one that must first ask a sleeping thin pool how far it is: before it, as such pools want their owner's word first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from drystone.dvm.instructions import (
    AnyInstruction,
    ClearFail,
    Commit,
    Create,
    Exit,
    Flush,
    Jmp,
    JmpErrno,
    JmpFail,
    Label,
    Message,
    Note,
    Remove,
    Rename,
    Resume,
    Suspend,
    Write,
)
from drystone.dvm.inverse import is_irreversible
from drystone.dvm.program import Program
from drystone.dvm.unwinding import Writer

Order = Literal["inside", "before", "after"]
"""Where the commit is: in the program, or before or after its run."""

PAST = "past-commit"
"""The label that leads forward from any failure after the commit."""


class Sector(msgspec.Struct, frozen=True):
    """512 bytes that go to byte `offset` of the device at `path`: one region's slot."""

    path: str
    offset: int
    data: bytes


def find_order(program: Program) -> Order:
    """Where the commit of the metadata belongs."""
    code = program.instructions
    if sum(isinstance(each, Exit) and each.outcome == "done" for each in code) > 1:
        return "before"
    return "after" if _find_place(code) is None else "inside"


def with_commit(program: Program, sectors: Sequence[Sector], text: str) -> Program:
    """The program with the commit inside; its order must be that.

    The first sector decides. The others follow, and one that fails is told and left to `dvm transact recover`.

    :param sectors: one at least. :param text: a remark on one line.
    """
    code = list(program.instructions)
    place = _find_place(code)
    assert place is not None
    end = _find_end(code)
    tail = {each.label for each in code[end:] if isinstance(each, Label)}
    undo = next(each.label for each in code[place:end] if isinstance(each, JmpFail) and each.label in tail)
    first, *others = sectors
    block: list[AnyInstruction] = [Note(text), Commit(first.path, first.offset, first.data.hex()), JmpFail(undo)]
    for each in others:
        block.append(Write(each.path, each.offset, each.data.hex(), insist=True))
        block.append(Flush(each.path, insist=True))
    if others:
        block.append(ClearFail())
    writer = Writer(prefix="commit-")
    writer.plain(*code[:place], *block, *(_redirect(each, tail) for each in code[place:end]), Exit("done"))
    writer.plain(Label(PAST), *_wake(code[:end], place), Exit("failed"), *code[end + 1 :])
    return Program(tuple(writer.finish(())), program.devices)


def _find_end(code: Sequence[AnyInstruction]) -> int:
    """Where the way without failures ends."""
    return next(pc for pc, each in enumerate(code) if isinstance(each, Exit) and each.outcome == "done")


def _find_place(code: Sequence[AnyInstruction]) -> int | None:
    """The resume that the commit comes before; None when there is none, or something irreversible before it."""
    if not code:
        return None
    end = _find_end(code)
    tail = {each.label for each in code[end:] if isinstance(each, Label)}
    suspended: set[str] = set()
    last: int | None = None
    for pc, each in enumerate(code[:end]):
        if isinstance(each, Suspend):
            suspended.add(each.device)
        if isinstance(each, Resume):
            if each.device in suspended:
                last = pc
                break
            if any(isinstance(later, JmpFail) and later.label in tail for later in code[pc + 1 : pc + 2]):
                last = pc
        if isinstance(each, Message | Commit) and is_irreversible(each):
            break
    return last


def _redirect(each: AnyInstruction, tail: set[str]) -> AnyInstruction:
    """After the commit nothing leads back."""
    if isinstance(each, Jmp | JmpFail | JmpErrno) and each.label in tail:
        return msgspec.structs.replace(each, label=PAST)
    return each


def _wake(code: Sequence[AnyInstruction], place: int) -> list[AnyInstruction]:
    """Resume whatever was made before the commit or may have been suspended, children first."""
    names: dict[str, None] = {}
    for pc, each in enumerate(code):
        match each:
            case Create() if pc < place:
                names[each.device] = None
            case Suspend():
                names[each.device] = None
            case Remove():
                names.pop(each.device, None)
            case Rename() if each.device in names:
                del names[each.device]
                names[each.to] = None
            case _:
                pass
    made = {each.device for each in code if isinstance(each, Create)}
    asleep = [name for name in names if name not in made]
    return [Resume(name, insist=True) for name in (*(n for n in names if n in made), *reversed(asleep))]
