"""Pruning by policy, and rewriting packs of which little is used."""

from __future__ import annotations

import msgspec
import pytest

from drystone.backup.collecting.choice import Limits
from drystone.backup.collecting.collect import Collected
from drystone.backup.collecting.delete import delete_backups
from drystone.backup.collecting.prune import Plan, Pruned, Wish, prune, raise_damages
from drystone.backup.collecting.retention import Policy
from drystone.backup.collecting.scrubbing import scrub
from drystone.backup.format.keys import PACKS, manifest_key, pack_key
from drystone.backup.format.manifest import Head
from drystone.backup.state.generations import change_state
from drystone.backup.state.operations import announced
from drystone.base.errors import DamagedError, NotFoundError
from drystone.store.abc import Data
from drystone.testing.backup_world import CHUNK, OTHER, TUNING, VOLUME, BackupWorld, noise, with_chunk
from drystone.testing.stores import MemoryStore

NO_POLICY = Policy()
ALL = Limits(max_unused=0)
NONE = Limits(max_unused=1, merge=False)


@pytest.fixture(params=[False, True], ids=["plain", "encrypted"])
def world(request: pytest.FixtureRequest) -> BackupWorld:
    return BackupWorld(encrypted=request.param)


def run(world: BackupWorld, policy: Policy = NO_POLICY, limits: Limits = ALL, volume: str = "") -> Pruned:
    return prune(world.vault, Wish(policy, limits, volume), tuning=TUNING)


def half_used(world: BackupWorld) -> Head:
    """A backup whose packs are half used: of each pack of three chunks, one or two were replaced in a later one."""
    image = noise(1, 12)
    first = world.back_up(image)
    for chunk in (0, 2, 4, 6, 8, 10):
        image = with_chunk(image, chunk, noise(100 + chunk, 1))
    second = world.back_up(image, first, [(chunk, 1) for chunk in (0, 2, 4, 6, 8, 10)])
    delete_backups(world.vault, [(VOLUME, first.backup)], tuning=TUNING)
    return second


def test_the_plan_is_what_is_done(world: BackupWorld) -> None:
    image = noise(1, 12)
    heads = [world.back_up(image)]
    for number in range(5):
        image = with_chunk(image, number, noise(50 + number, 1))
        heads.append(world.back_up(image, heads[-1], [(number, 1)]))
    before = world.snapshot()
    wish = Wish(Policy(last=2), ALL)
    plan = prune(world.vault, wish, tuning=TUNING, dry_run=True).plan
    assert world.snapshot() == before
    assert [each.backup.backup for each in plan.decisions if each.kept] == [heads[5].backup, heads[4].backup]
    assert plan.unneeded_bytes > 0
    assert len(plan.rewrite) > 0
    stored = sum(world.packs().values())
    assert plan.stored == stored
    shown: list[Plan] = []
    pruned = prune(world.vault, wish, tuning=TUNING, show=shown.append)
    assert shown == [plan] == [pruned.plan]
    assert [each.backup for each in world.state().backups] == [heads[4].backup, heads[5].backup]
    world.check()
    assert stored - sum(world.packs().values()) == pytest.approx(plan.freed, abs=500)
    document = plan.to_document()
    assert len(document["delete"]) == 4  # type: ignore[arg-type]
    assert document["freed"] == plan.freed


def test_unused_records_go_and_the_rest_is_read_from_new_packs(world: BackupWorld) -> None:
    second = half_used(world)
    stored = sum(world.packs().values())
    old = set(world.packs())
    pruned = run(world)
    assert pruned.collected is not None
    assert pruned.collected.packs > 0
    freed = stored - sum(world.packs().values())
    assert freed > 5.9 * CHUNK
    assert old - set(world.packs())
    assert world.state().moved
    world.check()
    again = run(world)
    assert again.collected == Collected()
    assert again.plan.rewrite == ()
    # Builds upon what was moved, with a change beside it.
    image = with_chunk(world.images[VOLUME, second.backup], 1, noise(7, 1))
    third = world.back_up(image, second, [(1, 1)])
    assert third.stored < 1.2 * CHUNK
    other = world.back_up(image, volume=OTHER)
    assert other.stored < CHUNK / 2, "moved chunks are found by the index"
    world.check()
    run(world, Policy(last=1))
    world.check()
    run(world)
    world.check()
    delete_backups(world.vault, [(VOLUME, third.backup), (OTHER, other.backup)], tuning=TUNING)
    assert world.packs() == {}
    assert world.state().moved == {}


def test_moved_packs_are_moved_again(world: BackupWorld) -> None:
    head = half_used(world)
    image = world.images[VOLUME, head.backup]
    for turn in range(5):
        run(world)
        world.check()
        image = with_chunk(image, 2 * turn + 1, noise(200 + turn, 1))
        new = world.back_up(image, head, [(2 * turn + 1, 1)])
        delete_backups(world.vault, [(VOLUME, head.backup)], tuning=TUNING)
        head = new
    run(world)
    world.check()
    assert sum(world.packs().values()) < 12.5 * CHUNK


def test_nothing_is_rewritten_for_little(world: BackupWorld) -> None:
    half_used(world)
    packs = world.packs()
    assert run(world, limits=Limits(max_unused=0.6)).collected == Collected()
    assert run(world, limits=NONE).plan.rewrite == ()
    assert world.packs() == packs


def test_max_rewrite_bounds_a_run(world: BackupWorld) -> None:
    half_used(world)
    pruned = run(world, limits=Limits(max_unused=0, max_rewrite=CHUNK + CHUNK // 2))
    assert 0 < pruned.plan.rewritten <= CHUNK + CHUNK // 2
    world.check()
    assert run(world).plan.rewrite
    world.check()


def test_many_small_packs_become_few(world: BackupWorld) -> None:
    image = noise(1, 2)
    head = world.back_up(image)
    for number in range(20):
        image = with_chunk(image, 0, bytes(CHUNK - 9) + b"turn %4d" % number)
        head = world.back_up(image, head, [(0, 1)])
    before = len(world.packs())
    assert before > 40
    assert len(world.state().indexes) > 16
    run(world, limits=Limits())
    assert len(world.packs()) < 10
    assert len(world.state().indexes) < 4
    world.check()
    world.back_up(with_chunk(image, 1, noise(3, 1)), head, [(1, 1)])
    world.check()


def test_only_the_volume_that_is_named_is_pruned(world: BackupWorld) -> None:
    for volume in (VOLUME, OTHER):
        for seed in (1, 2):
            world.back_up(noise(seed, 3), volume=volume)
    run(world, Policy(last=1), volume=OTHER)
    assert [each.volume for each in world.state().backups] == [VOLUME, VOLUME, OTHER]
    with pytest.raises(NotFoundError):
        run(world, Policy(last=1), volume=VOLUME[:-1] + "9")


def test_a_reader_keeps_what_it_began_with(world: BackupWorld) -> None:
    half_used(world)
    packs = set(world.packs())
    with announced(world.vault, "read"):
        pruned = run(world)
        assert pruned.collected is not None
        assert pruned.collected.waiting > 0
        assert packs < set(world.packs())
        world.check()
    run(world)
    assert not packs <= set(world.packs())
    world.check()


def test_packs_of_a_backup_with_a_damaged_map_are_left_alone(world: BackupWorld) -> None:
    second = half_used(world)
    entry = world.state().find(VOLUME, second.backup)
    assert entry is not None
    packs = world.packs()
    smallest = min(packs, key=lambda pack: packs[pack])
    world.damage(pack_key(smallest), 100)
    pruned = run(world)
    assert pruned.damages
    with pytest.raises(DamagedError):
        raise_damages(pruned)
    assert world.packs() == packs


def test_a_pack_with_a_damaged_record_is_not_rewritten(world: BackupWorld) -> None:
    half_used(world)
    packs = sorted(each.pack for each in run_plan(world).rewrite)
    for at in range(40, 3 * CHUNK, CHUNK // 2):
        if at < world.packs()[packs[0]]:
            world.damage(pack_key(packs[0]), at)
    pruned = run(world)
    assert len(pruned.damages) >= 1
    assert packs[0] in world.packs()
    assert packs[1] not in world.packs()


def run_plan(world: BackupWorld) -> Plan:
    return prune(world.vault, Wish(NO_POLICY, ALL), tuning=TUNING, dry_run=True).plan


def test_a_damaged_manifest_stops_it_before_anything_is_changed(world: BackupWorld) -> None:
    second = half_used(world)
    world.damage(manifest_key(VOLUME, second.backup), 60)
    before = world.packs()
    state = world.state()
    with pytest.raises(DamagedError):
        run(world, Policy(last=1))
    assert world.packs() == before
    assert world.state() == state


def test_packs_stay_while_what_they_were_moved_to_cannot_be_read(world: BackupWorld) -> None:
    half_used(world)
    old = set(world.packs())
    with announced(world.vault, "read"):
        run(world)
    new = set(world.packs()) - old
    doomed = {bytes.fromhex(each) for each in world.state().refused()}
    assert doomed
    assert new
    copy = world.snapshot()
    kept = dict(world.objects)
    for pack in new:
        del world.objects[pack_key(pack)]
    run(world)
    assert doomed <= set(world.packs()), "they are the only copy"
    world.objects.clear()
    world.objects.update(kept)
    assert world.snapshot() == copy
    for pack in new:
        world.damage(pack_key(pack), -10)
    run(world)
    assert new <= set(world.packs())
    for pack in new:
        world.damage(pack_key(pack), -10)
    run(world)
    world.check()


def test_a_damaged_copy_does_not_count_as_one(world: BackupWorld) -> None:
    """A pack was taken back from the doomed by a writer; of a record in it, the copy is damaged."""
    half_used(world)
    old = set(world.packs())
    with announced(world.vault, "read"):
        run(world)
    new = set(world.packs()) - old
    taken_back = {bytes.fromhex(each) for each in world.state().refused()}
    change_state(world.vault, lambda state: msgspec.structs.replace(state, doomed=()))
    for pack in new:
        if world.packs()[pack] > CHUNK:
            world.damage(pack_key(pack), 1000)
    scrub(world.vault, tuning=TUNING, clock=world)
    world.check()
    run(world)
    run(world)
    world.check()
    assert taken_back.isdisjoint(world.packs()), "what was whole in them is in a third place now"
    assert not scrub(world.vault, tuning=TUNING, clock=world).found.damaged


def test_a_copy_that_is_found_damaged_while_a_prune_runs_does_not_count(world: BackupWorld) -> None:
    """A scrub writes it down when the prune has looked already."""
    half_used(world)
    old = set(world.packs())
    with announced(world.vault, "read"):
        run(world)
    change_state(world.vault, lambda state: msgspec.structs.replace(state, doomed=()))

    def find_damage(_plan: Plan) -> None:
        for pack in set(world.packs()) - old:
            if world.packs()[pack] > CHUNK:
                world.damage(pack_key(pack), 1000)
        assert not [each for each in scrub(world.vault, tuning=TUNING, clock=world).found.losses if not each.mended]
        assert world.state().damaged

    prune(world.vault, Wish(Policy(), Limits(max_unused=0)), tuning=TUNING, show=find_damage)
    world.check()
    run(world)
    run(world)
    world.check()


def test_a_backup_that_comes_while_packs_are_copied_keeps_what_it_refers_to(world: BackupWorld) -> None:
    """It needs a chunk of a pack that nobody needed when the copying began."""

    class Meanwhile(MemoryStore):
        armed = True

        def put_if_absent(self, key: str, data: Data) -> bool:
            if self.armed and key.startswith(PACKS):
                self.armed = False
                world.back_up(noise(1, 2))
            return super().put_if_absent(key, data)

    whole = world.back_up(noise(1, 2), volume=OTHER)
    world.back_up(noise(1, 2)[CHUNK:], volume=OTHER)
    delete_backups(world.vault, [(OTHER, whole.backup)], tuning=TUNING)
    store = Meanwhile()
    store.objects = world.store.objects
    for _ in range(3):
        prune(world.vault_of(store), Wish(NO_POLICY, ALL), tuning=TUNING)
        assert not store.armed
        world.check()
