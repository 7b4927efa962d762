"""What must stay for a backup to be readable, at the moment when it comes to be."""

from __future__ import annotations

import itertools

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from drystone.backup.collecting.choice import Limits
from drystone.backup.collecting.delete import delete_backups, take_out
from drystone.backup.collecting.prune import Wish, prune
from drystone.backup.collecting.retention import Policy
from drystone.backup.format.keys import INDEX, PACKS, STATE, index_key, pack_key
from drystone.backup.objects import read_manifest
from drystone.backup.ranges import Ranges
from drystone.backup.reading.locate import reach
from drystone.backup.state.document import State
from drystone.backup.state.generations import KEPT, change_state, read_state
from drystone.backup.state.operations import Operation, announced, read_operations
from drystone.backup.tuning import Tuning
from drystone.backup.vault import create_vault
from drystone.backup.writing.commit import Draft, needed
from drystone.backup.writing.create import BackupRequest, create_backup
from drystone.backup.writing.index import make_index
from drystone.base.clock import SystemClock
from drystone.base.errors import BusyError
from drystone.store.abc import Data
from drystone.testing.backup_world import CHUNK, OTHER, TUNING, VOLUME, BackupWorld, noise
from drystone.testing.repositories import collect_garbage
from drystone.testing.stores import MemoryStore

A, B, C, D = (bytes([each]) * 16 for each in range(4))


def moved(**to: list[bytes]) -> dict[str, tuple[str, ...]]:
    names = {"a": A, "b": B, "c": C, "d": D}
    return {names[old].hex(): tuple(each.hex() for each in new) for old, new in to.items()}


CASES: dict[str, tuple[State, set[bytes], set[bytes], set[bytes] | None]] = {
    "all there": (State(), {A, B}, {A, B}, {A, B}),
    "one gone": (State(), {A, B}, {A}, None),
    "one going": (State(removed=(pack_key(B),)), {A, B}, {A, B}, None),
    "gone and moved": (State(moved=moved(a=[B, C])), {A}, {B, C}, {A, B, C}),
    "going and moved": (State(moved=moved(a=[B]), removed=(pack_key(A),)), {A}, {A, B}, {A, B}),
    "moved to what is gone": (State(moved=moved(a=[B, C])), {A}, {B}, None),
    "moved to what is going": (State(moved=moved(a=[B]), removed=(pack_key(B),)), {A}, {B}, None),
    "moved to what is gone, and still there": (State(moved=moved(a=[B])), {A}, {A}, {A, B}),
    "moved twice": (State(moved=moved(a=[B], b=[C])), {A}, {C}, {A, B, C}),
    "moved in a ring": (State(moved=moved(a=[B], b=[A])), {A}, set(), None),
    "nothing": (State(), set(), set(), set()),
}


@pytest.mark.parametrize(("state", "packs", "listed", "wanted"), CASES.values(), ids=CASES)
def test_what_must_stay(state: State, packs: set[bytes], listed: set[bytes], wanted: set[bytes] | None) -> None:
    assert needed(state, packs, listed) == wanted
    assert reach(state, packs) >= packs


def test_moved_so_often_that_the_ways_are_millions() -> None:
    both = [[bytes([turn, side]) * 8 for side in range(2)] for turn in range(64)]
    ways = {old.hex(): tuple(each.hex() for each in new) for pair, new in itertools.pairwise(both) for old in pair}
    assert needed(State(moved=ways), set(both[0]), set(both[-1])) is not None
    assert needed(State(moved=ways), set(both[0]), set(both[-1][:1])) is None


def test_moved_more_often_than_functions_can_call_each_other() -> None:
    row = [number.to_bytes(16, "big") for number in range(3000)]
    ways: dict[str, tuple[str, ...]] = {old.hex(): (new.hex(),) for old, new in itertools.pairwise(row)}
    assert needed(State(moved=ways), {row[0]}, {row[-1]}) == set(row)


def test_an_index_for_which_no_name_was_announced_is_not_put() -> None:
    vault = create_vault(MemoryStore())
    with announced(vault, "backup") as own:
        draft = Draft(vault, own, ["0a" * 12])
        draft.put_indexes(make_index({bytes([turn]) * 32: (A, 32, 100)}) for turn in range(1, 4))
        assert draft.indexes == ["0a" * 12]
        assert [key for key, _ in vault.store.list(INDEX)] == [index_key("0a" * 12)]


class Vast:
    """An image of a tebibyte whose first chunk is told."""

    size = 1 << 40
    relative = False

    def extents(self) -> Ranges:
        return np.array([[0, CHUNK]], dtype=np.uint64)

    def read_into(self, offset: int, buffer: NDArray[np.uint8]) -> None:
        buffer[:] = 1


def test_the_names_that_are_announced_are_those_that_what_is_read_may_need() -> None:
    seen: list[Operation] = []

    def look(_done: int, _total: int) -> None:
        seen.extend(read_operations(vault).values())

    vault = create_vault(MemoryStore())
    request = BackupRequest(VOLUME, "s")
    create_backup(vault, Vast(), request, tuning=Tuning(), clock=SystemClock(), progress=look)
    assert len(seen[0].writers) == 3


class Held(MemoryStore):
    """After the put of the generation that has the first backup, the writer is held up, and others go on."""

    def __init__(self, world: BackupWorld, *, collected: bool) -> None:
        super().__init__()
        self.objects = world.store.objects
        self.world = world
        self.collected = collected
        self.armed = True

    def put_if_absent(self, key: str, data: Data) -> bool:
        won = super().put_if_absent(key, data)
        if self.armed and key.startswith(STATE) and read_state(self.world.vault).backups:
            self.armed = False
            self.go_on()
        return won

    def go_on(self) -> None:
        """Another backup refers to the chunks of the held one's, which is deleted; its generation is tidied away."""
        vault = self.world.vault
        (made,) = read_state(vault).backups
        self.world.back_up(noise(1, 4) + noise(3, 2), volume=OTHER)
        if self.collected:
            delete_backups(vault, [(made.volume, made.backup)], tuning=TUNING)
        else:
            take_out(vault, [(made.volume, made.backup)])
        for _ in range(KEPT + 5):
            change_state(vault, msgspec.structs.replace)


@pytest.mark.parametrize("collected", [False, True])
def test_a_writer_that_is_held_up_after_its_put_takes_nothing_from_others(*, collected: bool) -> None:
    """It cannot tell whether its change ever held. It did, and others rely on what came with it."""
    world = BackupWorld()
    held = Held(world, collected=collected)
    with pytest.raises(BusyError, match="overtaken"):
        world.back_up(noise(1, 8), vault=world.vault_of(held))
    assert not held.armed
    assert [each.volume for each in world.state().backups] == [OTHER]
    world.check()
    collect_garbage(world.vault, tuning=TUNING)
    world.check()
    assert sum(world.packs().values()) < 12 * CHUNK


class Pruned(MemoryStore):
    """The repository is pruned `turns` times before the first pack is put."""

    def __init__(self, world: BackupWorld, turns: int, *, force: bool) -> None:
        super().__init__()
        self.objects = world.store.objects
        self.world = world
        self.turns = turns
        self.force = force

    def put_if_absent(self, key: str, data: Data) -> bool:
        turns, self.turns = (self.turns, 0) if key.startswith(PACKS) else (0, self.turns)
        for _ in range(turns):
            prune(self.world.vault, Wish(Policy(), Limits(max_unused=0)), tuning=TUNING, force=self.force)
        return super().put_if_absent(key, data)


def half_needed() -> BackupWorld:
    """A pack of two chunks, of which no backup needs the first; the indexes tell of both."""
    world = BackupWorld()
    whole = world.back_up(noise(1, 2), volume=OTHER)
    world.back_up(noise(1, 2)[CHUNK:], volume=OTHER)
    delete_backups(world.vault, [(OTHER, whole.backup)], tuning=TUNING)
    return world


def test_what_is_rewritten_while_a_backup_is_made_stays_for_it() -> None:
    """It refers to a chunk that no other backup needs, in a pack that is rewritten without it and doomed."""
    world = half_needed()
    store = Pruned(world, 1, force=False)
    world.back_up(noise(1, 2), volume=VOLUME, vault=world.vault_of(store))
    assert not store.turns
    assert world.state().moved
    for force in (False, True):
        collect_garbage(world.vault, tuning=TUNING, force=force)
        world.check()
        prune(world.vault, Wish(Policy(), Limits(max_unused=0)), tuning=TUNING, force=force)
        world.check()


def test_who_was_taken_for_dead_does_not_rely_on_what_was_moved() -> None:
    """The pack is removed before what the writer puts itself, which stays."""
    world = half_needed()
    before = set(world.packs())
    store = Pruned(world, 2, force=True)
    with pytest.raises(BusyError, match="overtaken"):
        world.back_up(noise(1, 2), volume=VOLUME, vault=world.vault_of(store))
    assert not store.turns
    assert not before <= set(world.packs())
    world.check()


@pytest.mark.parametrize("doomed", [True, False], ids=["doomed", "moved"])
def test_nothing_new_refers_to_a_pack_that_is_to_go(*, doomed: bool) -> None:
    world = half_needed()
    old = set(world.packs())
    with announced(world.vault, "read"):
        if doomed:
            for each in world.state().backups:
                delete_backups(world.vault, [(each.volume, each.backup)], tuning=TUNING)
            assert world.state().refused()
        else:
            prune(world.vault, Wish(Policy(), Limits(max_unused=0)), tuning=TUNING)
            change_state(world.vault, lambda state: msgspec.structs.replace(state, doomed=()))
            assert world.state().moved
        made = world.back_up(noise(1, 2))
    assert old <= set(world.packs()), "they are there still"
    assert old.isdisjoint(read_manifest(world.vault, VOLUME, made.backup).pack_ids())
    world.check()


def test_what_moved_the_packs_of_a_base_stays_known_while_somebody_builds_upon_it() -> None:
    """The base is deleted meanwhile, and nobody else needs its packs."""

    class Deleted(MemoryStore):
        armed = True

        def put_if_absent(self, key: str, data: Data) -> bool:
            if self.armed and key.startswith(PACKS):
                self.armed = False
                delete_backups(world.vault, [(base.volume, base.backup)], tuning=TUNING)
                collect_garbage(world.vault, tuning=TUNING)
            return super().put_if_absent(key, data)

    world = BackupWorld()
    image = noise(1, 6)
    whole = world.back_up(image)
    base = world.back_up(noise(2, 1) + image[CHUNK:], whole, [(0, 1)])
    delete_backups(world.vault, [(VOLUME, whole.backup)], tuning=TUNING)
    prune(world.vault, Wish(Policy(), Limits(max_unused=0)), tuning=TUNING)
    assert world.state().moved
    store = Deleted()
    store.objects = world.store.objects
    made = world.back_up(noise(3, 1) + image[CHUNK:], base, [(0, 1)], vault=world.vault_of(store))
    assert not store.armed
    assert [each.backup for each in world.state().backups] == [made.backup]
    world.check()
    collect_garbage(world.vault, tuning=TUNING)
    world.check()
