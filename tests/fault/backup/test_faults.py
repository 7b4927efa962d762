"""Every store operation of a backup, a deletion and a sweep fails once; the process dies before and after each."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from blake3 import blake3

from drystone.backup.format.keys import VOLUMES, parse_manifest_key
from drystone.backup.repository import BackupRequest, create_repository, open_repository
from drystone.backup.tuning import Tuning
from drystone.base.errors import DrystoneError, ExistsError, NotFoundError
from drystone.store import Store
from drystone.testing.repositories import left_over, read_back, sweep
from drystone.testing.sources import MemorySource
from drystone.testing.stores import FaultyStore, Killed, MemoryStore

CHUNK = 65536
TUNING = Tuning(chunk_size=CHUNK, segment_slots=4, pack=2 * CHUNK, threads=2)
VOLUME = "11111111-1111-4111-8111-111111111111"
FIRST, SECOND = (f"{number}0000000-0000-4000-8000-000000000000" for number in (1, 2))
THIRDS = [f"3000{number:04d}-0000-4000-8000-000000000000" for number in range(100)]


def noise(seed: int, length: int) -> bytes:
    return blake3(seed.to_bytes(4, "big")).digest(length)


def changed(image: bytes, chunk: int) -> bytes:
    return image[: chunk * CHUNK] + noise(chunk, 3 * CHUNK) + image[(chunk + 3) * CHUNK :]


IMAGE_1 = noise(1000, 12 * CHUNK)
IMAGE_2 = changed(IMAGE_1, 2)
IMAGE_3 = changed(IMAGE_2, 7)


def make_store() -> MemoryStore:
    """A repository with a full backup and an incremental one."""
    store = MemoryStore()
    repository = create_repository(store, tuning=TUNING)
    repository.create(MemorySource(IMAGE_1), BackupRequest(VOLUME, "s", backup=FIRST))
    source = MemorySource(IMAGE_2, [(2 * CHUNK, 3 * CHUNK)])
    repository.create(source, BackupRequest(VOLUME, "s", FIRST, backup=SECOND))
    return store


def make_third(store: Store) -> None:
    """A UUID is used once: who tries again takes another."""
    repository = open_repository(store, tuning=TUNING)
    if any(each.backup in THIRDS for each in repository.list()):
        return
    source = MemorySource(IMAGE_3, [(7 * CHUNK, 3 * CHUNK)])
    tried = {names[1] for key, _ in store.list(VOLUMES) if (names := parse_manifest_key(key)) is not None}
    backup = next(each for each in THIRDS if each not in tried)
    repository.create(source, BackupRequest(VOLUME, "s", SECOND, backup=backup))


def delete_first(store: Store) -> None:
    open_repository(store, tuning=TUNING).delete(VOLUME, FIRST)


def sweep_store(store: Store) -> None:
    sweep(open_repository(store, tuning=TUNING))


ACTIONS: dict[str, tuple[Callable[[Store], None], dict[str, bytes]]] = {
    "create": (make_third, {FIRST: IMAGE_1, SECOND: IMAGE_2}),
    "delete": (delete_first, {SECOND: IMAGE_2}),
    "sweep": (sweep_store, {FIRST: IMAGE_1, SECOND: IMAGE_2}),
}
"""What is done, and what must be restorable whatever becomes of it."""

IMAGES = {FIRST: IMAGE_1, SECOND: IMAGE_2} | dict.fromkeys(THIRDS, IMAGE_3)


def restored(store: Store, backup: str) -> bytes:
    return read_back(store, VOLUME, backup, TUNING)


def check_whole(store: MemoryStore, promised: dict[str, bytes]) -> None:
    """Everything promised is there, and everything that is listed is whole."""
    repository = open_repository(store, tuning=TUNING)
    listed = {each.backup for each in repository.list()}
    assert set(promised) <= listed
    for backup in listed:
        repository.verify(VOLUME, backup)
        assert restored(store, backup) == IMAGES[backup]


def has_third(store: MemoryStore) -> bool:
    """Whether it is there, once or, where only the news of it was lost, twice."""
    return any(each.backup in THIRDS for each in open_repository(store).list())


def empty(store: MemoryStore) -> None:
    """When all backups are deleted and the rest is swept, nothing is left."""
    repository = open_repository(store, tuning=TUNING)
    for each in repository.list():
        repository.delete(VOLUME, each.backup)
    sweep(repository)
    assert left_over(store) == []


def try_again(action: Callable[[Store], None], store: Store) -> None:
    """It works, or it had been done and only the news of it was lost."""
    with contextlib.suppress(ExistsError, NotFoundError):
        action(store)


def count_calls(action: Callable[[Store], None]) -> list[str]:
    store = FaultyStore(make_store())
    action(store)
    return store.calls


@pytest.mark.parametrize("fault", ["E", "L"])
@pytest.mark.parametrize("name", ACTIONS)
def test_every_operation_fails_once(name: str, fault: str) -> None:
    action, promised = ACTIONS[name]
    calls = count_calls(action)
    assert len(calls) >= 5
    failures = 0
    for number in range(len(calls)):
        store = make_store()
        try:
            action(FaultyStore(store, "R" * number + fault))
        except DrystoneError:
            failures += 1
        check_whole(store, promised)
        try_again(action, store)
        check_whole(store, promised)
        assert name != "create" or has_third(store)
        if name == "delete":
            with pytest.raises(NotFoundError):
                open_repository(store).inspect(VOLUME, FIRST)
        empty(store)
    assert failures >= len(calls) // 2


@pytest.mark.parametrize("fault", ["K", "D"])
@pytest.mark.parametrize("name", ACTIONS)
def test_the_process_dies_at_every_operation(name: str, fault: str) -> None:
    action, promised = ACTIONS[name]
    calls = count_calls(action)
    for number in range(len(calls)):
        store = make_store()
        with pytest.raises(Killed):
            action(FaultyStore(store, "R" * number + fault))
        check_whole(store, promised)
        sweep(open_repository(store, tuning=TUNING))
        check_whole(store, promised)
        try_again(action, store)
        check_whole(store, promised)
        assert name != "create" or has_third(store)
        empty(store)


@pytest.mark.parametrize("letters", ["RRREER", "RELRER", "LLLLLL", "EEEEEE" * 3])
def test_several_failures(letters: str) -> None:
    store = make_store()
    faulty = FaultyStore(store, letters * 3)
    for _ in range(100):
        try:
            make_third(faulty)
        except ExistsError:
            break
        except DrystoneError:
            continue
        break
    check_whole(store, {FIRST: IMAGE_1, SECOND: IMAGE_2})
    assert has_third(store)
    empty(store)


def test_a_failing_read_is_an_error_of_restore_and_writes_no_wrong_byte() -> None:
    store = make_store()
    calls = FaultyStore(store)
    restored(calls, SECOND)
    for number in range(1, len(calls.calls)):
        with pytest.raises(DrystoneError):
            restored(FaultyStore(store, "R" * number + "E"), SECOND)
