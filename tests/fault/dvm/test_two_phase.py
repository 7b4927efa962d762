"""The commit of the metadata inside a program: every call fails once, and old and new are never mixed."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable

import pytest

from drystone.base.errors import KernelError
from drystone.dvm.check import check
from drystone.dvm.dmexec import execute
from drystone.dvm.instructions import Commit
from drystone.dvm.program import Program
from drystone.dvm.result import Result
from drystone.dvm.state import observe
from drystone.dvm.transactions.two_phase import Sector, find_order, with_commit
from drystone.kernel.dm.abc import DeviceMapper, DeviceNumber
from drystone.kernel.dm.simulated import SimulatedDeviceMapper
from drystone.testing.faults import FaultyDeviceMapper, fail_calls
from drystone.testing.program_bench import Bench, StillClock, converge, make_bench
from drystone.testing.transitions import TRANSITIONS

NEW = b"\1" * 512
SECTORS = [Sector("/region/0", 512, NEW), Sector("/region/1", 2560, NEW)]


class Region:
    """A device in memory. `fails`: the operation that does; `at_flush`: told of each."""

    def __init__(self) -> None:
        self.size = 4096
        self.data = bytearray(4096)
        self.fails = ""
        self.at_flush: Callable[[], None] = lambda: None

    def pwrite(self, offset: int, data: bytes) -> None:
        if self.fails == "write":
            raise KernelError("write", errno.EIO, device="region")
        self.data[offset : offset + len(data)] = data

    def flush(self) -> None:
        if self.fails == "flush":
            raise KernelError("flush", errno.EIO, device="region")
        self.at_flush()

    def close(self) -> None:
        pass

    @property
    def is_committed(self) -> bool:
        return NEW in bytes(self.data)


class Regions:
    """Those of SECTORS, by path."""

    def __init__(self) -> None:
        self.first, self.second = Region(), Region()

    def open(self, path: str) -> Region:
        return {"/region/0": self.first, "/region/1": self.second}[path]

    def number(self, path: str) -> DeviceNumber:
        raise AssertionError(path)


INSIDE = [each for each in TRANSITIONS if find_order(make_bench(each).program) == "inside"]


@pytest.fixture(scope="module", params=INSIDE, ids=lambda transition: transition.name.replace(" ", "-"))
def bench(request: pytest.FixtureRequest) -> Bench:
    return make_bench(request.param)


def compile_commit(bench: Bench) -> Program:
    return with_commit(bench.program, SECTORS, "the metadata is committed")


def run(dm: DeviceMapper, program: Program, regions: Regions) -> Result:
    return execute(program, dm, devices=regions, clock=StillClock(), memory=contextlib.nullcontext)


def count_calls(bench: Bench, program: Program) -> int:
    dm = FaultyDeviceMapper(bench.start.copy())
    run(dm, program, Regions())
    return len(dm.calls)


def suspended(bench: Bench, dm: SimulatedDeviceMapper) -> list[str]:
    """Devices that hold input and output of somebody: what was made just now has none."""
    known = {each.uuid or each.name for each in bench.old.devices}
    return [each.name for each in observe(dm).devices if each.suspended and (each.uuid or each.name) in known]


def test_it_commits_while_nothing_runs_on_a_new_table(bench: Bench) -> None:
    program = compile_commit(bench)
    check(program)
    dm, regions = bench.start.copy(), Regions()
    old = {each.uuid or each.name: each.table for each in bench.old.devices}
    seen: list[str] = []

    def look() -> None:
        for each in observe(dm).devices:
            key = each.uuid or each.name
            if key in old and not each.suspended:
                assert [line.length for line in each.table] == [line.length for line in old[key]], each.name
                seen.append(each.name)

    regions.first.at_flush = look
    result = run(dm, program, regions)
    assert result.outcome == "done", result.error
    assert bench.is_desired(dm)
    assert regions.first.is_committed
    assert regions.second.is_committed
    assert sum(isinstance(each, Commit) for each in program.instructions) == 1


def check_whole(bench: Bench, dm: SimulatedDeviceMapper, regions: Regions, result: Result) -> None:
    """Old metadata and old devices, or new metadata and a way to the new devices."""
    assert not suspended(bench, dm), result
    if result.outcome == "done":
        assert bench.is_desired(dm)
        assert regions.first.is_committed
    elif regions.first.is_committed:
        assert result.outcome == "failed"
        assert regions.second.is_committed
        converge(dm, bench.desired)
        assert bench.is_desired(dm)
    else:
        assert result.outcome == "unwound", result
        assert bench.is_old(dm)


def test_every_single_call_fails(bench: Bench) -> None:
    program = compile_commit(bench)
    for count in range(1, count_calls(bench, program) + 1):
        dm, regions = bench.start.copy(), Regions()
        result = run(FaultyDeviceMapper(dm, fail_calls({count: errno.EIO})), program, regions)
        check_whole(bench, dm, regions, result)


def test_every_resume_fails_after_it_has_swapped(bench: Bench) -> None:
    program = compile_commit(bench)
    probe = FaultyDeviceMapper(bench.start.copy())
    run(probe, program, Regions())
    for call in probe.calls:
        if call.operation == "resume":
            dm, regions = bench.start.copy(), Regions()
            faulty = FaultyDeviceMapper(dm, fail_calls({call.count: errno.EIO}, is_late=True))
            check_whole(bench, dm, regions, run(faulty, program, regions))


@pytest.mark.parametrize("operation", ["write", "flush"])
def test_a_commit_that_fails_is_undone(bench: Bench, operation: str) -> None:
    program = compile_commit(bench)
    dm, regions = bench.start.copy(), Regions()
    regions.first.fails = operation
    result = run(dm, program, regions)
    assert not regions.second.is_committed
    assert not suspended(bench, dm)
    assert result.outcome == "unwound"
    assert bench.is_old(dm)


@pytest.mark.parametrize("operation", ["write", "flush"])
def test_another_region_that_fails_is_told_and_does_not_stop_it(bench: Bench, operation: str) -> None:
    program = compile_commit(bench)
    dm, regions = bench.start.copy(), Regions()
    regions.second.fails = operation
    result = run(dm, program, regions)
    assert result.outcome == "failed"
    assert {each.op for each in result.left} == {operation}
    assert bench.is_desired(dm)


def test_most_transitions_have_their_commit_inside() -> None:
    assert len(INSIDE) > len(TRANSITIONS) // 2
    assert find_order(Program()) == "after"
