"""Metadata snapshots of pools and era devices, on a simulated kernel."""

from __future__ import annotations

import contextlib
import errno
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from drystone.base.errors import BusyError, KernelError, NotFoundError, UnavailableError, UsageError
from drystone.dvm.check import check
from drystone.dvm.dmexec import execute
from drystone.dvm.metadata_snapshot import (
    ERA,
    POOL,
    Kind,
    drop_snapshot,
    find_held,
    held_metadata,
    keep,
    let_go,
    locked,
    take_snapshot,
)
from drystone.dvm.program import Program
from drystone.dvm.result import Result
from drystone.dvm.signals import ENDING
from drystone.kernel.dm.abc import DeviceNumber, Ref, TableLine, TargetStatus
from drystone.kernel.dm.simulated import SimulatedDeviceMapper
from drystone.testing.faults import FaultyDeviceMapper, fail_always, fail_calls

TABLES = {"era": "7:0 7:1 128", "thin-pool": "7:0 7:1 128 0"}


@pytest.fixture(params=[ERA, POOL], ids=lambda kind: kind.target)
def kind(request: pytest.FixtureRequest) -> Kind:
    found = request.param
    assert isinstance(found, Kind)
    return found


@pytest.fixture
def dm(kind: Kind) -> SimulatedDeviceMapper:
    mapper = SimulatedDeviceMapper({DeviceNumber(7, 0): 8192, DeviceNumber(7, 1): 128 * 64})
    mapper.create("one", "UUID/1")
    mapper.load("one", [TableLine(0, 128 * 64, kind.target, TABLES[kind.target])])
    mapper.resume("one")
    return mapper


def runner(dm: SimulatedDeviceMapper | FaultyDeviceMapper) -> Callable[[Program], Result]:
    return partial(execute, dm=dm, memory=contextlib.nullcontext)


def test_programs(dm: SimulatedDeviceMapper, kind: Kind) -> None:
    run = runner(dm)
    for program in (take_snapshot(kind, "one", "UUID/1", drain=True), drop_snapshot(kind, "one")):
        check(program)
    assert run(drop_snapshot(kind, "one")).outcome == "done"
    assert run(take_snapshot(kind, "one", "UUID/1")).outcome == "done"
    assert find_held(dm, "one", kind) is not None
    assert run(take_snapshot(kind, "one")).outcome == "unwound"
    assert run(take_snapshot(kind, "one", replace=True, drain=True)).outcome == "done"
    assert not dm.info("one").suspended
    assert run(drop_snapshot(kind, "one")).outcome == "done"
    assert find_held(dm, "one", kind) is None


def test_it_is_held_and_dropped(dm: SimulatedDeviceMapper, kind: Kind, tmp_path: Path) -> None:
    with held_metadata(dm, "one", kind, run=runner(dm), locks=tmp_path / "locks") as location:
        assert location == find_held(dm, "one", kind) is not None
    assert find_held(dm, "one", kind) is None


def test_it_is_dropped_after_an_interrupt(dm: SimulatedDeviceMapper, kind: Kind, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), held_metadata(dm, "one", kind, run=runner(dm), locks=tmp_path):
        raise KeyboardInterrupt
    assert find_held(dm, "one", kind) is None


@pytest.mark.parametrize("number", ENDING)
def test_it_is_dropped_after_a_signal_that_ends_the_process(
    dm: SimulatedDeviceMapper, kind: Kind, tmp_path: Path, number: signal.Signals
) -> None:
    with pytest.raises(SystemExit) as ended, held_metadata(dm, "one", kind, run=runner(dm), locks=tmp_path):
        signal.raise_signal(number)
    assert ended.value.code == 128 + number
    assert find_held(dm, "one", kind) is None
    assert signal.getsignal(number) is signal.SIG_DFL


@pytest.mark.parametrize("when", [1, 2])
def test_a_signal_while_it_is_taken_or_dropped(
    dm: SimulatedDeviceMapper, kind: Kind, tmp_path: Path, when: int
) -> None:
    """And more of them: none of the programs is cut short."""

    class Signalled(FaultyDeviceMapper):
        def message(self, ref: Ref, text: str, *, sector: int = 0) -> str:
            said = super().message(ref, text, sector=sector)
            if sum(each.operation == "message" for each in self.calls) >= when:
                signal.raise_signal(signal.SIGTERM)
            return said

    signalled = Signalled(dm, fail_calls({}))
    with (
        pytest.raises(SystemExit, match=str(128 + signal.SIGTERM)),
        held_metadata(signalled, "one", kind, drain=True, run=runner(signalled), locks=tmp_path),
    ):
        assert when == 2
    assert find_held(dm, "one", kind) is None
    assert not dm.info("one").suspended


def test_a_stale_one_is_dropped_first(dm: SimulatedDeviceMapper, kind: Kind, tmp_path: Path) -> None:
    dm.message("one", kind.take)
    with held_metadata(dm, "one", kind, drain=True, run=runner(dm), locks=tmp_path) as location:
        assert location == find_held(dm, "one", kind)
    assert find_held(dm, "one", kind) is None


def test_one_at_a_time(dm: SimulatedDeviceMapper, kind: Kind, tmp_path: Path) -> None:
    with held_metadata(dm, "one", kind, run=runner(dm), locks=tmp_path) as location:
        acts: tuple[Callable[[], object], ...] = (
            lambda: held_metadata(dm, "one", kind, run=runner(dm), locks=tmp_path).__enter__(),
            lambda: keep(dm, "one", kind, replace=True, run=runner(dm), locks=tmp_path),
            lambda: let_go(dm, "one", kind, run=runner(dm), locks=tmp_path),
        )
        for act in acts:
            with pytest.raises(BusyError, match="metadata snapshot of one is in use"):
                act()
        assert find_held(dm, "one", kind) == location


def test_one_that_is_kept_on_purpose_stays(dm: SimulatedDeviceMapper, kind: Kind, tmp_path: Path) -> None:
    held = keep(dm, "one", kind, run=runner(dm), locks=tmp_path)
    with pytest.raises(BusyError, match="is kept at block"):
        held_metadata(dm, "one", kind, run=runner(dm), locks=tmp_path).__enter__()
    with pytest.raises(BusyError, match="held already"):
        keep(dm, "one", kind, run=runner(dm), locks=tmp_path)
    assert find_held(dm, "one", kind) == held
    keep(dm, "one", kind, replace=True, run=runner(dm), locks=tmp_path)
    let_go(dm, "one", kind, run=runner(dm), locks=tmp_path)
    assert find_held(dm, "one", kind) is None
    with pytest.raises(NotFoundError):
        let_go(dm, "one", kind, run=runner(dm), locks=tmp_path)
    with held_metadata(dm, "one", kind, run=runner(dm), locks=tmp_path):
        pass


def test_other_devices(dm: SimulatedDeviceMapper, kind: Kind, tmp_path: Path) -> None:
    dm.create("other")
    dm.load("other", [TableLine(0, 8, "zero")])
    dm.resume("other")
    with pytest.raises(UsageError, match=f"other is no {kind.noun}"):
        find_held(dm, "other", kind)
    with pytest.raises(KernelError):
        held_metadata(dm, "nobody", kind, run=runner(dm), locks=tmp_path).__enter__()
    dm.suspend("one")
    with pytest.raises(BusyError, match="suspended"):
        find_held(dm, "one", kind)


def test_a_kernel_that_refuses(dm: SimulatedDeviceMapper, kind: Kind, tmp_path: Path) -> None:
    faulty = FaultyDeviceMapper(dm, fail_always("message"))
    with pytest.raises(KernelError):
        held_metadata(faulty, "one", kind, run=runner(faulty), locks=tmp_path).__enter__()
    assert find_held(dm, "one", kind) is None
    with locked(dm.info("one"), kind, tmp_path):
        pass


@pytest.mark.parametrize("call", [2, 3])
def test_it_runs_again_when_draining_fails(dm: SimulatedDeviceMapper, kind: Kind, tmp_path: Path, call: int) -> None:
    faulty = FaultyDeviceMapper(dm, fail_calls({call: errno.EIO}))
    with pytest.raises(KernelError):
        held_metadata(faulty, "one", kind, drain=True, run=runner(faulty), locks=tmp_path).__enter__()
    wanted = ["message", "suspend", "resume"][:call]
    assert [each.operation for each in faulty.calls][:call] == wanted
    assert not dm.info("one").suspended
    assert find_held(dm, "one", kind) is None


def test_it_waits_for_the_writes_that_the_snapshot_tells_of(
    dm: SimulatedDeviceMapper, kind: Kind, tmp_path: Path
) -> None:
    """Waiting first is not enough: whatever else begins an era in between makes more writes that nobody waits for."""
    faulty = FaultyDeviceMapper(dm, fail_calls({}))
    with held_metadata(faulty, "one", kind, drain=True, run=runner(faulty), locks=tmp_path):
        assert [each.operation for each in faulty.calls] == ["message", "suspend", "resume"]


def test_it_is_dropped_after_an_interrupt_while_it_is_taken(
    dm: SimulatedDeviceMapper, kind: Kind, tmp_path: Path
) -> None:
    """Ctrl-C waits until the program has ended."""
    run = runner(dm)
    came: list[int | None] = []

    def interrupted(program: Program) -> Result:
        made = run(program)
        if not came:
            came.append(find_held(dm, "one", kind))
            raise KeyboardInterrupt
        return made

    with pytest.raises(KeyboardInterrupt):
        held_metadata(dm, "one", kind, drain=True, run=interrupted, locks=tmp_path).__enter__()
    assert came[0] is not None
    assert find_held(dm, "one", kind) is None


def test_it_is_dropped_by_somebody_else(dm: SimulatedDeviceMapper, kind: Kind, tmp_path: Path) -> None:
    """Its blocks may have been used for something else while they were read."""
    with (
        pytest.raises(UnavailableError, match="dropped while it was read"),
        held_metadata(dm, "one", kind, run=runner(dm), locks=tmp_path),
    ):
        dm.message("one", kind.drop)


class Failed(FaultyDeviceMapper):
    """Whose targets have failed."""

    def status(self, ref: Ref, *, no_flush: bool = False) -> list[TargetStatus]:
        return [replace(each, text="Error") for each in super().status(ref, no_flush=no_flush)]


def test_a_device_that_has_failed(dm: SimulatedDeviceMapper, kind: Kind) -> None:
    with pytest.raises(UnavailableError, match="has failed"):
        find_held(Failed(dm), "one", kind)
