"""The transitions on the real kernel: done, with a sample of faults, and killed in the middle."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from drystone.base.errors import KernelError
from drystone.base.sizes import SECTOR
from drystone.dvm.dmactivate import activate
from drystone.dvm.dmexec import execute
from drystone.dvm.program import Program
from drystone.dvm.result import Result
from drystone.dvm.state import State, observe, resolve_paths
from drystone.kernel import loop
from drystone.kernel.dm.abc import DeviceMapper, DeviceNumber
from drystone.kernel.dm.device_mapper import KernelDeviceMapper
from drystone.kernel.dm.statuses import RaidStatus
from drystone.testing.faults import FaultyDeviceMapper, Killed, Map, fail_calls, kill_at
from drystone.testing.transitions import DISK_SECTORS, DISKS, TRANSITIONS, Transition

pytestmark = pytest.mark.lab(memory="512M")

SAMPLE = [
    each
    for each in TRANSITIONS
    if each.name
    in (
        "create a thin pool and thin devices",
        "create, snapshot and delete in one transaction",
        "grow a thin pool, its data and its metadata",
        "grow a stack from below",
        "grow an era target",
        "take a snapshot of a device that is in use",
    )
]
"""Those that are run with faults: each call takes its time on a real kernel."""


def identify(transition: Transition) -> str:
    return transition.name.replace(" ", "-")


class Ground:
    """Three empty disks and the kernel's device-mapper; `number_of` finds the disks of a transition."""

    def __init__(self, dm: KernelDeviceMapper, folder: Path) -> None:
        self.dm = dm
        self.folder = folder
        self.attached: list[str] = []
        self.numbers: dict[str, DeviceNumber] = {}

    def number_of(self, path: str) -> DeviceNumber:
        return self.numbers[path]

    def fresh_disks(self) -> None:
        """Disks full of zeros, in place of those of the test before."""
        self.close()
        for path in DISKS:
            file = self.folder / f"disk{len(self.numbers)}"
            file.unlink(missing_ok=True)
            file.touch()
            with file.open("r+b") as handle:
                handle.truncate(DISK_SECTORS * SECTOR)
            found = loop.attach(str(file))
            self.attached.append(found.path)
            self.numbers[path] = found.number

    def close(self) -> None:
        self.go_to(State())
        for path in self.attached:
            loop.detach(path)
        self.attached.clear()
        self.numbers.clear()

    def states(self, transition: Transition) -> tuple[State, State]:
        return resolve_paths(transition.old, self.number_of), resolve_paths(transition.desired, self.number_of)

    def go_to(self, state: State) -> None:
        result = execute(activate(observe(self.dm), state), self.dm)
        assert result.outcome == "done", (result.error, result.left)
        assert self.is_at(state)
        self.settle()

    def settle(self) -> None:
        """Wait until every raid set is in sync: Linux 6.1 panics when one is stopped as its sync thread is being made.

        docs/decisions/0009-lab.md has the place in the kernel. A set is `idle` for a moment after it is resumed, too.
        """
        for device in observe(self.dm).devices:
            for each in self.dm.status(device.name):
                if each.target == "raid":
                    self.wait_for_raid(device.name)

    def wait_for_raid(self, name: str) -> None:
        for _ in range(3000):
            [line] = self.dm.status(name)
            found = RaidStatus.parse(line.text)
            if found.action == "idle" and found.in_sync == found.sectors and set(found.health) == {"A"}:
                return
            time.sleep(0.01)
        raise AssertionError(f"{name} does not come into sync: {found}")

    def run(self, program: Program, faults: Map) -> tuple[Result, int]:
        """The result, and how many calls were made."""
        faulty = FaultyDeviceMapper(self.dm, faults)
        return execute(program, faulty), len(faulty.calls)

    def is_at(self, state: State) -> bool:
        found = observe(self.dm)
        return activate(found, state).is_empty and not any(each.suspended or each.inactive for each in found.devices)


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    with KernelDeviceMapper() as dm:
        made = Ground(dm, tmp_path)
        made.fresh_disks()
        yield made
        made.close()


@pytest.mark.parametrize("transition", TRANSITIONS, ids=identify)
def test_a_program_leads_to_the_desired_state(ground: Ground, transition: Transition) -> None:
    old, desired = ground.states(transition)
    ground.go_to(old)
    ground.go_to(desired)


@pytest.mark.parametrize("transition", SAMPLE, ids=identify)
def test_single_calls_fail(ground: Ground, transition: Transition) -> None:
    old, desired = ground.states(transition)
    ground.go_to(old)
    count = 1
    while True:
        result, calls = ground.run(activate(observe(ground.dm), desired), fail_calls({count: errno.EIO}))
        if result.outcome == "done":
            assert ground.is_at(desired)
            if count > calls:
                return
            # The failed call was tried again: the old state is made afresh for the next one.
            ground.fresh_disks()
            old, desired = ground.states(transition)
            ground.go_to(old)
        else:
            assert result.outcome == "unwound", (result.error, result.left)
            assert ground.is_at(old), (count, observe(ground.dm))
        count += 1


@pytest.mark.parametrize("transition", SAMPLE, ids=identify)
def test_killed_in_the_middle(ground: Ground, transition: Transition) -> None:
    for count in range(1, 200):
        ground.fresh_disks()
        old, desired = ground.states(transition)
        ground.go_to(old)
        try:
            ground.run(activate(observe(ground.dm), desired), kill_at(count))
        except Killed:
            ground.go_to(desired)
        else:
            assert ground.is_at(desired)
            return


def test_errno_of_what_is_not_there(ground: Ground) -> None:
    mapper: DeviceMapper = ground.dm
    with pytest.raises(KernelError) as caught:
        mapper.remove("nothing-of-that-name")
    assert caught.value.errno == errno.ENXIO
