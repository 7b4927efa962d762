"""Every call of a program fails once, every pair, every kind of call for good; the process is killed at each."""

from __future__ import annotations

import errno

import pytest

from drystone.base.errors import UsageError
from drystone.dvm.dmactivate import activate
from drystone.dvm.instructions import AnyInstruction, Clear, Load, Message, Note, Remove, Resume
from drystone.dvm.program import Program
from drystone.dvm.result import Result
from drystone.dvm.state import observe
from drystone.kernel.dm.simulated import SimulatedDeviceMapper
from drystone.testing.faults import Call, FaultyDeviceMapper, Killed, Map, fail_always, fail_calls, fail_from, kill_at
from drystone.testing.program_bench import Bench, converge, make_bench, run
from drystone.testing.transitions import TRANSITIONS

CHANGES = ("create", "remove", "rename", "suspend", "resume", "load", "clear", "message")


@pytest.fixture(scope="module", params=TRANSITIONS, ids=lambda transition: transition.name.replace(" ", "-"))
def bench(request: pytest.FixtureRequest) -> Bench:
    return make_bench(request.param)


def count_calls(bench: Bench, faults: Map | None = None) -> int:
    dm = FaultyDeviceMapper(bench.start.copy())
    if faults is not None:
        dm.faults = faults
    run(dm, bench.program)
    return len(dm.calls)


def run_with(bench: Bench, faults: Map) -> tuple[SimulatedDeviceMapper, Result]:
    dm = bench.start.copy()
    return dm, run(FaultyDeviceMapper(dm, faults), bench.program)


def check_whole(bench: Bench, dm: SimulatedDeviceMapper, result: Result) -> None:
    """Old or desired, as the result says."""
    if result.outcome == "done":
        assert bench.is_desired(dm)
    else:
        assert result.outcome == "unwound", (result.error, result.left)
        assert bench.is_old(dm), (result.error, observe(dm))


def check_rest(bench: Bench, dm: SimulatedDeviceMapper) -> None:
    """From whatever is there the desired state can be reached, and the old one while nothing final was done."""
    back = dm.copy()
    converge(dm, bench.desired)
    assert bench.is_desired(dm)
    if bench.has_way_back(back):
        converge(back, bench.old)


def test_without_faults_it_is_done(bench: Bench) -> None:
    dm = bench.start.copy()
    result = run(dm, bench.program)
    assert result.outcome == "done", result
    assert bench.is_desired(dm)
    assert result.error is None
    assert result.left == ()


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOMEM, errno.EINVAL, errno.EEXIST, errno.EBUSY])
def test_every_single_call_fails(bench: Bench, number: int) -> None:
    for count in range(1, count_calls(bench) + 1):
        dm, result = run_with(bench, fail_calls({count: number}))
        check_whole(bench, dm, result)


@pytest.mark.parametrize("is_late", [False, True])
def test_a_defect_at_every_call_leaves_nothing_suspended(bench: Bench, is_late: bool) -> None:
    """A bug of ours, before a call or (of a suspend) after it: the program undoes what it did all the same."""
    for count in range(1, count_calls(bench) + 1):
        dm = bench.start.copy()

        def raise_defect(call: Call, count: int = count, dm: SimulatedDeviceMapper = dm) -> None:
            if call.count == count:
                if is_late and call.operation == "suspend":
                    dm.suspend(call.ref)
                raise ValueError("a bug")

        result = run(FaultyDeviceMapper(dm, raise_defect), bench.program)
        assert not any(each.suspended for each in observe(dm).devices), (count, result)
        if result.outcome == "done":  # the instruction was tried again
            assert bench.is_desired(dm)
            continue
        assert result.outcome == "failed"
        assert result.error is not None
        assert result.error.code == "internal"
        assert bench.is_old(dm)
        check_rest(bench, dm)


@pytest.mark.parametrize("kind", [Remove, Clear, Resume, Message, Load])
def test_without_its_undoing_a_program_is_caught(kind: type[AnyInstruction]) -> None:
    """The proof can fail: programs that lack one kind of undoing do not pass it."""
    for transition in TRANSITIONS:
        bench = make_bench(transition)
        crippled = Program(
            tuple(
                Note("nothing") if isinstance(each, kind) and getattr(each, "insist", False) else each
                for each in bench.program.instructions
            ),
            bench.program.devices,
        )
        if crippled == bench.program:
            continue
        for count in range(1, count_calls(bench) + 1):
            dm = bench.start.copy()
            try:
                result = run(FaultyDeviceMapper(dm, fail_calls({count: errno.EIO})), crippled)
            except UsageError:
                return  # the check has seen that a device would stay suspended
            if result.outcome == "unwound" and not bench.is_old(dm):
                return
    raise AssertionError(f"nobody missed the undoing by {kind.__name__}")


def test_every_resume_fails_after_it_has_swapped(bench: Bench) -> None:
    probe = FaultyDeviceMapper(bench.start.copy())
    run(probe, bench.program)
    for call in probe.calls:
        if call.operation == "resume":
            dm, result = run_with(bench, fail_calls({call.count: errno.EIO}, is_late=True))
            check_whole(bench, dm, result)


def test_every_pair_of_calls_fails(bench: Bench) -> None:
    for first in range(1, count_calls(bench) + 1):
        for second in range(first + 1, count_calls(bench, fail_calls({first: errno.EIO})) + 1):
            dm, result = run_with(bench, fail_calls({first: errno.EIO, second: errno.EIO}))
            check_whole(bench, dm, result)


@pytest.mark.parametrize("operation", CHANGES)
def test_a_kind_of_call_fails_for_good(bench: Bench, operation: str) -> None:
    for first in range(1, count_calls(bench) + 1):
        dm, result = run_with(bench, fail_always(operation, first=first))
        if result.outcome == "failed":
            assert result.left
        else:
            check_whole(bench, dm, result)
        check_rest(bench, dm)


def test_everything_fails_from_a_call_on(bench: Bench) -> None:
    for first in range(1, count_calls(bench) + 1):
        dm, result = run_with(bench, fail_from(first))
        assert result.outcome in ("failed", "unwound")
        assert result.error is not None
        if result.outcome == "failed":
            assert result.left
        else:
            assert bench.is_old(dm)
        check_rest(bench, dm)


def test_the_process_is_killed_before_every_call(bench: Bench) -> None:
    for count in range(1, count_calls(bench) + 1):
        dm = bench.start.copy()
        with pytest.raises(Killed):
            run(FaultyDeviceMapper(dm, kill_at(count)), bench.program)
        check_rest(bench, dm)


def test_the_process_is_killed_while_it_recovers(bench: Bench) -> None:
    for count in range(1, count_calls(bench) + 1):
        left = bench.start.copy()
        with pytest.raises(Killed):
            run(FaultyDeviceMapper(left, kill_at(count)), bench.program)
        program = activate(observe(left), bench.desired)
        again = FaultyDeviceMapper(left.copy())
        run(again, program)
        for second in range(1, len(again.calls) + 1):
            dm = left.copy()
            with pytest.raises(Killed):
                run(FaultyDeviceMapper(dm, kill_at(second)), program)
            check_rest(bench, dm)


def test_a_call_fails_while_it_recovers(bench: Bench) -> None:
    for count in range(1, count_calls(bench) + 1):
        left = bench.start.copy()
        with pytest.raises(Killed):
            run(FaultyDeviceMapper(left, kill_at(count)), bench.program)
        program = activate(observe(left), bench.desired)
        again = FaultyDeviceMapper(left.copy())
        run(again, program)
        for second in range(1, len(again.calls) + 1):
            dm = left.copy()
            result = run(FaultyDeviceMapper(dm, fail_calls({second: errno.EIO})), program)
            if result.outcome == "done":
                assert bench.is_desired(dm)
            check_rest(bench, dm)
