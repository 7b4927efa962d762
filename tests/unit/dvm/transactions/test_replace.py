"""A device of a group on files is replaced; ended anywhere, the same call goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from drystone.base.errors import NotFoundError, RefusedError
from drystone.dvm.metadata.create import Wish as NewVolume
from drystone.dvm.metadata.create import create
from drystone.dvm.planning.replacement import Replacement, Wish
from drystone.dvm.transactions.replace import Exchange, replace_device
from drystone.testing.faults import Killed
from drystone.testing.live_groups import FileGroup

MIB = 1 << 20


@pytest.fixture
def world(tmp_path: Path) -> FileGroup:
    """`lin` on the first disk, `safe` on the first two, and two disks more."""
    world = FileGroup(tmp_path, disks=4)
    world.update(lambda group: create(group, NewVolume("lin", 4 * MIB, devices=(world.paths[0],)), world.ids))
    world.update(
        lambda group: create(group, NewVolume("safe", 4 * MIB, devices=tuple(world.paths[:2])), world.ids, "raid1")
    )
    return world


def exchange(world: FileGroup, leave: Callable[[str], None] | None = None) -> Exchange:
    return Exchange(world.live(), world.ids, world.clock, leave or world.leave, lambda _: None)


def replaced(world: FileGroup, at: int, *, lost: bool = False, dry_run: bool = False) -> Replacement:
    return replace_device(exchange(world), world.paths[at], Wish("", is_lost=lost), dry_run=dry_run)


def used(world: FileGroup) -> set[str]:
    index = {each.uuid: each.path for each in world.group().devices}
    return {index[run.device] for volume in world.group().volumes for run in volume.runs()}


def test_a_device_that_is_there(world: FileGroup) -> None:
    rehearsed = replaced(world, 0, dry_run=True)
    assert (len(rehearsed.steps), rehearsed.done, world.sequence()) == (1, False, 3)
    done = replaced(world, 0)
    assert done.done
    assert len(done.steps) == 4
    assert world.paths[0] not in used(world)
    assert len(world.devices().devices) == 3
    assert len(world.group().devices) == 3
    with pytest.raises(NotFoundError):
        replaced(world, 0)


def test_a_device_that_is_lost(world: FileGroup) -> None:
    world.missing = {world.paths[1]}
    done = replace_device(exchange(world), lost_uuid(world), Wish(""))
    assert done.done
    assert done.steps[0] == "the metadata is rewritten for the devices that are left"
    assert world.paths[1] not in used(world)
    assert len(world.devices().devices) == 3
    assert not world.devices().missing


def lost_uuid(world: FileGroup) -> str:
    return world.devices().missing[0].uuid


def test_what_a_lost_device_held_alone_is_named(world: FileGroup) -> None:
    world.missing = {world.paths[0]}
    with pytest.raises(RefusedError, match="lin was on"):
        replace_device(exchange(world), lost_uuid(world), Wish(""))
    world.missing = set()
    assert world.update(lambda group: group).changed is False, "the metadata still count on all devices"


def test_a_rehearsal_for_a_lost_device_changes_nothing(world: FileGroup) -> None:
    world.missing = {world.paths[1]}
    rehearsed = replace_device(exchange(world), lost_uuid(world), Wish(""), dry_run=True)
    assert rehearsed.steps == ("the metadata is rewritten for the devices that are left",)
    world.missing = set()
    assert world.sequence() == 3
    assert world.update(lambda group: group).changed is False


def test_legs_on_a_device_that_is_not_to_be_read_are_rebuilt(world: FileGroup) -> None:
    done = replaced(world, 1, lost=True)
    assert done.done
    assert any("new legs" in step for step in done.steps)
    assert world.paths[1] not in used(world)
    assert len(world.devices().devices) == 3


def test_killed_while_its_label_goes_it_is_gone_on_with(world: FileGroup) -> None:
    def die(uuid: str) -> None:
        raise Killed

    with pytest.raises(Killed):
        replace_device(exchange(world, leave=die), world.paths[2], Wish(""))
    assert len(world.devices().devices) == 4
    assert replaced(world, 2).done
    assert len(world.devices().devices) == 3
