from __future__ import annotations

import pytest

from drystone.dvm.instructions import (
    AnyInstruction,
    Clear,
    Commit,
    Create,
    Flush,
    Info,
    Jmp,
    Load,
    Message,
    Remove,
    Rename,
    Resume,
    Suspend,
    Write,
)
from drystone.dvm.inverse import inverse, is_irreversible
from drystone.dvm.state import Device, Line

OLD = (Line(0, 8, "zero"),)
NEW = (Line(0, 8, "error"),)
PLAIN = Device("a", "U", OLD)
LOADED = Device("a", "U", OLD, inactive=NEW)


@pytest.mark.parametrize(
    ("instruction", "before", "expected"),
    [
        (Create("a"), None, (Remove("a", insist=True),)),
        (
            Remove("a"),
            PLAIN,
            (Create("a", "U", insist=True), Load("a", OLD, insist=True), Resume("a", insist=True)),
        ),
        (Remove("a"), Device("a"), (Create("a", insist=True),)),
        (Remove("a"), None, None),
        (Rename("a", "b"), None, (Rename("b", "a", insist=True),)),
        (Suspend("a"), PLAIN, (Clear("a", insist=True), Resume("a", insist=True))),
        (Suspend("a"), Device("a", suspended=True), ()),
        (Load("a", NEW), PLAIN, (Clear("a", insist=True),)),
        (Load("a", NEW), LOADED, (Load("a", NEW, insist=True),)),
        (Clear("a"), LOADED, (Load("a", NEW, insist=True),)),
        (Clear("a"), PLAIN, ()),
        (Clear("a"), None, None),
        (Resume("a"), PLAIN, ()),
        (Resume("a"), Device("a", table=OLD, suspended=True), (Suspend("a", insist=True),)),
        (
            Resume("a"),
            LOADED,
            (Load("a", OLD, insist=True), Suspend("a", insist=True), Resume("a", insist=True)),
        ),
        (Resume("a"), None, None),
        (Message("p", "create_thin 7"), None, (Message("p", "delete 7", insist=True),)),
        (Message("p", "create_snap 8 7"), None, (Message("p", "delete 8", insist=True),)),
        (Message("p", "set_transaction_id 1 2"), None, (Message("p", "set_transaction_id 2 1", insist=True),)),
        (Message("p", "set_transaction_id 2 2"), None, ()),
        (Message("p", "reserve_metadata_snap"), None, (Message("p", "release_metadata_snap", insist=True),)),
        (Message("p", "delete 7"), None, None),
        (Message("p", "delete 7", leftover=True), None, ()),
        (Message("p", "anything else"), None, None),
        (Write("/x", 0, "00"), None, ()),
        (Flush("/x"), None, ()),
        (Commit("/x", 0, "00" * 512), None, None),
        (Info("a"), None, ()),
        (Jmp("l"), None, ()),
    ],
)
def test_inverses(instruction: AnyInstruction, before: Device | None, expected: object) -> None:
    assert inverse(instruction, before) == expected
    assert is_irreversible(instruction, before) is (expected is None)
