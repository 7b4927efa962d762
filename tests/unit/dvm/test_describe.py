from __future__ import annotations

from drystone.dvm.describe import NOTHING, describe
from drystone.dvm.dmactivate import activate
from drystone.dvm.instructions import Commit, Flush, Info, LiteralValue, Note, Suspend, Write
from drystone.dvm.program import Program
from drystone.dvm.state import Device, Line, State, Transaction

BASE = (
    Device("meta", table=(Line(0, 8192, "linear", "7:0 0"),)),
    Device("data", table=(Line(0, 16384, "linear", "7:1 0"),)),
)


def pool(transaction_id: int, *messages: str) -> Device:
    line = Line(0, 16384, "thin-pool", "{meta} {data} 128 0")
    return Device("pool", "P", (line,), transaction=Transaction(transaction_id, messages))


def thin(name: str, dev_id: int) -> Device:
    return Device(name, f"U{dev_id}", (Line(0, 2048, "thin", f"{{pool}} {dev_id}"),))


def test_nothing() -> None:
    assert describe(Program()) == [NOTHING]


def test_a_transaction_in_words() -> None:
    program = activate(
        State((*BASE, pool(1), thin("one", 1))),
        State((*BASE, pool(2, "create_snap 2 1", "delete 9"), thin("one", 1), thin("two", 2))),
    )
    assert describe(program) == [
        "   1. hold all reads and writes of one, when what is in flight is finished",
        "   2. make thin device 2 in pool, a snapshot of 1",
        "   3. let one run with its newest table",
        "   4. create the device two (uuid U2)",
        "   5. prepare a table for two (1.0 MiB): 0 2048 thin {pool} 2",
        "   6. let two run with its newest table",
        "   7. ask pool whether it is at transaction 1",
        "   8. delete thin device 9 from pool, with its data (cannot be undone)",
        "   9. move pool from transaction 1 to 2",
        "  10. ask pool whether it is at transaction 2",
        "If a step fails, the steps before it are undone, in reverse order.",
        "After a step that cannot be undone, the rest is tried again, and reported if it still fails.",
    ]


def test_two_ways_are_told_one_after_the_other() -> None:
    lines = describe(activate(State(BASE), State((*BASE, pool(1, "create_thin 1")))))
    assert lines == [
        "   1. create the device pool (uuid P)",
        "   2. prepare a table for pool (8.0 MiB): 0 16384 thin-pool {meta} {data} 128 0",
        "   3. let pool run with its newest table",
        "   4. ask pool whether it is at transaction 1",
        "Otherwise, when that answer was no:",
        "   5. ask pool whether it is at transaction 0",
        "   6. make thin device 1 in pool",
        "   7. move pool from transaction 0 to 1",
        "   8. ask pool whether it is at transaction 1",
        "If a step fails, the steps before it are undone, in reverse order.",
    ]


def test_a_pool_that_grows_says_so() -> None:
    larger = Device("data", table=(Line(0, 32768, "linear", "7:1 0"),))
    grown = Device("pool", "P", (Line(0, 32768, "thin-pool", "{meta} {data} 128 0"),), transaction=Transaction(1))
    lines = describe(activate(State((*BASE, pool(1))), State((BASE[0], larger, grown))))
    assert lines[3:7] == [
        "   4. the thin pool pool grows, which cannot be undone",
        "   5. prepare a table for pool (16.0 MiB): 0 32768 thin-pool {meta} {data} 128 0",
        "   6. hold all reads and writes of pool, when what is in flight is finished",
        "   7. let pool run with its newest table",
    ]


def test_other_instructions_in_words() -> None:
    program = Program(
        (
            Note("look"),
            Info("a"),
            LiteralValue("k", 1),
            Suspend("a", no_flush=True),
            Write("/dev/x", 4096, "0011"),
            Flush("/dev/x"),
            Commit("/dev/x", 0, "00" * 512),
        )
    )
    assert describe(program) == [
        "   1. look",
        "   2. ask: info a",
        "   3. note k in the result",
        "   4. hold all reads and writes of a, without waiting for what is in flight",
        "   5. write 2 bytes to /dev/x at byte 4096",
        "   6. make what was written to /dev/x durable",
        "   7. commit: write one sector to /dev/x at byte 0, and make it durable (cannot be undone)",
        "After a step that cannot be undone, the rest is tried again, and reported if it still fails.",
    ]
