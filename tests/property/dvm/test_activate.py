"""Random pairs of states on the simulated kernel: programs lead from one to the other, whatever fails on the way."""

from __future__ import annotations

import errno
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from drystone.base.documents import encode
from drystone.dvm.check import check
from drystone.dvm.dmactivate import activate
from drystone.dvm.program import parse_program
from drystone.dvm.state import Device, Line, State, Transaction, observe
from drystone.dvm.text import parse_text, render_text
from drystone.kernel.dm.abc import DeviceNumber
from drystone.kernel.dm.simulated import SimulatedDeviceMapper
from drystone.testing.faults import FaultyDeviceMapper, Killed, fail_calls, kill_at
from drystone.testing.program_bench import converge, is_at, run, thin_ids

DISKS = ("7:0", "7:1")
DISK_SECTORS = 1 << 20
NAMES = ("a", "b", "c", "d", "e", "f")
UUIDS = tuple(f"U{n}" for n in range(6))
UNIT = 1024
"""Sectors; every length and offset is a multiple."""


@dataclass(frozen=True)
class Pair:
    old: State
    desired: State


@st.composite
def tables(draw: st.DrawFn, below: list[Device]) -> tuple[Line, ...]:
    """A table on the disks and on `below`."""
    lines: list[Line] = []
    for _ in range(draw(st.integers(1, 3))):
        start = lines[-1].start + lines[-1].length if lines else 0
        bases = [(disk, DISK_SECTORS) for disk in DISKS] + [(f"{{{each.name}}}", each.length) for each in below]
        base, size = draw(st.sampled_from(bases))
        length = draw(st.integers(1, min(16, size // UNIT))) * UNIT
        offset = draw(st.integers(0, (size - length) // UNIT)) * UNIT
        target, params = draw(
            st.sampled_from(
                [
                    ("linear", f"{base} {offset}"),
                    ("linear", f"{base} {offset}"),
                    ("zero", ""),
                    ("error", ""),
                    ("striped", f"2 {UNIT // 2} {base} 0 7:1 {offset}"),
                    ("mirror", f"core 1 {UNIT} 2 {base} {offset} 7:0 0"),
                ]
            )
        )
        lines.append(Line(start, length, target, params))
    return tuple(lines)


@st.composite
def devices(draw: st.DrawFn) -> list[Device]:
    """Up to six devices, each on disks and on those before it."""
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=6))
    uuids = draw(st.permutations(UUIDS))
    made: list[Device] = []
    for name, uuid in zip(names, uuids, strict=False):
        made.append(Device(name, uuid, draw(tables(made)), draw(st.booleans()) and not made))
    return made


def pool_devices(
    length: int, transaction_id: int, messages: list[str], thins: dict[int, tuple[str, int]]
) -> list[Device]:
    pool = Line(0, length, "thin-pool", "{pmeta} {pdata} 128 0")
    return [
        Device("pmeta", "UM", (Line(0, 8192, "linear", "7:0 0"),)),
        Device("pdata", "UD", (Line(0, length, "linear", "7:1 0"),)),
        Device("pool", "UP", (pool,), transaction=Transaction(transaction_id, tuple(messages))),
        *(
            Device(name, f"UT{dev_id}", (Line(0, sectors, "thin", f"{{pool}} {dev_id}"),))
            for dev_id, (name, sectors) in thins.items()
        ),
    ]


def active_thins(ids: set[int]) -> st.SearchStrategy[dict[int, tuple[str, int]]]:
    """Some of the ids, each with a name and a length."""
    if not ids:
        return st.just({})
    return st.dictionaries(
        st.sampled_from(sorted(ids)),
        st.integers(1, 8).map(lambda units: units * UNIT),
        max_size=4,
    ).map(lambda lengths: {dev_id: (f"thin{dev_id}", length) for dev_id, length in lengths.items()})


def some_of(ids: set[int]) -> st.SearchStrategy[set[int]]:
    """Up to two of the ids."""
    if not ids:
        return st.just(set())
    return st.sets(st.sampled_from(sorted(ids)), max_size=2)


@st.composite
def pairs(draw: st.DrawFn) -> Pair:
    old, desired = draw(devices()), draw(devices())
    if draw(st.booleans()):
        ids: set[int] = draw(st.sets(st.integers(0, 9), max_size=3))
        small, large = 16384, draw(st.sampled_from([16384, 32768]))
        old += pool_devices(small, 1, [f"create_thin {each}" for each in sorted(ids)], draw(active_thins(ids)))
        deleted = draw(some_of(ids))
        made = draw(st.sets(st.integers(10, 13), max_size=3))
        messages = [f"create_thin {each}" for each in sorted(made)] + [f"delete {each}" for each in sorted(deleted)]
        has_snapshot: bool = draw(st.booleans())
        if ids - deleted and has_snapshot:
            messages.append(f"create_snap 14 {min(ids - deleted)}")
            made.add(14)
        if draw(st.integers(0, 3)):
            desired += pool_devices(large, 2, messages, draw(active_thins((ids - deleted) | made)))
    return Pair(State(tuple(old)), State(tuple(draw(st.permutations(desired)))))


def prepare(pair: Pair) -> SimulatedDeviceMapper:
    dm = SimulatedDeviceMapper({DeviceNumber(7, 0): DISK_SECTORS, DeviceNumber(7, 1): DISK_SECTORS})
    converge(dm, pair.old)
    return dm


many = settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
some = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@many
@given(pairs())
def test_a_program_leads_to_the_desired_state_and_then_there_is_nothing_to_do(pair: Pair) -> None:
    dm = prepare(pair)
    program = activate(observe(dm), pair.desired)
    check(program)
    assert parse_text(render_text(program)) == program
    assert parse_program(encode(program)) == program
    result = run(dm, program)
    assert result.outcome == "done", (result.error, render_text(program))
    assert activate(observe(dm), pair.desired).is_empty
    assert is_at(dm, pair.desired)


@some
@given(pairs(), st.data())
def test_a_failing_call_leaves_the_old_or_the_desired_state(pair: Pair, data: st.DataObject) -> None:
    dm = prepare(pair)
    program = activate(observe(dm), pair.desired)
    calls = FaultyDeviceMapper(dm.copy())
    run(calls, program)
    ids = thin_ids(dm)
    if not calls.calls:
        return
    count = data.draw(st.integers(1, len(calls.calls)))
    is_late = calls.calls[count - 1].operation == "resume" and data.draw(st.booleans())
    result = run(FaultyDeviceMapper(dm, fail_calls({count: errno.EIO}, is_late=is_late)), program)
    event(result.outcome)
    if result.outcome == "done":
        assert is_at(dm, pair.desired)
    else:
        assert result.outcome == "unwound", (result.error, result.left, render_text(program))
        assert is_at(dm, pair.old), render_text(program)
        assert thin_ids(dm) == ids


def test_what_was_on_another_device_may_be_under_it() -> None:
    """Killed after any call; while what shrinks kept its old table for a while, a device was on itself."""

    def linear(name: str, uuid: str, *bases: str) -> Device:
        lines = (Line(number * UNIT, UNIT, "linear", f"{base} 0") for number, base in enumerate(bases))
        return Device(name, uuid, tuple(lines))

    old = [linear("a", "U4", "7:0"), linear("b", "U0", "7:0", "{a}"), linear("d", "U3", "{b}")]
    new = [linear("a", "U3", "7:0"), linear("c", "U0", "7:0"), linear("e", "U4", "{c}")]
    pair = Pair(State(tuple(old)), State(tuple(new)))
    dm = prepare(pair)
    program = activate(observe(dm), pair.desired)
    calls = FaultyDeviceMapper(dm.copy())
    run(calls, program)
    for number in range(1, len(calls.calls) + 1):
        killed = dm.copy()
        with pytest.raises(Killed):
            run(FaultyDeviceMapper(killed, kill_at(number)), program)
        converge(killed, pair.desired)


def lines(*parts: tuple[int, str]) -> tuple[Line, ...]:
    """Linear lines of so many sectors each, one behind the other."""
    begins = [sum(length for length, _ in parts[:at]) for at in range(len(parts))]
    return tuple(Line(begin, length, "linear", params) for begin, (length, params) in zip(begins, parts, strict=True))


@pytest.mark.parametrize(
    ("upper", "upper_after"),
    [
        pytest.param([(2 * UNIT, "{e} 0"), (UNIT, "7:0 0")], [(4 * UNIT, "7:0 0")], id="lets-go-of-it"),
        pytest.param(
            [(UNIT, f"{{e}} {UNIT}"), (UNIT, "7:0 0")], [(2 * UNIT, "7:0 0"), (UNIT, "{a} 0")], id="stays-on-it"
        ),
    ],
)
def test_what_shrinks_does_so_after_those_on_its_end(
    upper: list[tuple[int, str]], upper_after: list[tuple[int, str]]
) -> None:
    """Else it could not be undone: what is on the end would be loaded over a device that is too small."""
    old = [("a", "U1", lines((UNIT, "7:0 0"))), ("d", "U4", lines((UNIT, "7:0 0")))]
    old += [("e", "U2", lines((UNIT, "7:0 0"), (UNIT, "{d} 0"))), ("f", "U0", lines(*upper))]
    new = [("a", "U2", lines((UNIT, "7:0 0"))), ("b", "U4", lines((UNIT, "{a} 0")))]
    new += [("d", "U0", lines(*upper_after)), ("f", "U1", lines((UNIT, "{d} 0")))]
    pair = Pair(State(tuple(Device(*each) for each in old)), State(tuple(Device(*each) for each in new)))
    dm = prepare(pair)
    program = activate(observe(dm), pair.desired)
    calls = FaultyDeviceMapper(dm.copy())
    assert run(calls, program).outcome == "done"
    for number in range(1, len(calls.calls) + 1):
        failing = dm.copy()
        result = run(FaultyDeviceMapper(failing, fail_calls({number: errno.EIO})), program)
        assert is_at(failing, pair.desired if result.outcome == "done" else pair.old), (number, render_text(program))


@some
@given(pairs(), st.data())
def test_from_wherever_it_is_killed_the_desired_state_is_reached(pair: Pair, data: st.DataObject) -> None:
    dm = prepare(pair)
    program = activate(observe(dm), pair.desired)
    calls = FaultyDeviceMapper(dm.copy())
    run(calls, program)
    if not calls.calls:
        return
    try:
        run(FaultyDeviceMapper(dm, kill_at(data.draw(st.integers(1, len(calls.calls))))), program)
    except Killed:
        converge(dm, pair.desired)
    assert is_at(dm, pair.desired)
