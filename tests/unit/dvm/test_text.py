from __future__ import annotations

import pytest

from drystone.base.errors import UsageError
from drystone.dvm.instructions import (
    Commit,
    Create,
    Exit,
    JmpErrno,
    LiteralValue,
    Load,
    Message,
    Note,
    Suspend,
    Table,
    Wait,
    Write,
)
from drystone.dvm.program import Needed, Program
from drystone.dvm.state import Line
from drystone.dvm.text import parse_text, render_text

TEXT = """\
program 1
device vol "a \\"b"
device other
create vol uuid=U-1 insist
load vol readonly insist
  0 2048 linear {other} 0
  2048 8 zero
suspend vol noflush nolockfs
message vol "create_thin 7" sector=8 leftover
wait vol 3
table vol inactive
write /dev/x 4096 00ff
commit /dev/x 512 00
jmp-errno ENODATA undo-1
literal k {"a":[1,null,"x y"]}
note "two words"
exit unwound
"""

PROGRAM = Program(
    (
        Create("vol", "U-1", insist=True),
        Load("vol", (Line(0, 2048, "linear", "{other} 0"), Line(2048, 8, "zero")), read_only=True, insist=True),
        Suspend("vol", no_flush=True, lock_fs=False),
        Message("vol", "create_thin 7", 8, leftover=True),
        Wait("vol", 3),
        Table("vol", inactive=True),
        Write("/dev/x", 4096, "00ff"),
        Commit("/dev/x", 512, "00"),
        JmpErrno("ENODATA", "undo-1"),
        LiteralValue("k", {"a": [1, None, "x y"]}),
        Note("two words"),
        Exit("unwound"),
    ),
    (Needed("vol", 'a "b'), Needed("other")),
)


def test_the_text_form_reads_as_documented() -> None:
    assert render_text(PROGRAM) == TEXT
    assert parse_text(TEXT) == PROGRAM


def test_comments_empty_lines_and_order_of_options_say_nothing() -> None:
    text = "# first\n\nprogram 1\n\n  # indented\ncreate a insist uuid=U  \n"
    assert parse_text(text) == Program((Create("a", "U", insist=True),))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "`program 1` was expected, nothing"),
        ("resume a", "line 1: `program 1` was expected"),
        ("program 2", "line 1: `program 1` was expected"),
        ("program 1 x", "line 1: `program 1` was expected"),
        ("program 1\nfrob a", "line 2: opcode 'frob' is not known"),
        ("program 1\n  0 8 zero", "line 2: an indented line"),
        ("program 1\nresume", "line 2: device is missing"),
        ("program 1\nresume a b", "line 2: 'b' was not expected"),
        ("program 1\nresume a size=3", "line 2: resume has no option 'size'"),
        ("program 1\nclear-fail x", "line 2: 'x' was not expected"),
        ("program 1\nwait a soon", "line 2: event_nr is a whole number"),
        ("program 1\nwait a " + "9" * 30, "line 2: event_nr is a whole number"),
        ("program 1\nexit maybe", "line 2: Invalid enum value 'maybe'"),
        ('program 1\nnote "open', "line 2: .*neither a word nor a quoted text"),
        ('program 1\nnote "a"b', "line 2: .*neither a word nor a quoted text"),
        ('program 1\nnote "\\q"', "line 2: .*no JSON text"),
        ("program 1\nload a\n  0 8\n", "line 3: `START LENGTH TARGET"),
        ("program 1\nload a\n  0 x zero\n", "line 3: length is a whole number"),
        ("program 1\nliteral k", "line 2: `literal KEY JSON`"),
        ("program 1\nliteral k {} x", "line 2: `literal KEY JSON`"),
        ("program 1\nresume a\ndevice a", "line 3: `device` lines stand before"),
        ("program 1\ndevice", "line 2: `device NAME"),
        ("program 1\ndevice a b c", "line 2: `device NAME"),
        ("program 1\ndevice a uuid=b", "line 2: `device NAME"),
    ],
)
def test_complaints_name_the_line_and_what_was_expected(text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        parse_text(text)
