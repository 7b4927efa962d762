"""Collectors that fail or die at every call of the store, and that others come in between at every call."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from functools import cache

import pytest

from drystone.backup.collecting.choice import Limits
from drystone.backup.collecting.delete import delete_backups
from drystone.backup.collecting.prune import Wish, prune
from drystone.backup.collecting.retention import Policy
from drystone.backup.collecting.scrubbing import scrub
from drystone.backup.format.keys import INDEX, OPEN, PACKS, VOLUMES, pack_key
from drystone.backup.format.pack import Kind
from drystone.backup.objects import read_manifest
from drystone.backup.reading.locate import read_pack_index
from drystone.backup.vault import Vault
from drystone.base.clock import SystemClock
from drystone.base.errors import BusyError, DrystoneError, ExistsError, NotFoundError
from drystone.store import Store
from drystone.store.abc import Data
from drystone.testing.backup_world import OTHER, TUNING, VOLUME, BackupWorld, noise, with_chunk
from drystone.testing.repositories import collect_garbage
from drystone.testing.serial import serial
from drystone.testing.sources import MemorySource
from drystone.testing.stores import FaultyStore, Killed

FIRST, SECOND, THIRD, FOURTH = (f"{number}0000000-0000-4000-8000-000000000000" for number in (1, 2, 3, 4))
IMAGE_1 = noise(1, 12)
IMAGE_2 = with_chunk(with_chunk(with_chunk(IMAGE_1, 1, noise(2, 1)), 4, noise(3, 1)), 7, noise(4, 1))
IMAGE_3 = with_chunk(IMAGE_2, 10, noise(5, 1))


@pytest.fixture(autouse=True)
def in_one_thread() -> Iterator[None]:
    """The engine without its threads: some thousand times as many would be started as there is to do."""
    with serial(1):
        yield


def make_world() -> BackupWorld:
    """Three backups; once the first is deleted, packs are used in part."""
    return _whole_world().copy()


@cache
def _whole_world() -> BackupWorld:
    with serial(2):  # other names than those that the tests draw
        return _make_world()


def _make_world() -> BackupWorld:
    world = BackupWorld()
    first = world.back_up(IMAGE_1, backup=FIRST)
    second = world.back_up(IMAGE_2, first, [(1, 1), (4, 1), (7, 1)], backup=SECOND)
    world.back_up(IMAGE_3, second, [(10, 1)], backup=THIRD)
    return world


def delete_first(vault: Vault) -> None:
    delete_backups(vault, [(VOLUME, FIRST)], tuning=TUNING)


def prune_all(vault: Vault) -> None:
    prune(vault, Wish(Policy(last=2), Limits(max_unused=0)), tuning=TUNING)


def prune_by_force(vault: Vault) -> None:
    prune(vault, Wish(Policy(last=2), Limits(max_unused=0)), tuning=TUNING, force=True)


ACTIONS: dict[str, Callable[[Vault], None]] = {"delete": delete_first, "prune": prune_all}


def listed(world: BackupWorld) -> set[str]:
    return {each.backup for each in world.state().backups}


def empty(world: BackupWorld) -> None:
    """When all is deleted nothing is left but the repository and its state."""
    delete_backups(world.vault, [(each.volume, each.backup) for each in world.state().backups], tuning=TUNING)
    collect_garbage(world.vault, tuning=TUNING)
    for prefix in (PACKS, VOLUMES, INDEX, OPEN):
        assert list(world.store.list(prefix)) == []
    assert not world.state().removed
    assert not world.state().doomed


def count_calls(action: Callable[[Vault], None]) -> list[str]:
    world = make_world()
    store = FaultyStore(world.store)
    vault = world.vault_of(store)
    store.calls.clear()
    action(vault)
    return store.calls


@pytest.mark.parametrize("fault", ["E", "L", "K", "D"])
@pytest.mark.parametrize("name", ACTIONS)
def test_it_fails_or_dies_at_every_call(name: str, fault: str) -> None:
    action = ACTIONS[name]
    calls = count_calls(action)
    assert len(calls) > 20
    failures = 0
    for number in range(len(calls)):
        world = make_world()
        # One call, of the repository's document, opens the vault.
        vault = world.vault_of(FaultyStore(world.store, "R" + "R" * number + fault))
        try:
            action(vault)
        except (DrystoneError, Killed):
            failures += 1
        assert {SECOND, THIRD} <= listed(world)
        world.check()
        with contextlib.suppress(NotFoundError):
            action(world.vault)
        assert listed(world) == {SECOND, THIRD}
        world.check()
        empty(world)
    assert failures > len(calls) // 2


class InBetweenStore:
    """A store before whose call of a number somebody else does something."""

    def __init__(self, inner: Store, number: int, action: Callable[[], None]) -> None:
        self._inner = inner
        self._number = number
        self._action = action
        self._lock = threading.Lock()
        self.calls = 0

    def _next(self) -> None:
        with self._lock:
            number, self.calls = self.calls, self.calls + 1
            if number == self._number:
                self._action()

    def put_if_absent(self, key: str, data: Data) -> bool:
        self._next()
        return self._inner.put_if_absent(key, data)

    def get(self, key: str) -> bytes:
        self._next()
        return self._inner.get(key)

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        self._next()
        return self._inner.get_range(key, offset, length)

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        self._next()
        return iter(list(self._inner.list(prefix)))

    def delete(self, key: str) -> None:
        self._next()
        self._inner.delete(key)

    def clean(self) -> int:
        self._next()
        return self._inner.clean()


def in_between(
    world: BackupWorld, action: Callable[[Vault], None], number: int, other: Callable[[], None], *, force: bool
) -> bool:
    """Do `action`, and before its call of a number the other; whether there was such a call."""
    store = InBetweenStore(world.store, number + 1, other)
    # Who was forced out may see that packs are gone before it sees why.
    forced = (DrystoneError,) if force else ()
    with contextlib.suppress(BusyError, NotFoundError, ExistsError, *forced):
        action(world.vault_of(store))
    return store.calls > number + 1


def back_up_again(world: BackupWorld, vault: Vault | None = None) -> None:
    """An incremental upon the third, with chunks that only the first has; and a full one of another volume."""
    third = world.state().find(VOLUME, THIRD)
    assert third is not None
    image = with_chunk(IMAGE_3, 3, IMAGE_1[4 * 65536 : 5 * 65536] + noise(9, 1))
    world.back_up(image, third.head(), [(3, 2)], backup=FOURTH, vault=vault)
    with contextlib.suppress(ExistsError):
        world.back_up(IMAGE_1, volume=OTHER, backup=FOURTH, vault=vault)


def delete_second(world: BackupWorld) -> None:
    delete_backups(world.vault, [(VOLUME, SECOND)], tuning=TUNING)


OTHERS: dict[str, Callable[[BackupWorld], None]] = {
    "a writer": back_up_again,
    "a collector": lambda world: prune_all(world.vault),
    "one who deletes": delete_second,
    "one who forces": lambda world: prune_by_force(world.vault),
}


@pytest.mark.parametrize("other", OTHERS)
def test_others_come_in_between_a_prune(other: str) -> None:
    number = 0
    while True:
        world = make_world()
        there = in_between(world, prune_all, number, lambda: OTHERS[other](world), force=other == "one who forces")  # noqa: B023  # called within the loop's turn
        assert THIRD in listed(world)
        if other == "a writer" and there:
            assert FOURTH in listed(world)
        world.check()
        prune_all(world.vault)
        world.check()
        empty(world)
        if not there:
            break
        number += 1
    assert number > 30


@pytest.mark.parametrize("other", ["a collector", "one who deletes", "one who forces"])
def test_a_collector_comes_in_between_a_writer(other: str) -> None:
    number = 0
    made = 0
    while True:
        world = make_world()

        def write(vault: Vault, world: BackupWorld = world) -> None:
            back_up_again(world, vault)

        there = in_between(world, write, number, lambda: OTHERS[other](world), force=other == "one who forces")  # noqa: B023  # called within the loop's turn
        made += FOURTH in listed(world)
        world.check()
        prune_all(world.vault)
        world.check()
        empty(world)
        if not there:
            break
        number += 1
    assert number > 20
    if other != "one who forces":
        assert made == number + 1, "a living writer is not disturbed"


def test_a_writer_that_was_taken_for_dead_after_a_compaction() -> None:
    """Collectors twice, at two places of one writer: packs are moved, and then what they were moved to goes."""
    for first in range(0, 60, 3):
        for second in range(first + 1, 60, 7):
            world = make_world()

            def write(vault: Vault, world: BackupWorld = world) -> None:
                back_up_again(world, vault)

            def forced(world: BackupWorld = world) -> None:
                prune_by_force(world.vault)

            def emptied(world: BackupWorld = world) -> None:
                delete_backups(world.vault, [(VOLUME, SECOND)], tuning=TUNING, force=True)
                prune_by_force(world.vault)

            inner = InBetweenStore(world.store, first + 1, forced)
            outer = InBetweenStore(inner, second + 1, emptied)
            with contextlib.suppress(DrystoneError):
                write(world.vault_of(outer))
            world.check()
            empty(world)


def repair(vault: Vault) -> None:
    told = MemorySource(IMAGE_3)
    scrub(vault, tuning=TUNING, clock=SystemClock(), source=told)


def make_damaged_world() -> BackupWorld:
    """A chunk of the first and later backups is damaged, and a pack of map segments is gone."""
    return _damaged_world().copy()


@cache
def _damaged_world() -> BackupWorld:
    world = make_world()
    digest = world.vault.hasher.digest(IMAGE_3[9 * 65536 : 10 * 65536])
    for pack, size in world.packs().items():
        rows = read_pack_index(world.vault, pack, size)
        for row in rows[rows["kind"] == Kind.CHUNK]:
            if bytes(row["digest"]) == digest:
                world.damage(pack_key(pack), int(row["offset"]) + 100)
    third = world.state().find(VOLUME, THIRD)
    assert third is not None
    entry = read_manifest(world.vault, VOLUME, THIRD).find_segment(2)
    assert entry is not None
    world.store.delete(pack_key(entry[1].pack))
    return world


@pytest.mark.parametrize("fault", ["E", "L", "K", "D"])
def test_a_repair_fails_or_dies_at_every_call(fault: str) -> None:
    number = 0
    while True:
        world = make_damaged_world()
        store = FaultyStore(world.store, "R" * (number + 1) + fault)
        with contextlib.suppress(DrystoneError, Killed):
            repair(world.vault_of(store))
        assert listed(world) == {FIRST, SECOND, THIRD}
        repair(world.vault)
        assert world.restored(VOLUME, THIRD) == IMAGE_3
        collect_garbage(world.vault, tuning=TUNING)
        assert world.restored(VOLUME, THIRD) == IMAGE_3
        assert world.restored(VOLUME, SECOND)[: 8 * 65536] == IMAGE_2[: 8 * 65536]
        if len(store.calls) <= number + 1:
            break
        number += 1
    assert number > 40
