"""The commit of the metadata inside a program: every call fails once, so do pairs of calls, reads and writes of the
regions among them, the process is killed at each; and old and new are never mixed.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Sequence
from random import Random

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
from drystone.testing.faults import FaultyDeviceMapper, Killed, fail_calls, kill_at
from drystone.testing.program_bench import Bench, StillClock, converge, make_bench
from drystone.testing.transitions import TRANSITIONS

NEW = b"\1" * 512
PAIRS = 60
"""Of one transition."""
SECTORS = [Sector("/region/0", 512, NEW), Sector("/region/1", 2560, NEW)]


class Region:
    """A device in memory.

    `fails`: the operation that does; `dies`: before which the process is killed; `at_flush`: told of each flush.
    """

    def __init__(self) -> None:
        self.size = 4096
        self.data = bytearray(4096)
        self.fails = self.dies = ""
        self.at_flush: Callable[[], None] = lambda: None

    def pwrite(self, offset: int, data: bytes) -> None:
        self._stop("write")
        self.data[offset : offset + len(data)] = data

    def flush(self) -> None:
        self._stop("flush")
        self.at_flush()

    def _stop(self, operation: str) -> None:
        if self.dies == operation:
            raise Killed
        if self.fails == operation:
            raise KernelError(operation, errno.EIO, device="region")

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
        return self.by_path[path]

    @property
    def by_path(self) -> dict[str, Region]:
        return {"/region/0": self.first, "/region/1": self.second}

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


Place = int | tuple[str, str]
"""What fails: a call to device-mapper by its number, or an operation on a region by path."""
IN_REGIONS: tuple[Place, ...] = tuple((each.path, how) for each in SECTORS for how in ("write", "flush"))


def count_calls(bench: Bench, program: Program, *failing: Place) -> int:
    return len(run_failing(bench, program, failing)[0].calls)


def run_failing(
    bench: Bench, program: Program, failing: Sequence[Place]
) -> tuple[FaultyDeviceMapper, SimulatedDeviceMapper, Regions, Result]:
    dm, regions = bench.start.copy(), Regions()
    faulty = FaultyDeviceMapper(dm, fail_calls({each: errno.EIO for each in failing if isinstance(each, int)}))
    for each in failing:
        if not isinstance(each, int):
            regions.by_path[each[0]].fails = each[1]
    return faulty, dm, regions, run(faulty, program, regions)


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


def sample_pairs(bench: Bench, program: Program, count: int) -> list[tuple[Place, Place]]:
    """Some of all pairs, the same each time; the later one may be a call that only the first failure leads to."""
    random = Random(f"pairs {bench.transition.name}")
    found: list[tuple[Place, Place]] = []
    for _ in range(count):
        first = random.choice((*range(1, count_calls(bench, program) + 1), *IN_REGIONS))
        later = range(first + 1 if isinstance(first, int) else 1, count_calls(bench, program, first) + 1)
        found.append((first, random.choice([each for each in (*later, *IN_REGIONS) if each != first])))
    return found


def test_pairs_of_instructions_fail(bench: Bench) -> None:
    program = compile_commit(bench)
    for pair in sample_pairs(bench, program, PAIRS):
        _, dm, regions, result = run_failing(bench, program, pair)
        if regions.second.fails and result.outcome != "unwound":  # it is told, and left to the metadata's recovery
            assert result.outcome == "failed", pair
            assert result.left, pair
            regions.second.data[:] = regions.first.data
        if regions.first.fails:  # nobody relies on a flush that failed, nor on what was written before it
            assert result.outcome == "unwound", pair
            regions.first.data[:] = bytes(4096)
        check_whole(bench, dm, regions, result)


def test_the_process_is_killed_before_every_instruction(bench: Bench) -> None:
    """The devices of the metadata that is in force are reached from what it leaves; so are the new ones, once more."""
    program = compile_commit(bench)
    ends = set()
    for place in (*range(1, count_calls(bench, program) + 1), *IN_REGIONS):
        dm, regions = bench.start.copy(), Regions()
        faulty = FaultyDeviceMapper(dm, kill_at(place if isinstance(place, int) else 0))
        if not isinstance(place, int):
            regions.by_path[place[0]].dies = place[1]
        with pytest.raises(Killed):
            run(faulty, program, regions)
        ends.add(regions.first.is_committed)
        if not regions.first.is_committed:  # a new thin id may stay in the pool, until somebody wants to make it
            assert bench.has_way_back(dm), place
            converge(dm, bench.old)
        converge(dm, bench.desired)
        assert bench.is_desired(dm), place
    assert ends == {False, True}


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
