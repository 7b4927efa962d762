"""What a new backup refers to, and what its manifest counts."""

from __future__ import annotations

import msgspec
import pytest
from blake3 import blake3

from drystone.backup.format.keys import PACKS
from drystone.backup.format.manifest import Head
from drystone.backup.objects import read_manifest
from drystone.backup.reading.locate import Locator
from drystone.backup.reading.segments import read_segment
from drystone.backup.repository import BackupRequest, Repository, create_repository
from drystone.backup.state.generations import change_state, read_state
from drystone.backup.tuning import Tuning
from drystone.base.errors import UsageError
from drystone.testing.repositories import read_back
from drystone.testing.sources import MemorySource
from drystone.testing.stores import MemoryStore

CHUNK = 65536
TUNING = Tuning(chunk_size=CHUNK, segment_slots=4, pack=3 * CHUNK, threads=2)
VOLUME = "11111111-1111-4111-8111-111111111111"


def noise(seed: int, length: int) -> bytes:
    return blake3(b"%d" % seed).digest(length)


@pytest.fixture
def repository() -> Repository:
    return create_repository(MemoryStore(), tuning=TUNING)


def back_up(
    repository: Repository, image: bytes | bytearray, base: str = "", changed: list[tuple[int, int]] | None = None
) -> Head:
    return repository.create(MemorySource(image, changed), BackupRequest(VOLUME, "test", base))


def restored(repository: Repository, backup: Head) -> bytes:
    return read_back(repository.vault, VOLUME, backup.backup, TUNING)


def objects(repository: Repository) -> dict[str, bytes]:
    assert isinstance(repository.store, MemoryStore)
    return repository.store.objects


def test_chunks_of_the_base_are_known_also_where_no_index_tells_of_them(repository: Repository) -> None:
    image = bytearray(noise(1, 4 * CHUNK))
    full = back_up(repository, image)
    change_state(repository.vault, lambda state: msgspec.structs.replace(state, indexes=()))
    image[:CHUNK] = image[3 * CHUNK :]
    again = back_up(repository, image, full.backup, [(0, CHUNK)])
    assert again.stored < 3000, "only a map segment"
    assert restored(repository, again) == image


@pytest.mark.parametrize("left", [0, CHUNK])
def test_nothing_refers_to_a_pack_that_is_missing_or_was_shortened(repository: Repository, left: int) -> None:
    image = noise(1, 8 * CHUNK)
    back_up(repository, image)
    for key, _ in list(repository.store.list(PACKS)):
        objects(repository)[key] = objects(repository)[key][:left]
        if not left:
            del objects(repository)[key]
    again = back_up(repository, image)
    assert restored(repository, again) == image
    repository.verify(VOLUME, again.backup)


def test_a_manifest_counts_what_its_map_refers_to(repository: Repository) -> None:
    image = bytearray(noise(1, 12 * CHUNK))
    made = back_up(repository, image)
    for turn, length in enumerate((1, 3, 12)):
        image[: length * CHUNK] = noise(50 + turn, (length - 1) * CHUNK) + bytes(CHUNK)
        made = back_up(repository, image, made.backup, [(0, length * CHUNK)])
        locator = Locator(repository.vault, read_state(repository.vault))
        manifest = read_manifest(repository.vault, VOLUME, made.backup)
        lengths: dict[bytes, list[int]] = {}
        for number in manifest.segments["number"].tolist():
            entry, segment = manifest.find_segment(number), read_segment(locator, manifest, number)
            assert entry is not None
            assert segment is not None
            lengths.setdefault(entry[1].pack, []).append(entry[1].length)
            for _, pack, _, size in segment.stored():
                lengths.setdefault(pack, []).append(size)
        counted = {pack: (len(each), sum(each)) for pack, each in lengths.items()}
        assert {pack: (references, size) for pack, references, size, _ in manifest.packs.tolist()} == counted


def test_what_is_stored_anew_builds_upon_nothing(repository: Repository) -> None:
    image = noise(1, 3 * CHUNK)
    full = back_up(repository, image)
    with pytest.raises(UsageError, match="anew"):
        repository.create(MemorySource(image), BackupRequest(VOLUME, "s", full.backup, anew=True))
    packs = read_manifest(repository.vault, VOLUME, full.backup).pack_ids()
    anew = repository.create(MemorySource(image), BackupRequest(VOLUME, "s", anew=True))
    assert packs.isdisjoint(read_manifest(repository.vault, VOLUME, anew.backup).pack_ids())
