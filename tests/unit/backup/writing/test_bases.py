"""Which backup the next one builds upon, and which are passed over."""

from __future__ import annotations

import pytest
from blake3 import blake3

from drystone.backup.collecting.choice import Limits
from drystone.backup.collecting.prune import Wish
from drystone.backup.collecting.retention import Policy
from drystone.backup.format.keys import PACKS, manifest_key
from drystone.backup.format.manifest import Head
from drystone.backup.format.pack import HEADER, Kind
from drystone.backup.repository import BackupRequest, Repository, create_repository
from drystone.backup.state.generations import read_state
from drystone.backup.tuning import Tuning
from drystone.base.errors import DamagedError
from drystone.testing.sources import MemorySource
from drystone.testing.stores import MemoryStore

CHUNK = 65536
TUNING = Tuning(chunk_size=CHUNK, segment_slots=4, pack=3 * CHUNK, threads=2)
VOLUME = "11111111-1111-4111-8111-111111111111"


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def repository(store: MemoryStore) -> Repository:
    return create_repository(store, tuning=TUNING)


def back_up(repository: Repository, seed: int) -> Head:
    """A full backup of content of its own: it shares no pack."""
    image = blake3(b"%d" % seed).digest(9 * CHUNK + 7)
    return repository.create(MemorySource(image), BackupRequest(VOLUME, "s"))


def find(repository: Repository) -> tuple[str, list[DamagedError]]:
    passed_over: list[DamagedError] = []
    found = repository.find_base(VOLUME, damaged=passed_over.append)
    return found.backup if found else "", passed_over


def packs(store: MemoryStore) -> list[str]:
    return [key for key, _ in store.list(PACKS)]


def test_the_newest_is_the_base(repository: Repository) -> None:
    assert find(repository) == ("", [])
    backups = [back_up(repository, number).backup for number in range(3)]
    assert find(repository) == (backups[-1], [])
    repository.delete(VOLUME, backups[-1])
    assert find(repository) == (backups[1], [])


def test_every_missing_or_shortened_pack_is_noticed(repository: Repository, store: MemoryStore) -> None:
    first = back_up(repository, 1)
    before = packs(store)
    second = back_up(repository, 2)
    own = [key for key in packs(store) if key not in before]
    assert len(own) >= 4
    for key in own:
        whole = store.objects.pop(key)
        for left in (None, whole[: len(whole) // 3]):
            if left is not None:
                store.objects[key] = left
            base, passed_over = find(repository)
            assert base == first.backup
            assert [error.facts["backup"] for error in passed_over] == [second.backup]
            assert key.rpartition("/")[2] == passed_over[0].facts["pack"]
        store.objects[key] = whole
    assert find(repository) == (second.backup, [])


def test_a_base_whose_packs_were_rewritten_is_whole(repository: Repository, store: MemoryStore) -> None:
    first = back_up(repository, 1)
    image = b"other" + blake3(b"1").digest(9 * CHUNK + 7)[5:]
    second = repository.create(MemorySource(image, [(0, 5)]), BackupRequest(VOLUME, "s", first.backup))
    repository.delete(VOLUME, first.backup)
    before = set(packs(store))
    for _ in range(2):
        repository.prune(Wish(Policy(), Limits(max_unused=0)))
    assert read_state(repository.vault).moved
    assert before - set(packs(store))
    assert find(repository) == (second.backup, [])


@pytest.mark.parametrize("changed", [None, []])
def test_nothing_is_built_upon_a_base_that_lost_a_pack(
    repository: Repository, store: MemoryStore, changed: list[tuple[int, int]] | None
) -> None:
    base = back_up(repository, 1)
    del store.objects[packs(store)[0]]
    before = dict(store.objects)
    with pytest.raises(DamagedError, match=base.backup):
        repository.create(MemorySource(bytes(base.size), changed), BackupRequest(VOLUME, "s", base.backup))
    assert store.objects == before


def test_when_all_are_damaged_there_is_no_base(repository: Repository, store: MemoryStore) -> None:
    damaged = {back_up(repository, number).backup for number in range(3)}
    store.objects[manifest_key(VOLUME, min(damaged))] = b"no manifest"
    for key in packs(store):
        del store.objects[key]
    base, passed_over = find(repository)
    assert base == ""
    assert {error.facts["backup"] for error in passed_over} == damaged


def test_a_damaged_map_is_passed_over(repository: Repository, store: MemoryStore) -> None:
    first = back_up(repository, 1)
    before = packs(store)
    back_up(repository, 2)
    of_segments = [key for key in packs(store) if key not in before and store.objects[key][HEADER + 12] == Kind.SEGMENT]
    assert of_segments
    for key in of_segments:
        whole = store.objects[key]
        store.objects[key] = whole[: HEADER + 60] + bytes([whole[HEADER + 60] ^ 1]) + whole[HEADER + 61 :]
        base, (error,) = find(repository)
        assert base == first.backup
        assert "is damaged in segment 0" in error.message
        store.objects[key] = whole
