"""Runs a transition's program on the simulated device-mapper, with faults, as often as wanted from the same start."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime

from drystone.dvm.dmactivate import activate
from drystone.dvm.dmexec import execute
from drystone.dvm.program import Program
from drystone.dvm.result import Result
from drystone.dvm.state import State, observe, resolve_paths
from drystone.kernel.dm.abc import DeviceMapper, DeviceNumber
from drystone.kernel.dm.simulated import SimulatedDeviceMapper
from drystone.kernel.dm.simulated.thin_metadata import ThinMetadata
from drystone.testing.transitions import DISK_SECTORS, DISKS, Transition


class StillClock:
    """A clock that only `sleep` moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@dataclass(frozen=True, slots=True)
class Bench:
    """A transition whose old state is there.

    :ivar start: the simulated device-mapper in the old state; runs work on copies of it.
    :ivar old: the old state, and :ivar desired: the desired one, with numbers in place of the disks' paths.
    :ivar program: leads from the one to the other.
    """

    transition: Transition
    start: SimulatedDeviceMapper
    old: State
    desired: State
    program: Program

    def is_old(self, dm: SimulatedDeviceMapper) -> bool:
        """Whether the old state is there, thin ids included."""
        return is_at(dm, self.old) and thin_ids(dm) == self.transition.thin_ids[0]

    def is_desired(self, dm: SimulatedDeviceMapper) -> bool:
        """Whether the desired state is there, thin ids included."""
        return is_at(dm, self.desired) and thin_ids(dm) == self.transition.thin_ids[1]

    def has_way_back(self, dm: SimulatedDeviceMapper) -> bool:
        """Whether nothing was done that nothing undoes: a pool that grew, a thin device deleted, a new transaction, a
        merge that was begun.
        """
        if _is_merging(observe(dm)) and not _is_merging(self.old):
            return False
        then, now = _metadata(self.start), _metadata(dm)
        if then is None or now is None:
            return now is None or now.transaction_id == 0
        return (
            (then.data_blocks, then.metadata_blocks) == (now.data_blocks, now.metadata_blocks)
            and set(then.devices) <= set(now.devices)
            and then.transaction_id == now.transaction_id
        )


def _is_merging(state: State) -> bool:
    return any(line.target == "snapshot-merge" for device in state.devices for line in device.table)


def make_bench(transition: Transition) -> Bench:
    """Bring a fresh simulation into the transition's old state.

    :raises AssertionError: a program on the way does not succeed.
    """
    start = SimulatedDeviceMapper({_number_of(path): DISK_SECTORS for path in DISKS})
    old = resolve_paths(transition.old, _number_of)
    result = run(start, activate(observe(start), old))
    assert result.outcome == "done", result
    desired = resolve_paths(transition.desired, _number_of)
    return Bench(transition, start, old, desired, activate(observe(start), desired))


def run(dm: DeviceMapper, program: Program) -> Result:
    """Run a program without locking memory and without real waiting."""
    return execute(program, dm, clock=StillClock(), memory=contextlib.nullcontext)


def converge(dm: SimulatedDeviceMapper, state: State) -> None:
    """Go to `state` from whatever is there.

    :raises AssertionError: it does not get there.
    """
    result = run(dm, activate(observe(dm), state))
    assert result.outcome == "done", result
    assert is_at(dm, state)


def is_at(dm: DeviceMapper, state: State) -> bool:
    """Whether `state` is what is there: nothing to do, nothing suspended, nothing in an inactive slot."""
    found = observe(dm)
    return activate(found, state).is_empty and not any(each.suspended or each.inactive for each in found.devices)


def thin_ids(dm: SimulatedDeviceMapper) -> frozenset[int]:
    """The ids of the thin devices in the only pool, active or not."""
    metadata = _metadata(dm)
    return frozenset(metadata.devices) if metadata else frozenset()


def _metadata(dm: SimulatedDeviceMapper) -> ThinMetadata | None:
    """What the only pool has committed."""
    return next((each for each in dm.machine.contents.values() if isinstance(each, ThinMetadata)), None)


def _number_of(path: str) -> DeviceNumber:
    return DeviceNumber(7, DISKS.index(path))
