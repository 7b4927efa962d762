"""Thin devices as sources of backups, by metadata in a file: which delta is read, and what comes of doubts."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from drystone.backup.repository import BackupInfo, BackupRequest, Repository, create_repository
from drystone.backup.source import SourceInUse
from drystone.backup.thin_backup import MappedSource, ThinDisk, back_up_thin, plan_thin, read_mapped
from drystone.backup.tuning import Tuning
from drystone.base.errors import DamagedError, NotFoundError
from drystone.testing.stores import MemoryStore
from drystone.testing.thin_metadata import BlockMap, Details, write_thin_metadata

VOLUME = "11111111-1111-4111-8111-111111111111"
BLOCK = 65536
BLOCKS = 80
TUNING = Tuning(chunk_size=BLOCK, segment_slots=16, pack=1 << 20)


class Pool:
    """A pool whose metadata is made anew for each state; the data of the device to back up is a file."""

    def __init__(self, folder: Path) -> None:
        self.metadata = folder / "metadata"
        self.data = folder / "data"
        self.holds = 0

    def set(self, devices: dict[int, tuple[BlockMap, Details]], image: bytes) -> None:
        maps = {device: mapping for device, (mapping, _) in devices.items()}
        details = {device: found for device, (_, found) in devices.items()}
        self.metadata.write_bytes(write_thin_metadata(maps, details=details, time=9, nr_data_blocks=500))
        self.data.write_bytes(image)

    @contextlib.contextmanager
    def hold(self) -> Iterator[int]:
        self.holds += 1
        yield 0

    def disk(self, device: int) -> ThinDisk:
        return ThinDisk(str(self.data), str(self.metadata), "pool", device, BLOCKS * BLOCK, self.hold)


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    return Pool(tmp_path)


@pytest.fixture
def repository() -> Repository:
    return create_repository(MemoryStore(), tuning=TUNING)


def image_of(mapping: BlockMap, seed: int = 0) -> bytes:
    """Each data block has its own bytes."""
    image = bytearray(BLOCKS * BLOCK)
    for virtual, found in mapping.items():
        data = found[0] if isinstance(found, tuple) else found
        image[virtual * BLOCK : (virtual + 1) * BLOCK] = random.Random(f"{data} {seed}").randbytes(BLOCK)
    return bytes(image)


OLD: BlockMap = {block: (100 + block, 1) for block in range(0, 60, 2)}
NEW: BlockMap = {**OLD, 4: (200, 3), 71: (201, 3)}
OLD_DETAILS, NEW_DETAILS = (1, 2, 2), (2, 4, 4)


def back_up(pool: Pool, repository: Repository, device: int, *, anew: bool = False) -> tuple[BackupInfo, list[str]]:
    request = BackupRequest(VOLUME, "db", anew=anew)
    base, reading = plan_thin(repository, pool.disk(device), request, damaged=lambda _: None)
    return back_up_thin(repository, pool.disk(device), replace(request, base=base), reading)


def test_a_delta_upon_a_snapshot_that_is_as_it_was(pool: Pool, repository: Repository, tmp_path: Path) -> None:
    pool.set({1: (OLD, OLD_DETAILS)}, image_of(OLD))
    first, warnings = back_up(pool, repository, 1)
    assert (first.read, warnings) == (30 * BLOCK, [])
    pool.set({1: (OLD, OLD_DETAILS), 2: (NEW, NEW_DETAILS)}, image_of(NEW))
    second, warnings = back_up(pool, repository, 2)
    assert (second.read, warnings, second.about["thin.since"]) == (2 * BLOCK, [], "1")
    assert second.parent == first.backup
    repository.restore(VOLUME, second.backup, str(tmp_path / "out"))
    assert (tmp_path / "out").read_bytes() == image_of(NEW)
    anew, warnings = back_up(pool, repository, 2, anew=True)
    assert (anew.read, anew.parent, anew.root, warnings) == (31 * BLOCK, "", second.root, [])


def test_in_doubt_all_that_is_mapped_is_read(pool: Pool, repository: Repository) -> None:
    pool.set({1: (OLD, OLD_DETAILS)}, image_of(OLD))
    first, _ = back_up(pool, repository, 1)
    pool.set({1: ({**OLD, 0: (300, 2)}, OLD_DETAILS), 2: (NEW, NEW_DETAILS)}, image_of(NEW))
    second, (warning,) = back_up(pool, repository, 2)
    assert second.read == 31 * BLOCK
    assert second.stored < 6 * BLOCK, "what the base has is not stored again"
    assert second.parent == first.backup
    assert "thin device 1 was written to" in warning


def test_a_base_that_tells_of_no_thin_device(pool: Pool, repository: Repository) -> None:
    pool.set({1: (OLD, OLD_DETAILS)}, image_of(OLD))
    reading = read_mapped(pool.disk(1), None)
    with MappedSource(pool.disk(1), reading) as source:
        repository.create(source, BackupRequest(VOLUME, "db"))
    _, (warning,) = back_up(pool, repository, 1)
    assert "does not tell of a thin device" in warning
    damaged = {**reading.state.to_about(), "thin.device": "x"}
    with MappedSource(pool.disk(1), reading) as source:
        repository.create(source, BackupRequest(VOLUME, "db", about=damaged))
    assert "facts of its thin device are wrong" in back_up(pool, repository, 1)[1][0]


def test_a_pool_of_the_same_ids_and_other_bytes_is_caught(pool: Pool, repository: Repository) -> None:
    """32 of 78 chunks are looked at, and 29 of the 78 differ: all are missed once in 10**8 runs."""
    pool.set({1: (OLD, OLD_DETAILS)}, image_of(OLD))
    first, _ = back_up(pool, repository, 1)
    pool.set({1: (OLD, OLD_DETAILS), 2: (NEW, NEW_DETAILS)}, image_of(NEW, seed=1))
    with pytest.raises(DamagedError, match="does not tell all that changed"):
        back_up(pool, repository, 2)
    assert [each.backup for each in repository.list()] == [first.backup]


def test_a_device_in_use_tells_what_was_written_meanwhile(pool: Pool) -> None:
    pool.set({1: (OLD, OLD_DETAILS), 2: (NEW, NEW_DETAILS)}, image_of(NEW))
    state = read_mapped(replace(pool.disk(1)), None).state
    reading = read_mapped(pool.disk(2), state)
    assert reading.since == 1
    with MappedSource(pool.disk(2), reading) as source:
        assert isinstance(source, SourceInUse)
        pool.set({1: (OLD, OLD_DETAILS), 2: ({**NEW, 10: (210, 4)}, NEW_DETAILS)}, image_of(NEW))
        assert source.written_since().tolist() == [[4 * BLOCK, BLOCK], [10 * BLOCK, BLOCK], [71 * BLOCK, BLOCK]]


def test_a_device_that_the_metadata_has_not(pool: Pool) -> None:
    pool.set({1: (OLD, OLD_DETAILS)}, image_of(OLD))
    with pytest.raises(NotFoundError):
        read_mapped(pool.disk(5), None)


def test_a_snapshot_that_nobody_wrote_to_is_known_again(pool: Pool) -> None:
    """So that a killed backup of it can be gone on with."""

    def identity(mapping: BlockMap, details: Details) -> str:
        pool.set({1: (mapping, details)}, image_of(mapping))
        with MappedSource(pool.disk(1), read_mapped(pool.disk(1), None)) as source:
            return source.identity

    known = identity(OLD, OLD_DETAILS)
    assert known == identity(OLD, OLD_DETAILS) != ""
    assert identity({**OLD, 4: (400, 2)}, OLD_DETAILS) == "", "written to"
    assert identity({**OLD, 5: (105, 1)}, OLD_DETAILS) not in {"", known}, "another number of blocks"
    assert identity(OLD, (1, 3, 3)) not in {"", known}
