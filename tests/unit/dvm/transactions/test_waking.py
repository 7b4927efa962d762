"""Groups with several thin pools, after a restart."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from drystone.base.documents import encode
from drystone.base.errors import DrystoneError, MismatchError
from drystone.dvm.groups.group import Group, Index
from drystone.dvm.groups.kinds import ThinPool
from drystone.dvm.metadata.create import Wish, create
from drystone.dvm.metadata.raid import repair, settled
from drystone.dvm.metadata.remove import remove
from drystone.dvm.metadata.thin import thin, thin_pool, thin_snapshot
from drystone.dvm.transactions.opening import opened
from drystone.dvm.transactions.transact import recover
from drystone.dvm.transactions.transact import update as update_metadata
from drystone.testing.live_groups import NOW, FileGroup

MIB = 1 << 20


@pytest.fixture
def world(tmp_path: Path) -> FileGroup:
    """Two pools with a volume each."""
    world = FileGroup(tmp_path)
    for pool, name in (("pool1", "one"), ("pool2", "two")):
        world.update(lambda group, pool=pool: thin_pool(group, pool, 8 * MIB, world.ids))  # type: ignore[misc]
        world.update(lambda group, pool=pool, name=name: thin(group, pool, [name], MIB, world.ids))  # type: ignore[misc]
    return world


def transactions(group: Group) -> dict[str, int]:
    return {volume.name: volume.transaction_id for volume in group.volumes if isinstance(volume, ThinPool)}


def test_two_sleeping_pools_become_active_in_one_update(world: FileGroup) -> None:
    before = world.active()
    world.restart()
    world.update(lambda group: group)
    assert world.active() == before


def test_two_sleeping_pools_are_told_of_a_further_transaction(world: FileGroup) -> None:
    world.restart()

    def snapshots(group: Group) -> Group:
        for name in ("one", "two"):
            group = thin_snapshot(group, name, f"{name}-copy", world.ids)
        return group

    outcome = world.update(snapshots)
    assert "wake vg-pool1" in outcome.steps
    assert "wake vg-pool2" in outcome.steps
    assert transactions(world.group()) == {"pool1": 2, "pool2": 2}
    assert {"vg-one--copy", "vg-two--copy"} <= set(world.active())
    world.restart()
    world.update(lambda group: group)
    assert {"vg-one--copy", "vg-two--copy"} <= set(world.active())


def test_one_sleeping_pool_that_was_not_told_of_its_last_transaction(world: FileGroup) -> None:
    """The metadata went ahead, the kernel did not: it is told of that one first, then of the next."""
    world.update(lambda group: remove(group, ["pool2", "two"]))
    with opened(world.devices(), write=True) as survey:
        update_metadata(
            survey,
            lambda data: encode(thin(msgspec.json.decode(data, type=Group), "pool1", ["late"], MIB, world.ids)),
            ("update",),
            NOW,
        )
    world.restart()
    world.update(lambda group: thin(group, "pool1", ["later"], MIB, world.ids))
    assert {"vg-late", "vg-later"} <= set(world.active())
    assert transactions(world.group()) == {"pool1": 3}


def test_a_pool_that_is_there_and_cannot_be_asked_is_not_taken_away(world: FileGroup) -> None:
    before = world.active()
    world.restart()
    world.along(only=("one",)).start(encode(world.group()))
    world.dm.open("vg-one")
    world.dm.suspend("vg-pool1:meta")
    world.update(lambda group: group)
    assert world.active() == before
    assert not any(each.suspended for each in world.state().devices)


def test_a_rehearsal_names_the_pools_and_wakes_none(world: FileGroup) -> None:
    world.restart()
    metadata = encode(world.group())
    steps = world.along().steps(metadata, encode(thin(world.group(), "pool1", ["new"], MIB, world.ids)))
    assert "wake vg-pool2" in steps
    assert world.active() == []


def test_a_pool_that_goes_is_not_woken(world: FileGroup) -> None:
    world.restart()
    world.update(lambda group: remove(group, ["pool1", "one"]))
    assert world.active() == ["vg-pool2", "vg-pool2:data", "vg-pool2:meta", "vg-two"]


def test_what_lacks_a_device_stays_as_it_is_with_partial(tmp_path: Path) -> None:
    world = FileGroup(tmp_path, disks=3)
    world.update(lambda group: create(group, Wish("here", MIB, devices=(world.paths[0],)), world.ids))
    world.update(lambda group: create(group, Wish("there", MIB, devices=(world.paths[2],)), world.ids))
    world.update(
        lambda group: create(group, Wish("both", MIB, devices=(world.paths[0], world.paths[2])), world.ids, "raid1")
    )
    before = world.active()
    world.missing = {world.paths[2]}
    metadata = encode(world.group())
    with pytest.raises(MismatchError, match="there could not stay active"):
        world.along().plan(metadata, metadata)
    plan = world.along(partial=True).start(metadata)
    assert [each.name for each in plan.left_out] == ["there"]
    assert [each.name for each in plan.degraded] == ["both"]
    after = world.active()
    assert "vg-there" in after, "it is active, and stays so"
    assert set(before) - set(after) == {"vg-both:data1", "vg-both:meta1"}
    world.restart()
    world.along(partial=True).start(metadata)
    assert "vg-there" not in world.active()


def test_a_recovery_brings_devices_along(tmp_path: Path) -> None:
    world = FileGroup(tmp_path, disks=3)
    world.update(lambda group: create(group, Wish("safe", MIB, devices=tuple(world.paths[:2])), world.ids, "raid1"))
    lost = world.uuid(1)
    world.missing = {world.paths[1]}

    def mend(group: Group) -> Group:
        return repair(group, "safe", [lost], world.ids)

    with opened(world.devices(), write=True) as survey:
        outcome = recover(
            survey,
            ("recover",),
            NOW,
            mutate=lambda data: encode(mend(msgspec.json.decode(data, type=Group))),
            along=world.along(partial=True),
        )
    assert outcome.changed
    assert outcome.steps
    table = next(device.table for device in world.state().devices if device.name == "vg-safe")
    assert "rebuild 1" in table[0].params
    world.update(lambda group: settled(group, "safe"))
    assert "rebuild" not in next(d.table for d in world.state().devices if d.name == "vg-safe")[0].params


def test_a_recovery_without_a_mutator_lets_raid_go_on_degraded(tmp_path: Path) -> None:
    world = FileGroup(tmp_path, disks=2)
    world.update(lambda group: create(group, Wish("safe", MIB), world.ids, "raid1"))
    world.missing = {world.paths[1]}
    world.restart()
    with opened(world.devices(), write=True) as survey:
        outcome = recover(survey, ("recover",), NOW, along=world.along(partial=True))
    assert outcome.changed
    assert "- -" in next(d.table for d in world.state().devices if d.name == "vg-safe")[0].params


def test_only_some_volumes(world: FileGroup) -> None:
    world.restart()
    metadata = encode(world.group())
    world.along(only=("one",)).start(metadata)
    assert world.active() == ["vg-one", "vg-pool1", "vg-pool1:data", "vg-pool1:meta"]
    world.along(only=("two",)).start(metadata)
    assert {"vg-one", "vg-two"} <= set(world.active())
    world.along(only=("pool1",)).stop(metadata)
    assert world.active() == ["vg-pool2", "vg-pool2:data", "vg-pool2:meta", "vg-two"]
    world.along().stop(metadata)
    assert world.active() == []


def test_a_volume_in_use_is_not_taken_away(world: FileGroup) -> None:
    number = world.dm.info("vg-one").number
    world.dm.open(number)
    before = world.active()
    with pytest.raises(DrystoneError):
        world.along().stop(encode(world.group()))
    assert world.active() == before
    assert Index(world.group()).find("one")
