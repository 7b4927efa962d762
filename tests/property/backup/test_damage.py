"""One object of a repository is damaged anyhow: no wrong byte is restored, and the next backup is made all the same."""

from __future__ import annotations

from functools import cache

from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from drystone.backup.format.keys import REPOSITORY, STATE
from drystone.backup.repository import BackupRequest, Repository, create_repository, open_repository
from drystone.backup.tuning import Tuning
from drystone.base.errors import DamagedError, NotFoundError
from drystone.testing.repositories import read_back
from drystone.testing.sources import MemorySource
from drystone.testing.stores import MemoryStore

CHUNK = 65536
TUNING = Tuning(chunk_size=CHUNK, segment_slots=4, pack=2 * CHUNK, threads=2)
VOLUME = "11111111-1111-4111-8111-111111111111"
BACKUPS = [f"{number}0000000-0000-4000-8000-000000000000" for number in (1, 2, 3)]


def noise(seed: int, length: int) -> bytes:
    return blake3(b"%d" % seed).digest(length)


FIRST = noise(1, 3 * CHUNK) + bytes(6 * CHUNK) + b"text " * 20_000 + noise(2, CHUNK + 5)
SECOND = FIRST[:CHUNK] + noise(3, CHUNK) + FIRST[2 * CHUNK :]
THIRD = noise(4, len(FIRST))
IMAGES = dict(zip(BACKUPS, (FIRST, SECOND, THIRD), strict=True))


@cache
def objects() -> dict[str, bytes]:
    """A full backup, an incremental one, and another that shares nothing with them."""
    store = MemoryStore()
    repository = create_repository(store, tuning=TUNING)
    repository.create(MemorySource(FIRST), BackupRequest(VOLUME, "s", backup=BACKUPS[0]))
    relative = MemorySource(SECOND, [(CHUNK, CHUNK)])
    repository.create(relative, BackupRequest(VOLUME, "s", BACKUPS[0], backup=BACKUPS[1]))
    repository.create(MemorySource(THIRD), BackupRequest(VOLUME, "s", backup=BACKUPS[2]))
    return store.objects


def damage(store: MemoryStore, key: str, how: str, where: int) -> None:
    data = store.objects[key]
    at = where % len(data)
    if how == "gone":
        del store.objects[key]
    elif how == "cut":
        store.objects[key] = data[:at]
    elif how == "longer":
        store.objects[key] = data + bytes(1 + where % 100)
    else:
        store.objects[key] = data[:at] + bytes([data[at] ^ 1 << where % 8]) + data[at + 1 :]


def whole(store: MemoryStore, backup: str, image: bytes) -> bool:
    """Whether it is restored to what it was; else the damage is told."""
    try:
        found = read_back(store, VOLUME, backup, TUNING)
    except (DamagedError, NotFoundError):
        return False
    assert found == image
    return True


def verified(repository: Repository, backup: str) -> bool:
    try:
        repository.verify(VOLUME, backup)
    except (DamagedError, NotFoundError):
        return False
    return True


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(["flip", "flip", "gone", "cut", "longer"]), st.integers(0, 1 << 30))
def test_no_wrong_byte_and_no_end_of_backups(which: int, how: str, where: int) -> None:
    store = MemoryStore()
    store.objects.update(objects())
    keys = sorted(key for key in store.objects if key != REPOSITORY and not key.startswith(STATE))
    damage(store, keys[which % len(keys)], how, where)
    repository = open_repository(store, tuning=TUNING)
    sound = [backup for backup, image in IMAGES.items() if whole(store, backup, image)]
    assert sound, "what shares nothing with the damage is whole"
    assert {backup for backup in IMAGES if verified(repository, backup)} <= set(sound), "verify finds what restore does"
    passed_over: list[DamagedError] = []
    base = repository.find_base(VOLUME, damaged=passed_over.append)
    assert base is not None or len(passed_over) == len(IMAGES)
    made = repository.create(MemorySource(SECOND), BackupRequest(VOLUME, "s", base.backup if base else ""))
    if len(sound) == len(IMAGES):
        assert whole(store, made.backup, SECOND)
    full = repository.create(MemorySource(SECOND), BackupRequest(VOLUME, "s", anew=True))
    assert verified(repository, full.backup)
