"""Verifying all of a backup or a sample, alone and against a source."""

from __future__ import annotations

import pytest

from drystone.backup.format.keys import pack_key
from drystone.backup.format.manifest import Head
from drystone.backup.format.pack import Kind
from drystone.backup.pipeline import silent
from drystone.backup.reading.entries import read_entry
from drystone.backup.reading.locate import Locator, read_pack_index
from drystone.backup.reading.verify import Sample, Verified, verify_backup
from drystone.base.errors import DamagedError, MismatchError, UsageError
from drystone.testing.backup_world import CHUNK, TUNING, VOLUME, BackupWorld, noise, with_chunk
from drystone.testing.sources import MemorySource

IMAGE = noise(1, 10) + bytes(9 * CHUNK) + noise(2, 2)[:-100]


def run(
    world: BackupWorld, head: Head, sample: Sample | None = None, source: bytes | None = None
) -> tuple[Verified, list[tuple[int, int]]]:
    """With the ranges that were read from the source."""
    locator = Locator(world.vault, world.state())
    told = None if source is None else MemorySource(source)
    verified = verify_backup(
        locator, read_entry(locator, VOLUME, head.backup), tuning=TUNING, progress=silent, sample=sample, source=told
    )
    return verified, [] if told is None else told.reads


def break_chunk(world: BackupWorld, number: int) -> None:
    digest = world.vault.hasher.digest(IMAGE[number * CHUNK : (number + 1) * CHUNK])
    for pack, size in world.packs().items():
        for row in read_pack_index(world.vault, pack, size):
            if bytes(row["digest"]) == digest and row["kind"] == Kind.CHUNK:
                world.damage(pack_key(pack), int(row["offset"]) + 1000)


@pytest.fixture(params=[False, True], ids=["plain", "encrypted"])
def world(request: pytest.FixtureRequest) -> BackupWorld:
    return BackupWorld(encrypted=request.param)


def test_what_is_whole_passes(world: BackupWorld) -> None:
    head = world.back_up(IMAGE)
    assert run(world, head)[0].size == 12 * CHUNK
    verified, reads = run(world, head, source=IMAGE)
    assert sorted(reads) == [(at, min(CHUNK, len(IMAGE) - at)) for at in range(0, len(IMAGE), CHUNK)]
    assert verified.differs == []


def test_every_damage_is_named(world: BackupWorld) -> None:
    head = world.back_up(IMAGE)
    for number in (1, 2, 7):
        break_chunk(world, number)
    for source in (None, IMAGE):
        with pytest.raises(DamagedError) as error:
            run(world, head, source=source)
        ranges = [[number * CHUNK, CHUNK] for number in (1, 2, 7)]
        assert sorted(error.value.facts["ranges"]) == ranges  # type: ignore[call-overload]


@pytest.mark.parametrize("chunk", [0, 9, 10, 15, 20])
def test_a_source_that_differs_is_told_from_damage(world: BackupWorld, chunk: int) -> None:
    head = world.back_up(IMAGE)
    with pytest.raises(MismatchError) as error:
        run(world, head, source=with_chunk(IMAGE, chunk, b"other")[: len(IMAGE)])
    assert error.value.facts["ranges"] == [(chunk * CHUNK, min(CHUNK, len(IMAGE) - chunk * CHUNK))]
    with pytest.raises(MismatchError):
        run(world, head, source=IMAGE + b"x")


def test_a_sample_reads_a_part_and_finds_damage_sooner_or_later(world: BackupWorld) -> None:
    image = noise(5, 60)
    head = world.back_up(image)
    sizes = [run(world, head, Sample(10, seed))[0].size / CHUNK for seed in range(10)]
    assert min(sizes) > 0
    assert max(sizes) < 40
    _, reads = run(world, head, Sample(10, 1), image)
    assert 1 <= len(reads) < 40
    seen = set()
    for seed in range(30):
        seen |= set(run(world, head, Sample(30, seed), image)[1])
    assert len(seen) > 55, "every chunk has its turn"


@pytest.mark.parametrize("percent", [0, -5, 101, float("nan")])
def test_wrong_samples(percent: float) -> None:
    with pytest.raises(UsageError):
        Sample(percent)
