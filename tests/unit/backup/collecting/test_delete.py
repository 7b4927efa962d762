"""Deleting backups, and what is collected."""

from __future__ import annotations

import pytest

from drystone.backup.collecting.delete import delete_backups
from drystone.backup.format.keys import INDEX, OPEN, PACKS, VOLUMES, manifest_key, pack_key
from drystone.backup.state.operations import announced
from drystone.base.errors import DamagedError, NotFoundError
from drystone.testing.backup_world import OTHER, TUNING, VOLUME, BackupWorld, noise, with_chunk
from drystone.testing.repositories import collect_garbage


@pytest.fixture(params=[False, True], ids=["plain", "encrypted"])
def world(request: pytest.FixtureRequest) -> BackupWorld:
    return BackupWorld(encrypted=request.param)


def keys(world: BackupWorld, prefix: str) -> list[str]:
    return sorted(key for key, _ in world.store.list(prefix))


def test_the_only_backup_leaves_nothing(world: BackupWorld) -> None:
    head = world.back_up(noise(1, 10))
    stored = sum(world.packs().values())
    collected = delete_backups(world.vault, [(VOLUME, head.backup)], tuning=TUNING)
    assert (collected.bytes, collected.waiting) == (stored, 0)
    for prefix in (PACKS, VOLUMES, INDEX, OPEN):
        assert keys(world, prefix) == []
    state = world.state()
    assert (state.backups, state.indexes, state.doomed, state.removed, state.moved) == ((), (), (), (), {})


def test_what_others_need_stays(world: BackupWorld) -> None:
    image = noise(1, 12)
    first = world.back_up(image)
    changed = with_chunk(image, 2, noise(2, 1))
    second = world.back_up(changed, first, [(2, 1)])
    third = world.back_up(with_chunk(changed, 11, noise(3, 1)), second, [(11, 1)])
    other = world.back_up(image, volume=OTHER)
    before = set(world.packs())
    delete_backups(world.vault, [(VOLUME, first.backup), (VOLUME, third.backup)], tuning=TUNING)
    assert [each.backup for each in world.state().backups] == [second.backup, other.backup]
    assert set(world.packs()) < before
    world.check()
    delete_backups(world.vault, [(VOLUME, second.backup), (OTHER, other.backup)], tuning=TUNING)
    assert world.packs() == {}


def test_what_is_not_there_cannot_be_deleted(world: BackupWorld) -> None:
    first = world.back_up(noise(1, 3))
    before = world.snapshot()
    for wrong in ((OTHER, first.backup), (VOLUME, OTHER)):
        with pytest.raises(NotFoundError):
            delete_backups(world.vault, [(VOLUME, first.backup), wrong], tuning=TUNING)
        assert world.snapshot() == before


def test_packs_wait_for_operations_that_began_before(world: BackupWorld) -> None:
    first = world.back_up(noise(1, 10))
    with announced(world.vault, "backup", VOLUME, OTHER):
        collected = delete_backups(world.vault, [(VOLUME, first.backup)], tuning=TUNING)
        assert (collected.packs, collected.bytes) == (0, 0)
        assert collected.waiting == len(world.packs()) > 0
        assert collected.waiting_bytes == sum(world.packs().values())
    assert collect_garbage(world.vault, tuning=TUNING).waiting == 0
    assert world.packs() == {}


def test_packs_do_not_wait_for_operations_that_began_later(world: BackupWorld) -> None:
    first = world.back_up(noise(1, 10))
    with announced(world.vault, "read"):
        delete_backups(world.vault, [(VOLUME, first.backup)], tuning=TUNING)
        with announced(world.vault, "backup", VOLUME, OTHER):
            pass
    with announced(world.vault, "backup", VOLUME, OTHER):
        assert collect_garbage(world.vault, tuning=TUNING).waiting == 0
    assert world.packs() == {}


def test_force_takes_operations_for_dead(world: BackupWorld) -> None:
    first = world.back_up(noise(1, 10))
    with announced(world.vault, "backup", VOLUME, OTHER):
        delete_backups(world.vault, [(VOLUME, first.backup)], tuning=TUNING, force=True)
        assert world.packs() == {}
        assert keys(world, OPEN) == []


def test_a_living_writers_packs_are_not_garbage(world: BackupWorld) -> None:
    world.back_up(noise(1, 4))
    ours, others = bytes(12) + bytes(4), bytes([1]) * 12 + bytes(4)
    for pack in (ours, others):
        world.store.put_if_absent(pack_key(pack), b"not yet")
    with announced(world.vault, "backup", VOLUME, OTHER, writers=(bytes(12).hex(),)):
        collect_garbage(world.vault, tuning=TUNING)
        assert ours in world.packs()
    collect_garbage(world.vault, tuning=TUNING)
    assert ours not in world.packs()
    assert others not in world.packs()
    world.check()


def test_strays_go_but_not_those_of_living_operations(world: BackupWorld) -> None:
    world.back_up(noise(1, 4))
    whole = world.snapshot()
    stray, index = manifest_key(VOLUME, OTHER), f"{INDEX}/{'ab' * 12}"
    for key in (stray, index):
        world.store.put_if_absent(key, b"stray")
    with announced(world.vault, "backup", VOLUME, OTHER, writers=("ab" * 12,)):
        collect_garbage(world.vault, tuning=TUNING)
        assert {stray, index} <= world.objects.keys()
    collect_garbage(world.vault, tuning=TUNING)
    assert world.objects.keys().isdisjoint({stray, index})
    before = world.snapshot()
    collect_garbage(world.vault, tuning=TUNING)
    assert world.snapshot() == before != whole, "a second time there is nothing to do"


def test_a_damaged_backup_can_be_deleted_but_stops_other_collecting(world: BackupWorld) -> None:
    first, second = world.back_up(noise(1, 6)), world.back_up(noise(2, 6))
    world.damage(manifest_key(VOLUME, second.backup), 50)
    packs = world.packs()
    with pytest.raises(DamagedError) as error:
        delete_backups(world.vault, [(VOLUME, first.backup)], tuning=TUNING)
    assert error.value.facts["backup"] == second.backup
    assert [each.backup for each in world.state().backups] == [second.backup]
    assert world.packs() == packs
    with pytest.raises(DamagedError):
        collect_garbage(world.vault, tuning=TUNING)
    assert world.packs() == packs
    delete_backups(world.vault, [(VOLUME, second.backup)], tuning=TUNING)
    assert world.packs() == {}


def test_indexes_forget_packs_that_are_gone(world: BackupWorld) -> None:
    first = world.back_up(noise(1, 6))
    second = world.back_up(noise(2, 6))
    assert len(world.state().indexes) == 2
    delete_backups(world.vault, [(VOLUME, first.backup)], tuning=TUNING)
    assert len(world.state().indexes) == 1
    again = world.back_up(noise(1, 6))
    assert again.stored > 6 * 65536, "nothing refers to what is gone"
    assert world.back_up(noise(2, 6), volume=OTHER).stored < 65536, "what is there is found again"
    world.check()
    assert second.backup
