"""Programs of clones, on the simulated device-mapper."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from drystone.base.errors import DamagedError, ExistsError, UsageError
from drystone.dvm import clone
from drystone.dvm.dmexec import execute
from drystone.dvm.program import Program
from drystone.kernel.dm.abc import DeviceNumber, Ref, TableLine, TargetStatus
from drystone.kernel.dm.clone import Clone, CloneStatus
from drystone.kernel.dm.simulated import SimulatedDeviceMapper
from drystone.kernel.dm.targets import Linear

MIB = 1 << 20
"""Bytes."""


@pytest.fixture
def dm() -> SimulatedDeviceMapper:
    return SimulatedDeviceMapper()


@pytest.fixture
def disks(dm: SimulatedDeviceMapper) -> list[DeviceNumber]:
    found = [DeviceNumber(7, at) for at in range(4)]
    for each in found:
        dm.add_disk(each, 1 << 16)
    return found


@pytest.fixture
def wanted(disks: list[DeviceNumber]) -> clone.Wanted:
    return clone.Wanted("new", "tag", disks[0], disks[1], disks[2], 32 * MIB, MIB)


def run(dm: SimulatedDeviceMapper, program: Program) -> None:
    execute(program, dm, memory=nullcontext).require_done()


def test_a_clone_is_made_continued_completed_and_removed(
    dm: SimulatedDeviceMapper, disks: list[DeviceNumber], wanted: clone.Wanted
) -> None:
    assert clone.find_clone(dm, "new", wanted.uuid) is None
    run(dm, clone.creation(wanted))
    found = clone.find_clone(dm, "new", wanted.uuid)
    assert found == Clone(str(disks[0]), str(disks[1]), str(disks[2]), 2048, threshold=16, batch=4)
    status = clone.read_status(dm, "new")
    assert (status.hydrated, status.regions) == (32, 32)
    other = clone.Wanted("new", "tag", disks[0], disks[1], disks[3], 32 * MIB, MIB)
    run(dm, clone.continuation(other))
    found = clone.find_clone(dm, "new", wanted.uuid)
    assert isinstance(found, Clone)
    assert found.source == str(disks[3])
    run(dm, clone.completion(wanted))
    assert clone.find_clone(dm, "new", wanted.uuid) == Linear(str(disks[1]), 0)
    assert not dm.info("new").suspended
    run(dm, clone.removal(dm, "new"))
    assert dm.list_devices() == []


def test_the_old_table_is_suspended_before_the_new_one_is_loaded(wanted: clone.Wanted) -> None:
    for program in (clone.continuation(wanted), clone.completion(wanted)):
        words = [each.op for each in program.instructions if each.op in {"suspend", "load", "resume"}]
        assert words[:3] == ["suspend", "load", "resume"]


def test_a_table_that_is_refused_leaves_the_old_one_running(
    dm: SimulatedDeviceMapper, disks: list[DeviceNumber], wanted: clone.Wanted
) -> None:
    run(dm, clone.creation(wanted))
    before = dm.table("new")
    wrong = clone.Wanted("new", "tag", disks[0], disks[1], disks[3], 32 * MIB, 2 * MIB)
    assert execute(clone.continuation(wrong), dm, memory=nullcontext).outcome == "unwound"
    assert dm.table("new") == before
    assert not dm.info("new").suspended


def test_a_clone_that_cannot_be_made_leaves_nothing(dm: SimulatedDeviceMapper, disks: list[DeviceNumber]) -> None:
    large = clone.Wanted("new", "tag", disks[0], disks[1], disks[2], 64 * MIB, MIB)
    assert execute(clone.creation(large), dm, memory=nullcontext).outcome == "unwound"
    assert dm.list_devices() == []


def test_what_was_cut_off_before_it_had_a_table_is_removed(dm: SimulatedDeviceMapper, wanted: clone.Wanted) -> None:
    assert clone.find_remnant(dm, "new", wanted.uuid) is None
    dm.create("new", wanted.uuid)
    for loaded in (False, True):
        if loaded:
            dm.create("new", wanted.uuid)
            dm.load("new", [TableLine(0, 8, "zero")])
        assert clone.find_clone(dm, "new", wanted.uuid) is None
        remnant = clone.find_remnant(dm, "new", wanted.uuid)
        assert remnant is not None
        run(dm, remnant)
        assert dm.list_devices() == []
    run(dm, clone.creation(wanted))
    assert clone.find_remnant(dm, "new", wanted.uuid) is None


def test_somebody_elses_device_is_not_taken_for_ours(dm: SimulatedDeviceMapper, wanted: clone.Wanted) -> None:
    dm.create("new", "OTHER")
    with pytest.raises(ExistsError):
        clone.find_clone(dm, "new", wanted.uuid)
    dm.load("new", [TableLine(0, 8, "zero")])
    dm.resume("new")
    with pytest.raises(ExistsError):
        clone.find_clone(dm, "new", wanted.uuid)


@pytest.mark.parametrize("region", [0, 2048, 3 << 12, 2 << 30, 1000])
def test_regions_that_cannot_be_are_refused(wanted: clone.Wanted, region: int) -> None:
    with pytest.raises(UsageError):
        clone.Wanted("new", "tag", wanted.metadata, wanted.destination, wanted.source, MIB, region)


def test_metadata_grows_with_the_regions() -> None:
    assert clone.metadata_size(1 << 20, 1 << 20) < clone.metadata_size(64 << 40, 1 << 20) < 64 << 20


class Failed(SimulatedDeviceMapper):
    """Whose clones can write no metadata."""

    def status(self, ref: Ref, *, no_flush: bool = False) -> list[TargetStatus]:
        return [TargetStatus(0, 8, "clone", "8 1/2 8 1/2 0 0 0 ro")]


def test_failed_metadata_is_damage() -> None:
    assert CloneStatus.parse("Fail") is None
    assert CloneStatus.parse("Error") is None
    for text in ("", "8 1 8 1/2 0 0 0 rw", "8 1/2 8 1/2 0 0 0", "8 1/2 8 1/2 0 0 0 rw more"):
        with pytest.raises(UsageError):
            CloneStatus.parse(text)

    with pytest.raises(DamagedError):
        clone.read_status(Failed(), "new")
