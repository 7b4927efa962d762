"""A repository whose newest generation is damaged or gone."""

from __future__ import annotations

import msgspec
import pytest

from drystone.backup.collecting.choice import Limits
from drystone.backup.collecting.collect import begin
from drystone.backup.collecting.delete import delete_backups, take_out
from drystone.backup.collecting.prune import Wish, prune
from drystone.backup.collecting.rebuild import rebuild
from drystone.backup.collecting.retention import Policy
from drystone.backup.format.keys import INDEX, STATE, index_key, manifest_key, pack_key, slot_key, state_key
from drystone.backup.objects import read_manifest
from drystone.backup.state.generations import change_state
from drystone.base.errors import BusyError, DamagedError, RefusedError
from drystone.testing.backup_world import CHUNK, OTHER, TUNING, VOLUME, BackupWorld, noise, with_chunk
from drystone.testing.repositories import collect_garbage


@pytest.fixture(params=[False, True], ids=["plain", "encrypted"])
def world(request: pytest.FixtureRequest) -> BackupWorld:
    return BackupWorld(encrypted=request.param)


def damage_newest(world: BackupWorld) -> None:
    key = max(key for key, _ in world.store.list(STATE))
    world.damage(key, -5)


def test_a_damaged_generation_is_replaced(world: BackupWorld) -> None:
    image = noise(1, 10)
    first = world.back_up(image)
    world.back_up(with_chunk(image, 2, noise(2, 1)), first, [(2, 1)])
    world.back_up(image, volume=OTHER)
    before = world.state()
    damage_newest(world)
    with pytest.raises(DamagedError):
        world.state()
    rebuilt = rebuild(world.vault)
    assert rebuilt.left_out == ()
    assert rebuilt.number == before.number + 1
    assert world.state().backups == before.backups
    assert world.state().indexes == tuple(sorted(before.indexes))
    world.check()
    assert world.back_up(image, volume=OTHER).stored < CHUNK
    collect_garbage(world.vault, tuning=TUNING)
    world.check()


def test_what_was_moved_stays_known(world: BackupWorld) -> None:
    image = noise(1, 10)
    first = world.back_up(image)
    world.back_up(with_chunk(image, 2, noise(2, 1)), first, [(2, 1)])
    delete_backups(world.vault, [(VOLUME, first.backup)], tuning=TUNING)
    prune(world.vault, Wish(Policy(), Limits(max_unused=0)), tuning=TUNING)
    moved = world.state().moved
    assert moved
    damage_newest(world)
    rebuild(world.vault)
    assert world.state().moved == moved
    world.check()
    collect_garbage(world.vault, tuning=TUNING)
    world.check()


def test_what_is_not_whole_is_left_out_and_named(world: BackupWorld) -> None:
    heads = [world.back_up(noise(seed, 3)) for seed in (1, 2, 3)]
    world.damage(manifest_key(VOLUME, heads[0].backup), 60)
    lost = next(pack for pack in world.packs() if world.vault and pack)
    world.store.delete(pack_key(lost))
    for name in world.state().indexes:
        world.damage(index_key(name), 40)
    damage_newest(world)
    rebuilt = rebuild(world.vault)
    assert {error.facts["backup"] for error in rebuilt.left_out} >= {heads[0].backup}
    assert len(rebuilt.left_out) + len(rebuilt.backups) == 3
    world.check()
    assert world.back_up(noise(3, 3), volume=OTHER).stored < CHUNK, "the indexes are made again"
    collect_garbage(world.vault, tuning=TUNING)
    world.check()
    assert len(list(world.store.list(INDEX))) == len(world.state().indexes)


def test_what_was_being_removed_does_not_come_back(world: BackupWorld) -> None:
    """A collector that was held up may delete it late: nobody may refer to it, by whatever index."""
    image, other = noise(1, 10), noise(2, 3)
    gone = world.back_up(image)
    world.back_up(other, volume=OTHER)
    names = world.state().indexes
    take_out(world.vault, [(VOLUME, gone.backup)])
    going = {pack for pack in world.packs() if pack in read_manifest(world.vault, VOLUME, gone.backup).pack_ids()}
    keys = tuple(sorted([manifest_key(VOLUME, gone.backup), *map(pack_key, going), index_key(names[0])]))
    change_state(
        world.vault, lambda state: msgspec.structs.replace(state, removed=keys, indexes=tuple(set(names) - {names[0]}))
    )
    change_state(world.vault, msgspec.structs.replace)
    damage_newest(world)
    rebuilt = rebuild(world.vault)
    assert rebuilt.left_out == ()
    assert [each.volume for each in rebuilt.backups] == [OTHER]
    assert world.state().removed == keys
    assert names[0] not in world.state().indexes
    world.back_up(image[: 4 * CHUNK])
    for key in keys:
        world.store.delete(key)
    world.check()
    collect_garbage(world.vault, tuning=TUNING)
    world.check()
    assert world.state().removed == ()


def test_a_key_slot_that_was_being_removed_stays(world: BackupWorld) -> None:
    """Rather than that the last one goes."""
    world.back_up(noise(1, 3))
    gone = (manifest_key(VOLUME, OTHER), slot_key(OTHER))
    for _ in range(2):
        change_state(world.vault, lambda state: msgspec.structs.replace(state, removed=gone))
    damage_newest(world)
    rebuild(world.vault)
    assert world.state().removed == gone[:1]


def test_a_backup_whose_manifest_is_gone_is_named(world: BackupWorld) -> None:
    heads = [world.back_up(noise(seed, 3)) for seed in (1, 2)]
    change_state(world.vault, msgspec.structs.replace)
    world.store.delete(manifest_key(VOLUME, heads[0].backup))
    damage_newest(world)
    rebuilt = rebuild(world.vault)
    assert [error.facts["backup"] for error in rebuilt.left_out] == [heads[0].backup]
    assert [each.backup for each in rebuilt.backups] == [heads[1].backup]


def test_nothing_is_rebuilt_while_somebody_collects(world: BackupWorld) -> None:
    world.back_up(noise(1, 3))
    with begin(world.vault, 2):
        damage_newest(world)
        with pytest.raises(BusyError):
            rebuild(world.vault)
        assert len(rebuild(world.vault, force=True).backups) == 1


def test_all_generations_are_gone_but_the_first_number_is_free(world: BackupWorld) -> None:
    world.back_up(noise(1, 3))
    for key, _ in list(world.store.list(STATE)):
        world.store.delete(key)
    rebuilt = rebuild(world.vault)
    assert rebuilt.number == 1
    assert len(rebuilt.backups) == 1
    world.check()


def test_a_state_that_can_be_read_is_not_replaced_unasked(world: BackupWorld) -> None:
    head = world.back_up(noise(1, 3))
    before = world.snapshot()
    with pytest.raises(RefusedError):
        rebuild(world.vault)
    assert world.snapshot() == before
    rebuild(world.vault, force=True)
    assert [each.backup for each in world.state().backups] == [head.backup]
    world.check()
    assert state_key(world.state().number) in world.objects
