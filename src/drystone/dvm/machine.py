"""The machine that steps through a program: registers, the table of opcodes, tries, and the trace."""

from __future__ import annotations

import contextlib
import errno
import time
from collections.abc import Callable, Mapping
from typing import Any

from drystone.base.clock import Clock
from drystone.base.errors import DrystoneError, InternalError, KernelError, MismatchError, TimedOutError
from drystone.dvm.blocks import Block
from drystone.dvm.instructions import (
    AnyInstruction,
    Begin,
    Changing,
    Clear,
    ClearFail,
    Commit,
    Create,
    Deps,
    End,
    Exit,
    Flush,
    Info,
    Instruction,
    Jmp,
    JmpErrno,
    JmpFail,
    Label,
    LiteralValue,
    Load,
    Message,
    Note,
    Reading,
    Remove,
    Rename,
    Resume,
    Status,
    Suspend,
    Table,
    TargetVersions,
    Version,
    Wait,
    Write,
)
from drystone.dvm.program import Program
from drystone.dvm.references import names_in, with_names_replaced, with_paths_replaced
from drystone.dvm.result import Failure, Left, Outcome, Result, Step
from drystone.dvm.signals import HeldSignals, InterruptedWaitError
from drystone.dvm.text import render_instruction
from drystone.kernel.dm.abc import DeviceMapper, DeviceNumber, TableLine
from drystone.kernel.dm.causes import class_of

TRIES = 3
"""How often an insisting instruction is tried."""
PAUSE_S = 0.01
"""Seconds between tries."""
BUSY_S = 5.0
"""Seconds for which `remove` is tried while the device is open: udev and its like look at new devices."""
UNKNOWN = errno.ENOTRECOVERABLE
"""The errno of an instruction of which nobody knows whether it was done: a defect of ours came in between."""

_NOTHING = (Jmp, JmpFail, JmpErrno, ClearFail, Label, Exit, Begin, End, LiteralValue, Note)

_GONE_ALREADY = {("remove", errno.ENXIO), ("message", errno.ENODATA)}
"""(opcode, errno) by which an insisting instruction learns that what it undoes is not there."""

_HINTS = {
    ("remove", errno.EBUSY): "it is open: unmount it, or close who holds it",
    ("create", errno.EBUSY): "the name or the uuid is taken",
    ("rename", errno.EBUSY): "the name is taken",
    ("suspend", errno.EBUSY): "its file system is frozen already",
    (
        "message",
        errno.EOPNOTSUPP,
    ): "the pool takes no changes, as writing its metadata failed: see its status, and dmesg",
}


class Machine:
    """Runs a checked program once.

    :param numbers: the devices that the program needs, by name.
    :param blocks: open devices by path. :param paths: major:minor of the paths in tables.
    """

    def __init__(
        self,
        program: Program,
        dm: DeviceMapper,
        numbers: dict[str, DeviceNumber],
        blocks: Mapping[str, Block],
        paths: Mapping[str, str],
        clock: Clock,
        signals: HeldSignals,
    ) -> None:
        self.code = program.instructions
        self.dm = dm
        self.numbers = numbers
        self.blocks = blocks
        self.clock = clock
        self.signals = signals
        self.pc = 0
        self.pending: tuple[int, DrystoneError] | None = None
        self.outcome: Outcome | None = None
        self.trace: list[Step] = []
        self.left: list[tuple[int, int]] = []
        self.stray: BaseException | None = None
        self.collected: dict[str, Any] = {}
        self._objects = [self.collected]
        self._labels = {each.label: pc for pc, each in enumerate(self.code) if isinstance(each, Label)}
        self._bytes = {pc: each.data for pc, each in enumerate(self.code) if isinstance(each, Write | Commit)}
        self._tables: dict[int, list[TableLine]] = {}
        self._drafts: dict[int, list[TableLine]] = {}
        self._loads_on: dict[str, list[int]] = {}
        for pc, each in enumerate(self.code):
            if isinstance(each, Load):
                self._draft(pc, each, paths)
        self._ways: dict[type[Any], Callable[[Any], object]] = {
            Version: lambda _: list(self.dm.version()),
            TargetVersions: lambda _: {each.name: list(each.version) for each in self.dm.target_versions()},
            Deps: lambda each: [str(number) for number in self.dm.deps(self._number(each.device))],
            Status: self._status,
            Table: self._table,
            Info: lambda each: _to_document(self.dm.info(self._number(each.device))),
            Wait: self._wait,
            Create: self._create,
            Remove: self._remove,
            Rename: self._rename,
            Suspend: self._suspend,
            Resume: lambda each: self.dm.resume(self._number(each.device)),
            Load: self._load,
            Clear: lambda each: self.dm.clear(self._number(each.device)),
            Message: lambda each: self.dm.message(self._number(each.device), each.text, sector=each.sector),
            Write: lambda each: self.blocks[each.device].pwrite(each.offset, self._bytes[self.pc]),
            Flush: lambda each: self.blocks[each.device].flush(),
            Commit: self._commit,
        }

    # ------------------------------------------------------------------ stepping

    def run(self) -> None:
        """Step until the program ends.

        :raises BaseException: what came in the middle and was no answer, now that the program has ended; a note on it
            tells the outcome.
        """
        while self.outcome is None:
            if self.pc >= len(self.code):
                self.outcome = "done"
                break
            each = self.code[self.pc]
            if isinstance(each, _NOTHING):
                self._step_quietly(each)
            else:
                self._step(each)
        if self.stray is not None:
            found = self.result()
            left = "; ".join(each.instruction for each in found.left)
            self.stray.add_note(f"the program went on to its end: {found.outcome}{left and ', left: '}{left}")
            raise self.stray

    def _step_quietly(self, each: Instruction) -> None:
        self.pc += 1
        match each:
            case Jmp():
                self.pc = self._labels[each.label]
            case JmpFail() if self.pending:
                self.pc = self._labels[each.label]
            case JmpErrno() if self.pending and _number_of(self.pending[1]) == getattr(errno, each.errno):
                self.pc = self._labels[each.label]
            case ClearFail():
                self.pending = None
            case Exit():
                self.outcome = each.outcome
            case Begin():
                inner: dict[str, Any] = {}
                self._objects[-1][each.key] = inner
                self._objects.append(inner)
            case End():
                self._objects.pop()
            case LiteralValue():
                self._objects[-1][each.key] = each.value
            case _:
                pass

    def _step(self, each: AnyInstruction) -> None:
        begin = time.perf_counter_ns()
        insists = getattr(each, "insist", False)
        tries, error = self._try(each, insists=insists)
        taken = time.perf_counter_ns() - begin
        number = _number_of(error) if error else 0
        self.trace.append(Step(self.pc, each.op, getattr(each, "device", ""), number, taken, tries))
        if error is not None:
            if self.pending is None:
                self.pending = self.pc, error
            if insists:
                self.left.append((self.pc, number))
            elif not self._is_dealt_with():
                self.outcome = "failed"
        self.pc += 1

    def _is_dealt_with(self) -> bool:
        following = self.code[self.pc + 1] if self.pc + 1 < len(self.code) else None
        return isinstance(following, JmpFail | JmpErrno | ClearFail)

    def _try(self, each: AnyInstruction, *, insists: bool) -> tuple[int, DrystoneError | None]:
        """How often it was tried, and the last failure."""
        deadline = self.clock.monotonic() + BUSY_S
        # A flush that failed is not tried again: what it could not write may be dropped, and the next one tells nothing
        # of it (fsync(2)).
        most = TRIES if insists and not isinstance(each, Flush) else 1
        tries = failures = 0
        while True:
            tries += 1
            error = self._try_once(each)
            if error is None:
                return tries, None
            number = _number_of(error)
            if insists and (each.op, number) in _GONE_ALREADY:
                return tries, None
            if isinstance(each, Remove) and number == errno.EBUSY:
                if self.clock.monotonic() >= deadline:
                    return tries, error
            else:
                failures += 1
                if failures >= most:
                    return tries, error
            self.clock.sleep(PAUSE_S)

    def _try_once(self, each: AnyInstruction) -> DrystoneError | None:
        """Do it, and note the answer; what went wrong.

        The supervisor of a running program. A defect (any exception that is no DrystoneError) that left here would
        leave devices suspended: it is an InternalError instead, with which the program goes on to its undoing. Nobody
        knows whether the instruction was done, so the result has it among what is left. What is no answer at all (an
        interrupt, or the simulated device-mapper's TimedOutError: the call would wait for ever) is raised when the
        program has ended.
        """
        try:
            answer = self._ways[type(each)](each)
        except (KeyboardInterrupt, SystemExit, TimedOutError) as stray:
            self.stray = self.stray or stray
            defect: BaseException = stray
        except DrystoneError as error:
            return error
        except Exception as error:  # noqa: BLE001  # the supervisor that the docstring speaks of
            defect = error
        else:
            if isinstance(each, Reading):
                self._objects[-1][each.op] = answer
            return None
        if isinstance(each, Suspend) and not each.insist:
            self._wake(each.device)
        return InternalError(f"{type(defect).__name__}: {defect} ({_place_of(defect)})", hint=InternalError.advice)

    def _wake(self, name: str) -> None:
        """Nobody knows whether it was suspended. What undoes a suspend does no harm to a device that runs."""
        for act in (self.dm.clear, self.dm.resume):
            with contextlib.suppress(Exception):  # the supervisor's last means: what remains is told as left
                act(self.numbers[name])

    # ------------------------------------------------------------------ devices and tables

    def _number(self, name: str) -> DeviceNumber:
        number = self.numbers.get(name)
        if number is None:
            raise KernelError(self.code[self.pc].op, errno.ENXIO, device=name)
        return number

    def _draft(self, pc: int, each: Load, paths: Mapping[str, str]) -> None:
        """Prepare a table: paths become numbers now; names too where they are known."""
        self._drafts[pc] = [
            TableLine(line.start, line.length, line.target, with_paths_replaced(line.params, paths.__getitem__))
            for line in each.table
        ]
        for line in each.table:
            for name in names_in(line.params):
                self._loads_on.setdefault(name, []).append(pc)
        self._resolve(pc)

    def _resolve(self, pc: int) -> None:
        draft = self._drafts[pc]
        if all(name in self.numbers for line in draft for name in names_in(line.params)):
            self._tables[pc] = [
                TableLine(
                    line.start,
                    line.length,
                    line.target,
                    with_names_replaced(line.params, lambda name: str(self.numbers[name])),
                )
                for line in draft
            ]
        else:
            self._tables.pop(pc, None)

    def _learn(self, name: str, number: DeviceNumber | None) -> None:
        """A device of that name is there now, or (None) no longer."""
        if number is None:
            self.numbers.pop(name, None)
        else:
            self.numbers[name] = number
        for pc in self._loads_on.get(name, ()):
            self._resolve(pc)

    def _create(self, each: Create) -> None:
        self._learn(each.device, self.dm.create(each.device, each.uuid).number)

    def _remove(self, each: Remove) -> None:
        self.dm.remove(self._number(each.device))
        self._learn(each.device, None)

    def _rename(self, each: Rename) -> None:
        number = self._number(each.device)
        self.dm.rename(number, each.to)
        self._learn(each.device, None)
        self._learn(each.to, number)

    def _suspend(self, each: Suspend) -> None:
        self.dm.suspend(self._number(each.device), no_flush=each.no_flush, lock_fs=each.lock_fs)

    def _load(self, each: Load) -> None:
        number = self._number(each.device)
        table = self._tables.get(self.pc)
        if table is None:
            # What it is on was not made again: only an unwinding that failed before comes here.
            raise KernelError(each.op, errno.ENXIO, device=each.device)
        self.dm.load(number, table, read_only=each.read_only)

    def _commit(self, each: Commit) -> None:
        block = self.blocks[each.device]
        block.pwrite(each.offset, self._bytes[self.pc])
        block.flush()

    def _status(self, each: Status) -> object:
        found = self.dm.status(self._number(each.device), no_flush=each.no_flush)
        return [{"start": s.start, "length": s.length, "target": s.target, "text": s.text} for s in found]

    def _table(self, each: Table) -> object:
        found = self.dm.table(self._number(each.device), inactive=each.inactive)
        return [{"start": t.start, "length": t.length, "target": t.target, "params": t.params} for t in found]

    def _wait(self, each: Wait) -> object:
        try:
            with self.signals.let_through():
                return self.dm.wait(self._number(each.device), each.event_nr).event_nr
        except InterruptedWaitError as error:
            raise KernelError(each.op, errno.EINTR, device=each.device) from error

    # ------------------------------------------------------------------ the result

    def result(self) -> Result:
        """The document, once the program has ended."""
        assert self.outcome is not None
        outcome, undone = self.outcome, list(self.left)
        if self.pending and isinstance(self.pending[1], InternalError) and self.pending[0] not in dict(undone):
            undone.insert(0, (self.pending[0], UNKNOWN))
        if undone or (outcome == "done" and self.pending):
            outcome = "failed"
        failure = None
        if self.pending is not None and outcome != "done":
            pc, error = self.pending
            failure = _failure(pc, self.code[pc], error)
        left = [self._left(pc, number) for pc, number in undone]
        if outcome == "failed" and self.pending is not None:
            left += self._not_reached(self.pending[0], {pc for pc, _ in undone})
        return Result(outcome, self.collected, tuple(self.trace), failure, tuple(left))

    def _left(self, pc: int, number: int) -> Left:
        each = self.code[pc]
        return Left(pc, each.op, getattr(each, "device", ""), number, render_instruction(each))

    def _not_reached(self, failed: int, tried: set[int]) -> list[Left]:
        """What would have come from the failed instruction on, when there is no way back to the old state."""
        found: list[Left] = []
        for pc in range(failed, len(self.code)):
            each = self.code[pc]
            if isinstance(each, Exit):
                break
            if isinstance(each, Changing) and pc not in tried and not getattr(each, "leftover", False):
                found.append(self._left(pc, 0))
        return found


def _number_of(error: DrystoneError) -> int:
    """errno of a failure. What is no kernel's answer (a target that is missing here) counts as EINVAL."""
    if isinstance(error, InternalError):
        return UNKNOWN
    return error.errno if isinstance(error, KernelError) else errno.EINVAL


def _place_of(error: BaseException) -> str:
    """The innermost file and line of its traceback, without reading the file."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    if place is None:
        return "?"
    file = place.tb_frame.f_code.co_filename.rpartition("/")[2]
    return f"{file}:{place.tb_lineno}"


def _failure(pc: int, each: AnyInstruction, error: DrystoneError) -> Failure:
    number = _number_of(error)
    code, hint = error.code, error.hint or _HINTS.get((each.op, number), "")
    if isinstance(error, KernelError) and not isinstance(each, Write | Flush | Commit):
        code = class_of(each.op, number).code
    if isinstance(each, Message) and each.text.startswith("set_transaction_id") and number == errno.EINVAL:
        code = MismatchError.code
        hint = "the thin pool is at another transaction id than its owner's metadata: look at its status"
    name, device = errno.errorcode.get(number, str(number)), getattr(each, "device", "")
    # The call was made by number; people know the device by its name.
    message = KernelError(each.op, number, device=device).message if isinstance(error, KernelError) else error.message
    return Failure(code, pc, each.op, device, number, name, message, hint)


def _to_document(info: Any) -> dict[str, object]:
    document = {name: getattr(info, name) for name in info.__slots__}
    document["number"] = str(info.number)
    return document
