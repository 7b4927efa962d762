"""What a repository's figures say."""

from __future__ import annotations

import pytest

from drystone.backup.collecting.delete import delete_backups
from drystone.backup.collecting.stats import measure
from drystone.backup.format.keys import PACKS, manifest_key
from drystone.testing.backup_world import CHUNK, OTHER, TUNING, VOLUME, BackupWorld, noise, with_chunk


@pytest.fixture(params=[False, True], ids=["plain", "encrypted"])
def world(request: pytest.FixtureRequest) -> BackupWorld:
    return BackupWorld(encrypted=request.param)


def test_an_empty_repository(world: BackupWorld) -> None:
    stats = measure(world.vault, tuning=TUNING)
    assert (stats.backups, stats.logical, stats.stored, stats.unused) == (0, 0, 0, 0)
    assert stats.dedupe == stats.compression == 1.0


def test_shared_and_compressed_chunks_count_once(world: BackupWorld) -> None:
    text = b"words and words " * (CHUNK // 16) * 2
    image = noise(1, 4) + bytes(6 * CHUNK) + text
    first = world.back_up(image)
    world.back_up(with_chunk(image, 0, noise(2, 1)), first, [(0, 1)])
    world.back_up(noise(1, 4), volume=OTHER)
    stats = measure(world.vault, tuning=TUNING)
    assert stats.backups == 3
    assert stats.logical == 2 * 12 * CHUNK + 4 * CHUNK
    assert stats.data == 2 * 6 * CHUNK + 4 * CHUNK
    assert stats.unique == (4 + 1 + 1) * CHUNK, "four, the changed one, and the text once"
    assert stats.dedupe == pytest.approx(16 / 6)
    assert 5 * CHUNK <= stats.payload < 5.1 * CHUNK
    assert stats.stored == sum(world.packs().values())
    assert stats.unused == 0
    assert stats.objects == len(world.objects)
    assert stats.other + stats.stored == sum(len(data) for data in world.objects.values())
    mine, other = stats.volumes
    assert (mine.volume, mine.backups, other.volume, other.backups) == (VOLUME, 2, OTHER, 1)
    assert mine.stored > 5 * CHUNK
    assert 4 * CHUNK < other.stored < 4.1 * CHUNK
    document = stats.to_document()
    assert document["dedupe_ratio"] == 2.667


def test_what_nobody_needs_is_unused(world: BackupWorld) -> None:
    image = noise(1, 9)
    first = world.back_up(image)
    world.back_up(with_chunk(image, 1, noise(2, 1)), first, [(1, 1)])
    delete_backups(world.vault, [(VOLUME, first.backup)], tuning=TUNING)
    stats = measure(world.vault, tuning=TUNING)
    assert CHUNK < stats.unused < 1.1 * CHUNK
    world.store.put_if_absent(f"{PACKS}/00/{bytes(16).hex()}", bytes(1000))
    assert measure(world.vault, tuning=TUNING).unused == stats.unused + 1000


def test_what_cannot_be_counted_is_told(world: BackupWorld) -> None:
    first = world.back_up(noise(1, 3))
    world.back_up(noise(2, 3))
    world.damage(manifest_key(VOLUME, first.backup), 60)
    stats = measure(world.vault, tuning=TUNING)
    assert len(stats.damages) == 1
    assert stats.unique == 3 * CHUNK
