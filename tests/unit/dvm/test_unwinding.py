from __future__ import annotations

from drystone.dvm.instructions import Clear, Create, Exit, JmpFail, Label, Load, Remove, Resume
from drystone.dvm.state import Line
from drystone.dvm.unwinding import Writer

TABLE = (Line(0, 8, "zero"),)


def test_undoing_falls_from_step_to_step() -> None:
    writer = Writer()
    writer.do(Create("a"), undo=[Remove("a", insist=True)])
    writer.do(Load("a", TABLE), undo=[Clear("a", insist=True)])
    writer.do(Resume("a"))
    assert writer.finish() == [
        Create("a"),
        JmpFail("undo-1"),
        Load("a", TABLE),
        JmpFail("undo-2"),
        Resume("a"),
        JmpFail("undo-3"),
        Exit("done"),
        Label("undo-3"),
        Clear("a", insist=True),
        Label("undo-2"),
        Remove("a", insist=True),
        Label("undo-1"),
        Exit("unwound"),
    ]


def test_after_the_seal_nothing_before_it_is_undone() -> None:
    writer = Writer("x-")
    writer.do(Create("a"), undo=[Remove("a", insist=True)])
    writer.seal()
    writer.do(Resume("a"))
    code = writer.finish()
    assert code == [
        Create("a"),
        JmpFail("x-undo-1"),
        Resume("a"),
        JmpFail("x-undo-3"),
        Exit("done"),
        Label("x-undo-1"),
        Exit("unwound"),
        Label("x-undo-3"),
        Exit("failed"),
    ]


def test_labels_that_nobody_uses_are_left_out_with_what_hangs_on_them() -> None:
    writer = Writer()
    writer.undo_with([Remove("a", insist=True)])
    assert writer.is_empty
    assert writer.finish() == [Exit("done")]
