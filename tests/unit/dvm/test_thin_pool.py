from __future__ import annotations

import contextlib
import errno

import pytest

from drystone.base.errors import MismatchError, UsageError
from drystone.dvm.dmactivate import activate
from drystone.dvm.dmexec import execute
from drystone.dvm.instructions import Exit, Message, Resume, Suspend
from drystone.dvm.program import Program
from drystone.dvm.result import Result
from drystone.dvm.state import Device, Line, State, Transaction, observe
from drystone.dvm.thin_pool import (
    Making,
    Plan,
    parse_messages,
    plan,
    thin_id,
)
from drystone.kernel.dm.abc import DeviceMapper, DeviceNumber
from drystone.kernel.dm.simulated import SimulatedDeviceMapper
from drystone.testing.faults import Call, Fault, FaultyDeviceMapper

BASE = (
    Device("meta", table=(Line(0, 8192, "linear", "7:0 0"),)),
    Device("data", table=(Line(0, 16384, "linear", "7:0 8192"),)),
)


def pool(transaction_id: int, *messages: str) -> Device:
    line = Line(0, 16384, "thin-pool", "{meta} {data} 128 0")
    return Device("pool", "P", (line,), transaction=Transaction(transaction_id, messages))


def thin(name: str, dev_id: int) -> Device:
    return Device(name, f"U{dev_id}", (Line(0, 2048, "thin", f"{{pool}} {dev_id}"),))


def make(*devices: Device) -> SimulatedDeviceMapper:
    dm = SimulatedDeviceMapper({DeviceNumber(7, 0): 1 << 17})
    go(dm, *devices)
    return dm


def twin(name: str, dev_id: int) -> Device:
    return Device(name, f"V{dev_id}", (Line(0, 2048, "thin", f"{{pool}} {dev_id}"),))


def run(dm: DeviceMapper, program: Program) -> Result:
    return execute(program, dm, memory=contextlib.nullcontext)


def go(dm: SimulatedDeviceMapper, *devices: Device) -> None:
    result = run(dm, activate(observe(dm), State(devices)))
    assert result.outcome == "done", result


def test_messages_are_sorted_into_making_and_deleting() -> None:
    wanted = Transaction(5, ("delete 3", "create_thin 7", "create_snap 8 7", "delete 3"))
    assert parse_messages("p", wanted) == Plan(
        "p", 4, 5, (Making(7, None, "create_thin 7"), Making(8, 7, "create_snap 8 7")), (3,)
    )


@pytest.mark.parametrize(
    ("wanted", "complaint"),
    [
        (Transaction(1, ("set_transaction_id 0 1",)), "cannot be in a transaction"),
        (Transaction(1, ("create_thin",)), "cannot be in a transaction"),
        (Transaction(1, ("create_thin x",)), "no thin device id"),
        (Transaction(1, (f"create_thin {1 << 24}",)), "no thin device id"),
        (Transaction(1, ("create_thin 1", "create_snap 1 2")), "makes an id twice"),
        (Transaction(1, ("create_thin 1", "delete 1")), "makes and deletes"),
        (Transaction(1, ("create_snap 1 2", "delete 2")), "takes a snapshot of thin id 2 and deletes it"),
        (Transaction(0, ("create_thin 1",)), "nothing leads to transaction 0"),
        (Transaction(-1), "cannot be a transaction id"),
        (Transaction(1 << 64), "cannot be a transaction id"),
    ],
)
def test_messages_that_cannot_be(wanted: Transaction, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        parse_messages("p", wanted)


def test_the_rule_of_transactions() -> None:
    wanted = Transaction(5, ("create_thin 7",))
    assert plan("p", Transaction(5), wanted) is None
    assert plan("p", Transaction(4), wanted) is not None
    with pytest.raises(MismatchError, match="is at transaction 3, its owner at 5") as behind:
        plan("p", Transaction(3), wanted)
    assert "transaction 3" in behind.value.hint
    with pytest.raises(MismatchError, match="is at transaction 6, its owner at 5") as ahead:
        plan("p", Transaction(6), wanted)
    assert "transaction 6" in ahead.value.hint
    assert ahead.value.facts["kernel"] == 6


def test_ids_of_devices() -> None:
    assert thin_id(thin("a", 9), "pool") == 9
    assert thin_id(thin("a", 9), "other") is None
    assert thin_id(pool(1), "pool") is None


def test_a_pool_that_is_not_active_is_asked_when_the_program_runs() -> None:
    dm = make(*BASE, pool(1, "create_thin 1"), thin("one", 1))
    again = dm.reboot()
    go(again, *BASE, pool(1, "create_thin 1"), thin("one", 1))


def test_only_one_pool_at_a_time_is_asked() -> None:
    line = Line(0, 16384, "thin-pool", "{meta} {data} 128 0")
    second = Device("pool2", "P2", (line,), transaction=Transaction(1, ("create_thin 1",)))
    with pytest.raises(UsageError, match="cannot be asked"):
        activate(State(), State((*BASE, pool(1, "create_thin 1"), second)))


def test_a_pool_at_another_transaction_unwinds() -> None:
    dm = make(*BASE, pool(1, "create_thin 1")).reboot()
    for wanted in (pool(3, "create_thin 3"), pool(3)):
        result = run(dm, activate(State(), State((*BASE, wanted))))
        assert result.outcome == "unwound"
        assert observe(dm) == State()
        with pytest.raises(MismatchError, match="message"):
            result.require_done()


def test_a_pool_without_messages_is_moved_on_by_one() -> None:
    dm = make(*BASE, pool(0))
    go(dm, *BASE, pool(1))
    again = dm.reboot()
    go(again, *BASE, pool(2))
    found = observe(again).find("pool")
    assert found is not None
    assert found.transaction == Transaction(2)


def test_an_id_that_an_interrupted_run_made_is_made_again() -> None:
    dm = make(*BASE, pool(1, "create_thin 1"), thin("one", 1))
    dm.write("one", 0, 128)
    dm.message("pool", "create_snap 2 1")
    go(dm, *BASE, pool(2, "create_thin 2"), thin("one", 1), thin("two", 2))
    assert dm.status("two")[0].text.split()[0] == "0"


def test_the_snapshots_of_one_transaction_show_one_moment() -> None:
    """All origins, and what stands on them, are suspended before the first message and resumed after the last."""
    upper = Device("upper", "U", (Line(0, 2048, "linear", "{two} 0"),))
    thins = (thin("one", 1), thin("two", 2), upper)
    dm = make(*BASE, pool(1, "create_thin 1", "create_thin 2"), *thins)
    snapshots = pool(2, "create_thin 3", "create_snap 4 1", "create_snap 5 2", "create_snap 6 1", "create_snap 7 3")
    program = activate(observe(dm), State((*BASE, snapshots, *thins)))
    done = program.instructions[: program.instructions.index(Exit())]
    order = [
        f"{each.op} {each.device}" if isinstance(each, Suspend | Resume) else each.text
        for each in done
        if isinstance(each, Suspend | Resume | Message) and not each.insist
    ]
    first = order.index("create_snap 4 1")
    last = max(place for place, each in enumerate(order) if each == "create_snap 6 1")
    assert {"suspend one", "suspend two", "suspend upper"} == {each for each in order[:first] if "suspend" in each}
    assert order.index("suspend upper") < order.index("suspend two")
    assert order.index("create_thin 3") < order.index("suspend upper")
    assert order[last + 1 : last + 4] == ["resume one", "resume two", "resume upper"]
    assert run(dm, program).outcome == "done"
    found = observe(dm).find("pool")
    assert found is not None
    assert found.transaction == Transaction(2)


def test_a_program_that_is_run_again_deletes_no_device_that_was_acknowledged() -> None:
    dm = make(*BASE, pool(0))
    program = activate(observe(dm), State((*BASE, pool(1, "create_thin 1"))))
    assert run(dm, program).outcome == "done"
    go(dm, *BASE, pool(1), thin("one", 1))
    dm.write("one", 0, 128)
    go(dm, *BASE, pool(1))

    again = run(dm, program)

    assert again.outcome == "unwound"
    with pytest.raises(MismatchError, match="message on pool failed"):
        again.require_done()
    go(dm, *BASE, pool(1), thin("one", 1))
    assert dm.status("one")[0].text.split()[0] == "128"


def test_an_old_program_deletes_no_id_that_was_given_out_again() -> None:
    dm = make(*BASE, pool(1, "create_thin 1"))
    program = activate(observe(dm), State((*BASE, pool(2, "delete 1"))))
    assert run(dm, program).outcome == "done"
    go(dm, *BASE, pool(3, "create_thin 1"))

    assert run(dm, program).outcome == "unwound"

    go(dm, *BASE, pool(3), thin("one", 1))


def test_a_transaction_is_done_when_the_pool_has_it_on_disk() -> None:
    """The kernel answers `set_transaction_id` with success even if writing the metadata has failed."""
    dm = make(*BASE, pool(0))
    program = activate(observe(dm), State((*BASE, pool(1, "create_thin 1"))))

    def fail_what_follows(call: Call) -> Fault | None:
        return Fault(errno.EOPNOTSUPP) if call.count > 2 else None

    result = run(FaultyDeviceMapper(dm, fail_what_follows), program)

    assert result.outcome == "failed"
    assert result.error is not None
    assert result.error.errno == errno.EOPNOTSUPP
    assert "takes no changes" in result.error.hint


def test_an_id_that_two_wanted_devices_share_is_not_made() -> None:
    dm = make(*BASE, pool(0))
    with pytest.raises(UsageError, match="thin id 1 of 'pool' is given to 'one' and 'two'"):
        activate(observe(dm), State((*BASE, pool(1, "create_thin 1"), thin("one", 1), twin("two", 1))))


def test_an_id_that_somebody_else_uses_is_an_error() -> None:
    dm = make(*BASE, pool(1, "create_thin 1"), thin("one", 1))
    with pytest.raises(MismatchError, match="thin id 1 of 'pool' is in use by 'one'"):
        activate(observe(dm), State((*BASE, pool(2, "create_thin 1"), thin("two", 2))))


def test_a_pool_is_not_turned_into_something_else() -> None:
    dm = make(*BASE, pool(0))
    other = Device("pool", "P", (Line(0, 8, "zero"),))
    with pytest.raises(UsageError, match="cannot turn into a thin pool, or from one"):
        activate(observe(dm), State((*BASE, other)))
