"""A backup is killed at every call of the store, the one that goes on with it too, and collectors come in between; and
a state is made anew by a process that fails or dies at every call.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import pytest

from drystone.backup.collecting.delete import delete_backups
from drystone.backup.collecting.rebuild import rebuild
from drystone.backup.format.keys import state_key
from drystone.backup.pipeline import silent
from drystone.backup.state.operations import dead
from drystone.backup.vault import Vault
from drystone.backup.writing.create import BackupRequest, create_backup
from drystone.base.errors import DrystoneError
from drystone.testing.backup_world import CHUNK, TUNING, VOLUME, BackupWorld, noise, with_chunk
from drystone.testing.repositories import collect_garbage, left_over
from drystone.testing.serial import serial
from drystone.testing.sources import MemorySource
from drystone.testing.stores import FaultyStore, Killed

IMAGE = noise(1, 24)
NEXT = with_chunk(with_chunk(IMAGE, 3, noise(2, 9)), 16, noise(3, 4))
OFTEN = replace(TUNING, checkpoint=2 * CHUNK, seed=1)


@pytest.fixture(autouse=True)
def in_one_thread() -> Iterator[None]:
    with serial(1):
        yield


@cache
def begun(*, encrypted: bool) -> BackupWorld:
    with serial(2):
        world = BackupWorld(encrypted=encrypted)
        world.back_up(IMAGE)
        return world


def go_on(world: BackupWorld, vault: Vault, *, relative: bool) -> MemorySource:
    """Make the second backup, or go on with making it; the source, which knows what was read."""
    base = next(backup for (_, backup), image in world.images.items() if image == IMAGE)
    told = [(3 * CHUNK, 9 * CHUNK), (16 * CHUNK, 4 * CHUNK)] if relative else None
    source = MemorySource(NEXT, told, identity="the same")
    request = BackupRequest(VOLUME, "s", base)
    head = create_backup(vault, source, request, tuning=OFTEN, clock=world, progress=silent)
    world.images[VOLUME, head.backup] = NEXT
    return source


def read_bytes(source: MemorySource) -> int:
    """Of what changed: a source of changes is read elsewhere too, to prove it."""
    told = [(each[0], each[0] + each[1]) for each in source.extents().tolist()]
    return sum(length for offset, length in source.reads if any(begin <= offset < end for begin, end in told))


def check(world: BackupWorld) -> None:
    """Everything that is listed is whole; what took effect without the news is a second backup."""
    for each in world.state().backups:
        world.images.setdefault((each.volume, each.backup), NEXT)
    world.check()


def empty(world: BackupWorld) -> None:
    delete_backups(world.vault, [(each.volume, each.backup) for each in world.state().backups], tuning=TUNING)
    collect_garbage(world.vault, tuning=TUNING)
    assert left_over(world.store) == []


def count_calls(*, encrypted: bool, relative: bool) -> int:
    world = begun(encrypted=encrypted).copy()
    store = FaultyStore(world.store)
    go_on(world, world.vault_of(store), relative=relative)
    return len(store.calls)


@pytest.mark.parametrize(("encrypted", "relative"), [(False, True), (True, False)])
@pytest.mark.parametrize("fate", ["K", "D", "E"])
def test_it_is_killed_at_every_call_and_gone_on_with(fate: str, *, encrypted: bool, relative: bool) -> None:
    calls = count_calls(encrypted=encrypted, relative=relative)
    assert calls > 25
    spared = 0
    for number in range(2, calls):
        world = begun(encrypted=encrypted).copy()
        with contextlib.suppress(Killed, DrystoneError):
            go_on(world, world.vault_of(FaultyStore(world.store, "R" * number + fate)), relative=relative)
        check(world)
        # Whoever goes on is killed as well, somewhere.
        with contextlib.suppress(Killed, DrystoneError):
            vault = world.vault_of(FaultyStore(world.store, "R" * (5 + number * 7 % calls) + fate))
            go_on(world, vault, relative=relative)
        check(world)
        if number % 3 == 0:
            collect_garbage(world.vault, tuning=TUNING)
        was_dead = bool(dead(world.vault))
        source = go_on(world, world.vault, relative=relative)
        spared += was_dead and read_bytes(source) < (13 * CHUNK if relative else len(NEXT))
        check(world)
        collect_garbage(world.vault, tuning=TUNING)
        check(world)
        empty(world)
    assert fate == "E" or spared > calls // 8, "what was put is not read again"


@pytest.mark.parametrize("fate", ["E", "L", "K", "D"])
def test_making_the_state_anew_is_cut_off(fate: str) -> None:
    number = 0
    while True:
        world = begun(encrypted=True).copy()
        go_on(world, world.vault, relative=True)
        world.damage(state_key(world.state().number), 40)
        store = FaultyStore(world.store, "R" * (number + 1) + fate)
        with contextlib.suppress(Killed, DrystoneError):
            rebuild(world.vault_of(store))
        rebuild(world.vault, force=True)
        assert len(world.state().backups) == 2
        check(world)
        collect_garbage(world.vault, tuning=TUNING)
        check(world)
        empty(world)
        if len(store.calls) <= number + 1:
            break
        number += 1
    assert number > 10
