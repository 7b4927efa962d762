"""The check of a whole program before its first instruction runs.

Jumps go forward only, so a program ends, and one pass from the top follows every path. At each instruction two facts
are held apart, whether a failure is pending or not, with what is then true on every path that leads there (devices
known, ids made) and what may be true on one of them (devices suspended, keys written, the point of no return passed).
Where paths meet, facts of the first kind are intersected and of the second kind united.

Inspiration: dataflow analysis as compilers do it. Cost: instructions times the size of the sets that change.
"""

from __future__ import annotations

import errno as errno_names
from collections.abc import Mapping
from typing import Any, NoReturn

import msgspec
from msgspec.structs import replace

from drystone.base.errors import UsageError
from drystone.base.sizes import SECTOR
from drystone.dvm.instructions import (
    AnyInstruction,
    Begin,
    ClearFail,
    Commit,
    Create,
    End,
    Exit,
    Flush,
    Jmp,
    JmpErrno,
    JmpFail,
    Label,
    LiteralValue,
    Load,
    Message,
    Note,
    OnDevice,
    Reading,
    Remove,
    Rename,
    Resume,
    Suspend,
    Wait,
    Write,
)
from drystone.dvm.inverse import is_irreversible
from drystone.dvm.program import VERSION, Program
from drystone.dvm.references import check_device_name, check_uuid, names_in
from drystone.dvm.state import check_table
from drystone.dvm.text import render_instruction

_HANDLERS = (JmpFail, JmpErrno, ClearFail)
_QUIET = (Label, Note, Begin, End, LiteralValue, Jmp, JmpFail, JmpErrno, ClearFail, Exit)
_ERRNOS = frozenset(name for name in vars(errno_names) if name.startswith("E"))


class _Facts(msgspec.Struct, frozen=True):
    """What is known at a place. `known`, `made`, `leftover`: on every path; the others: on some path.

    :ivar leftover: (pool, id) that could not be made a moment ago, as it exists.
    :ivar is_asked: since then that pool has confirmed its transaction id.
    """

    known: frozenset[str]
    made: frozenset[tuple[str, str]] = frozenset()
    leftover: tuple[str, str] | None = None
    is_asked: bool = False
    suspended: frozenset[str] = frozenset()
    is_past: bool = False
    is_open: tuple[str, ...] = ()
    written: frozenset[tuple[str, ...]] = frozenset()


def check(program: Program, sizes: Mapping[str, int] | None = None) -> None:
    """Check the whole program.

    :param sizes: bytes of each path that is written to; None when they are not known yet.
    :raises UsageError: naming the instruction and what is wrong; facts `pc` and `instruction`.
    """
    if program.version != VERSION:
        raise UsageError(f"program version {program.version} is not known", hint=f"this one knows {VERSION}")
    names = [each.name for each in program.devices]
    for each in program.devices:
        check_device_name(each.name)
        check_uuid(each.uuid, each.name)
    if len(set(names)) != len(names):
        raise UsageError("the program needs one device twice")
    _Checker(program, sizes).run()


class _Checker:
    """One pass over the instructions. `at[pc]` holds the facts without and with a failure pending, or None."""

    def __init__(self, program: Program, sizes: Mapping[str, int] | None) -> None:
        self.code = program.instructions
        self.sizes = sizes
        self.pc = 0
        self.at: list[list[_Facts | None]] = [[None, None] for _ in range(len(self.code) + 1)]
        self.at[0][0] = _Facts(frozenset(each.name for each in program.devices))
        self.labels: dict[str, int] = {}

    def fail(self, message: str, hint: str = "") -> NoReturn:
        where, shown = f"instruction {self.pc}", ""
        if self.pc < len(self.code):
            shown = render_instruction(self.code[self.pc]).split("\n", 1)[0]
            where += f" ({shown})"
        raise UsageError(f"{where}: {message}", hint=hint, pc=self.pc, instruction=shown or None)

    def run(self) -> None:
        for pc, each in enumerate(self.code):
            self.pc = pc
            if isinstance(each, Label):
                if each.label in self.labels:
                    self.fail("the label stands twice")
                self.labels[each.label] = pc
        for pc, each in enumerate(self.code):
            self.pc = pc
            self.check_fields(each)
            clear, pending = self.at[self.pc]
            if clear is None and pending is None:
                self.fail("no path leads here")
            if isinstance(each, _QUIET):
                self.follow_quiet(each, clear, pending)
            else:
                self.follow(each, clear, pending)
        self.pc = len(self.code)
        for facts in self.at[self.pc]:
            if facts is not None:
                self.check_end(facts, "done")

    # ------------------------------------------------------------------ paths

    def reach(self, pc: int, facts: _Facts, *, pending: bool) -> None:
        there = self.at[pc][pending]
        self.at[pc][pending] = facts if there is None else self.merge(there, facts)

    def merge(self, left: _Facts, right: _Facts) -> _Facts:
        if left == right:
            return left
        if left.is_open != right.is_open:
            self.fail("paths meet here with different objects open", "every begin has its end on every path")
        return _Facts(
            left.known & right.known,
            left.made & right.made,
            left.leftover if left.leftover == right.leftover else None,
            left.is_asked and right.is_asked,
            left.suspended | right.suspended,
            left.is_past or right.is_past,
            left.is_open,
            left.written | right.written,
        )

    def jump(self, label: str) -> int:
        place = self.labels.get(label)
        if place is None:
            self.fail(f"there is no label {label!r}")
        if place <= self.pc:
            self.fail(f"the label {label!r} stands above", "jumps go forward only, so that every program ends")
        return place

    def follow_quiet(self, each: AnyInstruction, clear: _Facts | None, pending: _Facts | None) -> None:
        for is_pending, facts in ((False, clear), (True, pending)):
            if facts is None:
                if isinstance(each, Jmp | JmpFail | JmpErrno):
                    self.jump(each.label)
                continue
            match each:
                case Exit():
                    self.check_end(facts, each.outcome)
                case Jmp():
                    self.reach(self.jump(each.label), facts, pending=is_pending)
                case JmpFail() | JmpErrno():
                    self.branch(each, facts, is_pending=is_pending)
                case ClearFail():
                    self.reach(self.pc + 1, facts, pending=False)
                case _:
                    self.reach(self.pc + 1, self.objects(each, facts), pending=is_pending)

    def branch(self, each: JmpFail | JmpErrno, facts: _Facts, *, is_pending: bool) -> None:
        place = self.jump(each.label)
        if not is_pending:
            self.reach(self.pc + 1, facts, pending=False)
            return
        if isinstance(each, JmpErrno):
            self.reach(self.pc + 1, facts, pending=True)
            before = self.code[self.pc - 1] if self.pc else None
            made = _thin_id(before) if isinstance(before, Message) and each.errno == "EEXIST" else None
            facts = replace(facts, leftover=made, is_asked=False)
        self.reach(place, facts, pending=True)

    def objects(self, each: AnyInstruction, facts: _Facts) -> _Facts:
        match each:
            case Begin():
                return replace(self.write_key(facts, each.key), is_open=(*facts.is_open, each.key))
            case End():
                if not facts.is_open:
                    self.fail("no object is open")
                return replace(facts, is_open=facts.is_open[:-1])
            case LiteralValue():
                return self.write_key(facts, each.key)
        return facts

    def write_key(self, facts: _Facts, key: str) -> _Facts:
        path = (*facts.is_open, key)
        if path in facts.written:
            self.fail(f"the key {key!r} was written before", "put it into an object of its own: begin KEY ... end")
        return replace(facts, written=facts.written | {path})

    def check_end(self, facts: _Facts, outcome: str) -> None:
        if facts.suspended:
            self.fail(f"the program can end here with {min(facts.suspended)!r} suspended", "resume it before")
        if facts.is_open:
            self.fail(f"the program can end here with the object {facts.is_open[-1]!r} open")
        if outcome == "unwound" and facts.is_past:
            self.fail("this cannot be the old state: something that nothing undoes was done before")

    def follow(self, each: Any, clear: _Facts | None, pending: _Facts | None) -> None:
        insists = getattr(each, "insist", False)
        if pending is not None and not insists:
            self.fail("it can run while a failure is pending", "put jmp-fail, jmp-errno or clear-fail before it")
        if pending is not None:
            self.reach(self.pc + 1, self.effect(each, pending), pending=True)
        if clear is None:
            return
        done = self.effect(each, clear)
        self.reach(self.pc + 1, done, pending=False)
        if insists:
            self.reach(self.pc + 1, done, pending=True)
        elif self.pc + 1 < len(self.code) and isinstance(self.code[self.pc + 1], _HANDLERS):
            self.reach(self.pc + 1, replace(clear, leftover=None), pending=True)
        else:
            # Nobody deals with a failure: the program ends here when there is one, whatever object is open.
            self.check_end(replace(clear, is_open=()), "failed")

    # ------------------------------------------------------------------ effects

    def effect(self, each: Any, facts: _Facts) -> _Facts:
        """The facts after `each` has succeeded."""
        if isinstance(each, OnDevice) and not isinstance(each, Create) and each.device not in facts.known:
            self.fail(f"{each.device!r} is not known here", "name it under `devices`, or create it on every path")
        before, facts = facts, replace(facts, leftover=None, is_asked=False)
        match each:
            case Wait() if facts.suspended:
                self.fail("it would wait with a device suspended")
            case Reading():
                facts = self.write_key(facts, each.op)
            case Create() | Remove() | Rename():
                facts = self.name_devices(each, facts)
            case Suspend():
                facts = replace(facts, suspended=facts.suspended | {each.device})
            case Resume():
                facts = replace(facts, suspended=facts.suspended - {each.device})
            case Load():
                self.check_load(each, facts)
            case Message():
                facts = self.message(each, facts, before)
            case Commit():
                if facts.is_past:
                    self.fail("something that nothing undoes was done before the commit")
                facts = replace(facts, is_past=True)
            case _:
                pass
        return facts

    def name_devices(self, each: Create | Remove | Rename, facts: _Facts) -> _Facts:
        old = frozenset(() if isinstance(each, Create) else (each.device,))
        new = {Create: [each.device], Rename: [getattr(each, "to", "")], Remove: []}[type(each)]
        for name in new:
            if name in facts.known:
                self.fail(f"{name!r} is there already")
        suspended = facts.suspended - old
        if isinstance(each, Rename) and each.device in facts.suspended:
            suspended |= {each.to}
        return replace(facts, known=facts.known - old | set(new), suspended=suspended)

    def message(self, each: Message, facts: _Facts, before: _Facts) -> _Facts:
        about = _thin_id(each)
        if before.leftover is not None and _is_question(each) and each.device == before.leftover[0]:
            return replace(facts, leftover=before.leftover, is_asked=True)
        if each.text.startswith("delete ") and about is not None:
            if each.leftover:
                if before.leftover != about or not before.is_asked:
                    self.fail(
                        "a leftover is deleted only where making that id has just failed with EEXIST, "
                        "and the pool has said that it is at the transaction before",
                        'create_thin, jmp-errno EEXIST, clear-fail and "set_transaction_id N N" come before it',
                    )
                return facts
            if about in facts.made:
                return replace(facts, made=facts.made - {about})
        elif each.leftover:
            self.fail("only a `delete ID` can be of a leftover")
        elif about is not None:
            return replace(facts, made=facts.made | {about})
        return replace(facts, is_past=True) if is_irreversible(each) else facts

    # ------------------------------------------------------------------ fields

    def check_load(self, each: Load, facts: _Facts) -> None:
        for line in each.table:
            for name in names_in(line.params):
                if name not in facts.known:
                    self.fail(f"the table is on {{{name}}}, which is not known here")

    def check_fields(self, each: AnyInstruction) -> None:
        try:
            self.check_values(each)
        except UsageError as error:
            if "pc" in error.facts:
                raise
            self.fail(error.message, error.hint)

    def check_values(self, each: AnyInstruction) -> None:
        if isinstance(each, OnDevice):
            check_device_name(each.device)
        match each:
            case Create():
                check_uuid(each.uuid, each.device)
            case Rename():
                check_device_name(each.to)
            case Load():
                if not each.table:
                    self.fail("the table is empty")
                check_table(each.table, "the table")
            case Message():
                if not each.text.isprintable() or each.text != " ".join(each.text.split()) or not each.text:
                    self.fail("a message is printable words with single blanks between them")
                if not 0 <= each.sector < 1 << 63:
                    self.fail(f"{each.sector} is no sector")
            case Write() | Flush() | Commit():
                self.check_block(each)
            case _:
                self.check_words(each)

    def check_words(self, each: AnyInstruction) -> None:
        match each:
            case Wait() if not 0 <= each.event_nr < 1 << 32:
                self.fail(f"{each.event_nr} is no event number")
            case JmpErrno() if each.errno not in _ERRNOS:
                self.fail(f"{each.errno!r} is no errno", "write its name, such as ENODATA")
            case Note() if not each.text.isprintable():
                self.fail("a note is one printable line")
            case _:
                pass

    def check_block(self, each: Write | Flush | Commit) -> None:
        if not each.device.startswith("/") or not each.device.isprintable():
            self.fail(f"{each.device!r} is not an absolute path")
        size = None if self.sizes is None else self.sizes[each.device]
        if isinstance(each, Flush):
            return
        try:
            length = len(each.data)
        except ValueError:
            self.fail("the bytes are not pairs of hex digits")
        if each.hex != each.data.hex() or not length:
            self.fail("the bytes are pairs of 0-9 and a-f, one at least")
        if isinstance(each, Commit) and (length != SECTOR or each.offset % SECTOR):
            self.fail(f"a commit is one sector: {SECTOR} bytes at a multiple of {SECTOR}")
        if each.offset < 0 or (size is not None and each.offset + length > size):
            self.fail(f"bytes {each.offset} to {each.offset + length} are not within the {size} of {each.device}")


def _thin_id(message: Message) -> tuple[str, str] | None:
    """(pool, id) that a message makes or deletes."""
    match message.text.split():
        case ["create_thin", dev_id] | ["create_snap", dev_id, _] | ["delete", dev_id]:
            return message.device, dev_id
    return None


def _is_question(message: Message) -> bool:
    """Whether it asks a pool for its transaction id: `set_transaction_id N N`."""
    words = message.text.split()
    return len(words) == 3 and words[0] == "set_transaction_id" and words[1] == words[2]
