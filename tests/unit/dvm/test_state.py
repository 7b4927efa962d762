from __future__ import annotations

import contextlib

import pytest
from msgspec.structs import replace

from drystone.base.documents import encode
from drystone.base.errors import UnsupportedError, UsageError
from drystone.dvm.dmactivate import activate
from drystone.dvm.dmexec import execute
from drystone.dvm.state import (
    Device,
    Line,
    State,
    Transaction,
    check_state,
    named,
    observe,
    parse_state,
    resolve_paths,
    with_uuid,
)
from drystone.kernel.dm.abc import DeviceInfo, DeviceNumber, Ref, TableLine
from drystone.kernel.dm.simulated import SimulatedDeviceMapper

DISK = DeviceNumber(7, 0)


def linear(name: str, params: str, length: int = 1024) -> Device:
    return Device(name, f"U-{name}", (Line(0, length, "linear", params),))


POOL_STATE = State(
    (
        linear("meta", "7:0 0", 8192),
        linear("data", "7:0 8192", 16384),
        Device(
            "pool",
            "U-p",
            (Line(0, 16384, "thin-pool", "{meta} {data} 128 0"),),
            transaction=Transaction(1, ("create_thin 5",)),
        ),
    )
)


def make(state: State) -> SimulatedDeviceMapper:
    dm = SimulatedDeviceMapper({DISK: 1 << 17})
    result = execute(activate(State(), state), dm, memory=contextlib.nullcontext)
    assert result.outcome == "done", result
    return dm


def test_a_state_survives_its_json() -> None:
    assert parse_state(encode(POOL_STATE)) == POOL_STATE


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[]", "Expected `object`"),
        ("{", "truncated"),
        ('{"version": 2}', "version 2"),
        ('{"devices": [{"name": "a", "colour": 1}]}', "colour"),
        ('{"devices": [{"name": "a b"}]}', "cannot stand in a document"),
        ('{"devices": [{"name": "a"}, {"name": "a"}]}', "two devices"),
        ('{"devices": [{"name": "a", "uuid": "U"}, {"name": "b", "uuid": "U"}]}', "uuid of another"),
        ('{"devices": [{"name": "a", "table": [{"start": 8, "length": 8, "target": "zero"}]}]}', "0 was expected"),
        ('{"devices": [{"name": "a", "table": [{"start": 0, "length": 0, "target": "zero"}]}]}', "0 sectors long"),
        ('{"devices": [{"name": "a", "table": [{"start": 0, "length": 8, "target": "z z"}]}]}', "target type"),
        (
            '{"devices": [{"name": "a", "table": [{"start": 0, "length": 8, "target": "x", "params": "a  b"}]}]}',
            "single blanks",
        ),
        (
            '{"devices": [{"name": "a", "table": [{"start": 0, "length": 8, "target": "linear", "params": "{b} 0"}]}]}',
            "is on {b}",
        ),
        ('{"devices": [{"name": "a", "transaction": {"transaction_id": 1}}]}', "no thin pool"),
    ],
)
def test_states_that_cannot_be(text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        parse_state(text)


def test_a_table_as_long_as_no_device_is_refused() -> None:
    with pytest.raises(UsageError, match="more than a device"):
        check_state(State((Device("a", table=(Line(0, 1 << 62, "zero"),)),)))


def test_observe_turns_numbers_into_references_and_asks_pools() -> None:
    dm = make(POOL_STATE)
    found = observe(dm)
    pool = found.find("pool")
    assert pool is not None
    assert pool.table[0].params.startswith("{meta} {data} 128 0")
    assert pool.transaction == Transaction(1)
    assert pool.length == 16384
    data = found.find("data")
    assert data is not None
    assert data.table == (Line(0, 16384, "linear", "7:0 8192"),)


def test_observe_sees_what_an_interrupted_run_left() -> None:
    dm = make(State((linear("a", "7:0 0"),)))
    dm.load("a", [TableLine(0, 2048, "zero")])
    dm.suspend("a")
    found = observe(dm).find("a")
    assert found is not None
    assert found.suspended
    assert found.inactive == (Line(0, 2048, "zero"),)
    assert found.table == (Line(0, 1024, "linear", "7:0 0"),)


def test_a_pool_on_a_suspended_device_is_not_asked() -> None:
    dm = make(POOL_STATE)
    dm.suspend("meta")
    pool = observe(dm).find("pool")
    assert pool is not None
    assert pool.transaction is None


class FailedPool(SimulatedDeviceMapper):
    """Its thin devices show no parameters any more, as the kernel's when their pool has failed."""

    def look(self, ref: Ref) -> tuple[DeviceInfo, list[TableLine]]:
        return self.info(ref), self.table(ref)

    def table(self, ref: Ref, *, inactive: bool = False) -> list[TableLine]:
        table = super().table(ref, inactive=inactive)
        return [replace(line, params="Fail") if line.target == "thin" else line for line in table]


def test_a_thin_device_on_a_failed_pool_is_taken_down_before_the_pool() -> None:
    thin = Device("thin", "U-t", (Line(0, 1024, "thin", "{pool} 5"),))
    dm = FailedPool({DISK: 1 << 17})
    for state in (POOL_STATE, State((*POOL_STATE.devices, thin))):
        assert execute(activate(observe(dm), state), dm, memory=contextlib.nullcontext).outcome == "done"
    found = observe(dm).find("thin")
    assert found is not None
    assert found.table == (Line(0, 1024, "thin", "{pool} Fail"),)
    assert execute(activate(observe(dm), State()), dm, memory=contextlib.nullcontext).outcome == "done"
    assert dm.list_devices() == []


def test_selections() -> None:
    dm = make(State((linear("a", "7:0 0"), linear("b", "7:0 0"), linear("ab", "{a} 0"))))
    assert {each.name for each in observe(dm, named("a")).devices} == {"a", "ab"}
    (found,) = observe(dm, with_uuid("U-ab")).devices
    # The device below is not of the selection, so its number stays.
    assert found.table[0].params == "253:0 0"


def test_a_name_that_no_document_can_hold() -> None:
    dm = SimulatedDeviceMapper()
    dm.create("a b")
    with pytest.raises(UnsupportedError, match="cannot stand"):
        observe(dm)
    assert observe(dm, named("x")) == State()


def test_paths_are_resolved() -> None:
    state = State((linear("a", "/dev/x 5"), Device("b", table=(Line(0, 8, "zero"),)), linear("c", "/dev/x 9")))
    asked: list[str] = []

    def number_of(path: str) -> DeviceNumber:
        asked.append(path)
        return DISK if path == "/dev/x" else DeviceNumber(1, 1)

    assert resolve_paths(state, number_of) == State(
        (linear("a", "7:0 5"), Device("b", table=(Line(0, 8, "zero"),)), linear("c", "7:0 9"))
    )
    assert asked == ["/dev/x"], "once, however often it stands there"
