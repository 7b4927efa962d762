"""Metadata and devices change together: on files as regions, and a simulated kernel over them."""

from __future__ import annotations

import contextlib
import errno
import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from drystone.base.documents import encode
from drystone.base.errors import DrystoneError, KernelError, MismatchError, UsageError
from drystone.dvm.groups.group import Group
from drystone.dvm.metadata.create import Wish, create
from drystone.dvm.metadata.edit import seeded_ids
from drystone.dvm.metadata.remove import remove
from drystone.dvm.metadata.size import extend
from drystone.dvm.transactions.activation import Activation
from drystone.dvm.transactions.opening import opened
from drystone.dvm.transactions.page_blocks import PageBlock, PageBlocks
from drystone.dvm.transactions.transact import recover, update
from drystone.testing.faults import FaultyDeviceMapper, Killed, fail_calls, kill_at
from drystone.testing.live_groups import NOW, FileGroup

IDS = seeded_ids("test")


@pytest.fixture
def world(tmp_path: Path) -> FileGroup:
    return FileGroup(tmp_path)


def make(name: str, size: int = 4 << 20) -> Callable[[Group], Group]:
    return lambda group: create(group, Wish(name, size), IDS)


def grow(name: str) -> Callable[[Group], Group]:
    return lambda group: extend(group, name, size=8 << 20)


def drop(name: str) -> Callable[[Group], Group]:
    return lambda group: remove(group, [name])


def test_volumes_come_grow_and_go_with_their_metadata(world: FileGroup) -> None:
    outcome = world.update(make("data"))
    assert any("vg-data" in step for step in outcome.steps)
    assert [(each.name, each.length) for each in world.state().devices] == [("vg-data", 8192)]
    world.update(grow("data"))
    assert [each.length for each in world.state().devices] == [16384]
    assert world.sequence() == 3
    world.update(drop("data"))
    assert world.state().devices == ()
    assert world.group().volumes == ()


def test_a_new_volume_begins_with_zeros(world: FileGroup) -> None:
    group = world.group()
    start = group.devices[0].start
    with Path(world.paths[0]).open("r+b") as file:
        file.seek(start)
        file.write(b"old file system" * 100)
    world.update(make("data"))
    with Path(world.paths[0]).open("rb") as file:
        file.seek(start)
        assert not any(file.read(4096))


def test_metadata_that_change_no_device(world: FileGroup) -> None:
    group = world.group()
    outcome = world.update(lambda old: msgspec.structs.replace(old, tags=("x",)))
    assert outcome.changed
    assert world.group().tags == ("x",)
    assert world.group().uuid == group.uuid


@pytest.mark.parametrize("count", range(1, 9))
def test_a_call_that_fails_leaves_both_old_or_both_on_their_way(world: FileGroup, count: int) -> None:
    world.update(make("data"))
    before = (world.group(), world.state())
    try:
        world.update(grow("data"), FaultyDeviceMapper(world.dm, fail_calls({count: errno.EIO})))
    except DrystoneError as error:
        assert not any(each.suspended for each in world.state().devices)
        if error.facts["metadata"] == "as it was":
            assert (world.group(), world.state()) == before
        else:
            assert world.sequence() == 3
            world.update(make("more"))
            assert {each.length for each in world.state().devices} == {16384, 8192}
    else:
        assert world.state().devices[0].length == 16384


@pytest.mark.parametrize("count", range(1, 6))
def test_after_a_kill_the_same_metadata_activated_again_lead_the_devices_there(world: FileGroup, count: int) -> None:
    world.update(make("data"))
    before = (world.group(), world.state())
    with contextlib.suppress(Killed):
        world.update(grow("data"), FaultyDeviceMapper(world.dm, kill_at(count)))
    with opened(world.devices(), write=True) as survey:
        recover(survey, ("recover",), NOW)
    sequence = world.sequence()
    group = world.group()
    world.update(lambda old: old)
    assert world.sequence() == sequence
    assert not any(each.suspended for each in world.state().devices)
    if group == before[0]:
        assert world.state() == before[1]
    else:
        assert [each.length for each in world.state().devices] == [16384]


def test_a_rehearsal_of_the_same_metadata_leaves_the_devices_alone(world: FileGroup) -> None:
    world.update(make("data"))
    world.dm.remove("vg-data")
    devices = world.devices()
    along = Activation(world.dm, lambda _: pytest.fail("nothing is run"), devices, number=world.number)
    with opened(devices, write=True) as survey:
        outcome = update(survey, bytes, ("update",), NOW, dry_run=True, along=along)
    assert not outcome.changed
    assert any("vg-data" in step for step in outcome.steps)
    world.update(lambda old: old)
    assert [each.length for each in world.state().devices] == [8192]


class Failing(PageBlocks):
    """The second region cannot be written by the program."""

    def __init__(self, path: str) -> None:
        self.path = path

    def open(self, path: str) -> PageBlock:
        found = super().open(path)
        return found if path != self.path else FailingBlock(found)


class FailingBlock(PageBlock):
    def __init__(self, inner: PageBlock) -> None:
        super().__init__(inner._device)

    def pwrite(self, offset: int, data: bytes) -> None:
        raise KernelError("write", errno.EIO, device="second")


@pytest.mark.parametrize("which", [0, 1])
def test_a_region_that_cannot_be_committed(world: FileGroup, which: int) -> None:
    world.update(make("data"))
    before = (world.group(), world.state())
    with pytest.raises(DrystoneError) as caught:
        world.update(grow("data"), blocks=Failing(world.paths[which]))
    if which == 0:
        assert caught.value.facts["metadata"] == "as it was"
        assert (world.group(), world.state()) == before
    else:
        assert caught.value.facts["metadata"] == "@3, the new one"
        assert world.state().devices[0].length == 16384
    with opened(world.devices(), write=True) as survey:
        assert not recover(survey, ("recover",), NOW).changed


def test_what_is_no_group_is_refused_before_anything_is_written(world: FileGroup) -> None:
    devices = world.devices()
    along = Activation(world.dm, lambda _: pytest.fail("nothing is run"), devices, number=world.number)
    with opened(devices, write=True) as survey, pytest.raises(UsageError, match="the new metadata"):
        update(survey, lambda _: json.dumps({"n": 1}).encode(), ("update",), NOW, along=along)
    assert world.sequence() == 1


def test_a_volume_whose_device_is_missing_is_not_taken_away(world: FileGroup) -> None:
    world.update(make("data"))
    group = world.group()
    used = {run.device for volume in group.volumes for run in volume.runs()}
    found = world.devices()
    there = msgspec.structs.replace(found, devices=tuple(each for each in found.devices if each.uuid not in used))
    along = Activation(world.dm, lambda _: pytest.fail("nothing is run"), there, number=world.number)
    with pytest.raises(MismatchError, match="data, more could not stay active"):
        along.plan(encode(group), encode(make("more")(group)))


def test_plain_files_are_no_devices(world: FileGroup) -> None:
    with pytest.raises(UsageError, match="plain file"):
        PageBlocks().number(world.paths[0])
