from __future__ import annotations

import re

import pytest

from drystone.base.errors import UsageError
from drystone.dvm.check import check
from drystone.dvm.instructions import Load, Message
from drystone.dvm.program import Needed, Program
from drystone.dvm.state import Line
from drystone.dvm.text import parse_text

SECTOR = "00" * 512


def program(text: str, *devices: str) -> Program:
    return parse_text("\n".join(["program 1", *(f"device {each}" for each in devices), text]))


def leftover_program(making: str, between: str) -> str:
    """Deletes 1 as a leftover when `making` answers EEXIST and `between` succeeds."""
    return (
        f'message a "{making}"\njmp-errno EEXIST y\njmp-fail x\nexit done\nlabel y\nclear-fail\n'
        f'message a "{between}"\njmp-fail x\n'
        'message a "delete 1" leftover\njmp-fail x\nexit done\nlabel x\nexit unwound'
    )


GOOD = [
    "",
    "info a",
    "begin a; info a; table a; end; begin b; info a; end; literal info 1",
    "suspend a; resume a insist",
    "suspend a; jmp-fail out; resume a insist; label out",
    (
        "create b; jmp-fail out; load b;  0 8 linear {a} 0; jmp-fail undo; exit done; label undo;"
        " remove b insist; label out; exit unwound"
    ),
    (
        "suspend a; jmp-fail undo; rename a b; jmp-fail resume; resume b insist; exit done; label resume;"
        " resume a insist; label undo; exit unwound"
    ),
    f'write /x 0 00; flush /x; commit /x 512 {SECTOR}; message a "delete 1"',
    (
        'message a "create_thin 1"; jmp-fail out; suspend a; jmp-fail undo; resume a insist; exit done; label undo;'
        ' message a "delete 1" insist; label out; exit unwound'
    ),
    (
        'message a "create_thin 1"; jmp-errno EEXIST left; jmp-fail out; jmp on; label left; clear-fail;'
        ' message a "set_transaction_id 3 3"; jmp-fail out; message a "delete 1" leftover; jmp-fail out; label on;'
        " exit done; label out; exit unwound"
    ),
    "status a; clear-fail; wait a 1",
]

BAD = [
    ("jmp nowhere", "instruction 0 .jmp nowhere.: there is no label 'nowhere'"),
    ("label x\njmp-fail x", "instruction 1 .*stands above"),
    ("label x\nlabel x", "instruction 1 .*stands twice"),
    ("exit done\ninfo a", "instruction 1 .*no path leads here"),
    ("begin x", "can end here with the object 'x' open"),
    ("end", "no object is open"),
    ("info a\njmp-errno EIO x\nbegin k\nlabel x\nend", "different objects open"),
    ("info a\ninfo a", "'info' was written before"),
    ("resume nothing", "'nothing' is not known here"),
    ("remove a\nresume a", "'a' is not known here"),
    ("rename a b\nresume a", "'a' is not known here"),
    ("create b\njmp-fail x\nlabel x\nclear-fail\nresume b", "'b' is not known here"),
    ("create a", "'a' is there already"),
    ("rename a a", "'a' is there already"),
    ('create b uuid="a b"', "uuid of 'b'"),
    ('create "a b"', "cannot stand in a document"),
    ("load a", "the table is empty"),
    ("load a\n  8 8 zero", "0 was expected"),
    ("load a\n  0 8 linear {b} 0", "{b}, which is not known"),
    ("suspend a", "can end here with 'a' suspended"),
    ("suspend a\nresume a", "can end here with 'a' suspended"),
    ("suspend a\nload a\n  0 8 zero\njmp-fail x\nresume a insist\nlabel x\nexit unwound", "'a' suspended"),
    ("suspend a\nresume a insist\njmp-fail x\nsuspend a\nexit done\nlabel x\nexit failed", "'a' suspended"),
    ("suspend a\nrename a b\nclear-fail\nresume b insist", "'b' is not known here"),
    ("suspend a\njmp-fail x\nwait a 1\njmp-fail x\nresume a insist\nlabel x", "wait with a device suspended"),
    ("info a\njmp-fail x\nexit done\nlabel x\nresume a", "while a failure is pending"),
    ("resume a insist\nresume a", "while a failure is pending"),
    ('message a "delete 1"\njmp-fail x\nexit done\nlabel x\nexit unwound\n', None),
    ('message a "delete 1"\njmp-fail x\nresume a\njmp-fail x\nexit done\nlabel x\nexit unwound', "cannot be the old"),
    (f'message a "delete 1"\ncommit /x 0 {SECTOR}', "before the commit"),
    (f"commit /x 0 {SECTOR}\ncommit /x 0 {SECTOR}", "before the commit"),
    ('message a "delete 1" leftover', "only where making that id has just failed"),
    (leftover_program("create_thin 2", "set_transaction_id 3 3"), "only where making that id"),
    (leftover_program("create_thin 1", "set_transaction_id 3 4"), "only where making that id"),
    (leftover_program("create_thin 1", "reserve_metadata_snap"), "only where making that id"),
    ('message a "create_thin 1" leftover', "only a `delete ID`"),
    ('message a ""', "printable words"),
    ('message a "a  b"', "printable words"),
    ("jmp-errno EWRONG x\nlabel x", "'EWRONG' is no errno"),
    ('note "a\\nb"', "one printable line"),
    ("write x 0 00", "not an absolute path"),
    ("write /x 0 0", "hex digits"),
    ("write /x 0 0G", "hex digits"),
    ('write /x 0 "00 11"', "pairs of 0-9 and a-f"),
    ('write /x 0 ""', "one at least"),
    ("commit /x 0 00", "a commit is one sector"),
    (f"commit /x 8 {SECTOR}", "a commit is one sector"),
    ("write /x 1023 0000", "are not within the 1024 of /x"),
]


@pytest.mark.parametrize("text", GOOD)
def test_good_programs_pass(text: str) -> None:
    check(program(re.sub("; ?", "\n", text), "a"), {"/x": 1024})


@pytest.mark.parametrize(("text", "complaint"), BAD)
def test_bad_programs_do_not(text: str, complaint: str | None) -> None:
    if complaint is None:
        check(program(text, "a"), {"/x": 1024})
        return
    with pytest.raises(UsageError, match=complaint):
        check(program(text, "a"), {"/x": 1024})


def test_what_only_json_can_say() -> None:
    for instruction in (
        Load("a", (Line(0, 8, "zero", "a\nb"),)),
        Message("a", "x", -1),
        Message("a", "x\ny"),
    ):
        with pytest.raises(UsageError, match="instruction 0"):
            check(Program((instruction,), (Needed("a"),)))


def test_the_devices_themselves() -> None:
    for devices, complaint in (
        ((Needed("a"), Needed("a")), "one device twice"),
        ((Needed("a b"),), "cannot stand"),
        ((Needed("a", "\n"),), "uuid"),
    ):
        with pytest.raises(UsageError, match=complaint):
            check(Program((), devices))
    with pytest.raises(UsageError, match="version 7"):
        check(Program((), (), 7))


def test_facts_are_for_machines() -> None:
    with pytest.raises(UsageError) as caught:
        check(program("info a\nsuspend b", "a"))
    assert caught.value.facts["pc"] == 1
    assert caught.value.facts["instruction"] == "suspend b"
