"""Writes a program step by step, each with what undoes it, and puts the unwinding behind it.

Every instruction is followed by `jmp-fail` to the place that undoes all before it. The places follow each other in
reverse order, so undoing falls from each into the one before:

    create a            label undo-2
    jmp-fail undo-0       clear b
    load b              label undo-1
    jmp-fail undo-1       remove a
    suspend b           label undo-0
    jmp-fail undo-2       exit unwound
    ...
    exit done

`seal` marks a point of no return: what fails after it is undone back to it and ends with `exit failed`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from drystone.dvm.instructions import AnyInstruction, Changing, Exit, Jmp, JmpErrno, JmpFail, Label


class Writer:
    """A program in the making. `prefix` begins the names of its labels, so that two can stand in one program.

    :param way_out: the label where undoing goes on when all of this writer's own is undone; "" to end there.
    """

    def __init__(self, prefix: str = "", way_out: str = "") -> None:
        self._prefix = prefix
        self._code: list[AnyInstruction] = []
        self._sealed: list[AnyInstruction] = []
        self._is_sealed = False
        self._counter = 0
        self._chain: list[tuple[str, tuple[AnyInstruction, ...]]] = []
        self._push((Jmp(way_out),) if way_out else (Exit("unwound"),))

    @property
    def is_empty(self) -> bool:
        """Whether nothing was written."""
        return not self._code

    @property
    def target(self) -> str:
        """The label that undoes everything so far."""
        return self._chain[-1][0]

    def new_label(self, word: str) -> str:
        """A label that nobody else has."""
        self._counter += 1
        return f"{self._prefix}{word}-{self._counter}"

    def do(self, *instructions: Changing, undo: Iterable[AnyInstruction] = ()) -> None:
        """Instructions that go to `target` when they fail; `undo` undoes them when all have succeeded."""
        for instruction in instructions:
            self._code += [instruction, JmpFail(self.target)]
        self.undo_with(undo)

    def plain(self, *instructions: AnyInstruction) -> None:
        """Instructions as they are: labels, jumps, and what they deal with."""
        self._code += instructions

    def tolerate(self, instruction: Changing, errno: str, place: str) -> None:
        """An instruction that may fail with `errno`, which leads to the label `place`."""
        self._code += [instruction, JmpErrno(errno, place), JmpFail(self.target)]

    def undo_with(self, undo: Iterable[AnyInstruction]) -> None:
        """From here on, what fails also runs `undo`, before what was there already."""
        instructions = tuple(undo)
        if instructions:
            self._push(instructions)

    def undo_and_skip_to(self, undo: Sequence[AnyInstruction], place: str) -> None:
        """From here on, what fails runs `undo` and goes on undoing at the label `place`."""
        self._push((*undo, Jmp(place)))

    def seal(self) -> None:
        """Nothing before this is undone any more."""
        self._sealed += self._unwinding()
        self._is_sealed = True
        self._chain = []
        self._push((Exit("failed"),))

    def finish(self, ending: Iterable[AnyInstruction] = (Exit("done"),)) -> list[AnyInstruction]:
        """The whole: what was written, `ending`, and the unwinding of which something is used."""
        whole = [*self._code, *ending, *self._sealed, *self._unwinding()]
        return _without_idle_labels(whole)

    def _push(self, instructions: tuple[AnyInstruction, ...]) -> None:
        self._chain.append((self.new_label("undo"), instructions))

    def _unwinding(self) -> list[AnyInstruction]:
        code: list[AnyInstruction] = []
        for label, instructions in reversed(self._chain):
            code += [Label(label), *instructions]
        return code


def _without_idle_labels(code: list[AnyInstruction]) -> list[AnyInstruction]:
    """`code` without labels that nobody jumps to, what can then not be reached, and jumps to the next instruction."""
    while True:
        used = {each.label for each in code if isinstance(each, Jmp | JmpFail | JmpErrno)}
        kept: list[AnyInstruction] = []
        is_reached = True
        for each in code:
            if isinstance(each, Label):
                if each.label not in used:
                    continue
                is_reached = True
                if kept and isinstance(kept[-1], Jmp) and kept[-1].label == each.label:
                    kept.pop()
            if is_reached:
                kept.append(each)
            if isinstance(each, Exit | Jmp):
                is_reached = False
        if len(kept) == len(code):
            return kept
        code = kept
