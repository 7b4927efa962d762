"""Restores in place and past damage: what is written, what is left alone, what is told."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from drystone.backup.repository import BackupInfo, BackupRequest, Repository, create_repository
from drystone.backup.tuning import Tuning
from drystone.base.errors import BusyError, DamagedError, MismatchError, NotFoundError
from drystone.kernel.blockdev import open_device
from drystone.store.folder import FolderStore
from drystone.testing.sources import MemorySource

CHUNK = 65536
TUNING = Tuning(threads=2, chunk_size=CHUNK, segment_slots=4, pack=3 * CHUNK)
VOLUME = "11111111-1111-4111-8111-111111111111"
RNG = random.Random(11)
IMAGE = b"".join(bytes(CHUNK) if each in {2, 3, 9} else RNG.randbytes(CHUNK) for each in range(14)) + RNG.randbytes(512)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return create_repository(FolderStore(tmp_path / "store"), tuning=TUNING)


@pytest.fixture
def made(repository: Repository) -> BackupInfo:
    return repository.create(MemorySource(IMAGE), BackupRequest(VOLUME, "x"))


def test_only_what_differs_is_written(tmp_path: Path, repository: Repository, made: BackupInfo) -> None:
    target = tmp_path / "target"
    changed = bytearray(IMAGE)
    changed[CHUNK + 5] ^= 1
    changed[3 * CHUNK + 7] = 9
    changed[-1] ^= 1
    target.write_bytes(changed)
    reports: list[tuple[int, int]] = []
    done = repository.restore_in_place(VOLUME, made.backup, str(target), progress=lambda *each: reports.append(each))
    assert target.read_bytes() == IMAGE
    assert (done.compared, done.written, done.zeroed, done.damages) == (len(IMAGE), CHUNK + 512, CHUNK, [])
    assert reports[0] == (0, len(IMAGE))
    assert reports[-1] == (len(IMAGE), len(IMAGE))
    again = repository.restore_in_place(VOLUME, made.backup, str(target))
    assert (again.written, again.zeroed) == (0, 0)


@pytest.mark.parametrize("old", [bytes(len(IMAGE)), b"\xff" * len(IMAGE)])
def test_whatever_was_there_becomes_the_image(
    tmp_path: Path, repository: Repository, made: BackupInfo, old: bytes
) -> None:
    target = tmp_path / "target"
    target.write_bytes(old)
    repository.restore_in_place(VOLUME, made.backup, str(target))
    assert target.read_bytes() == IMAGE
    if old[0]:
        assert target.stat().st_blocks * 512 <= len(IMAGE) - 3 * CHUNK + 4096, "what became zeros is a hole"


def test_the_target_must_fit_and_be_free(tmp_path: Path, repository: Repository, made: BackupInfo) -> None:
    target = tmp_path / "target"
    with pytest.raises(NotFoundError):
        repository.restore_in_place(VOLUME, made.backup, str(target))
    target.write_bytes(b"1" * (len(IMAGE) + 5))
    with pytest.raises(MismatchError):
        repository.restore_in_place(VOLUME, made.backup, str(target))
    with open_device(str(target), write=True, exclusive=True), pytest.raises(BusyError):
        repository.restore_in_place(VOLUME, made.backup, str(target), larger=True)
    repository.restore_in_place(VOLUME, made.backup, str(target), larger=True)
    assert target.read_bytes() == IMAGE + b"11111"
    target.write_bytes(b"1")
    with pytest.raises(MismatchError):
        repository.restore_in_place(VOLUME, made.backup, str(target), larger=True)


def largest_packs(folder: Path) -> list[Path]:
    return sorted((folder / "store").rglob("packs/*/*"), key=lambda path: path.stat().st_size, reverse=True)


def test_a_restore_goes_past_damage_when_it_is_told_to(
    tmp_path: Path, repository: Repository, made: BackupInfo
) -> None:
    pack = largest_packs(tmp_path)[0]
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 0xFF
    pack.write_bytes(data)
    with pytest.raises(DamagedError):
        repository.restore(VOLUME, made.backup, str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()
    (damage,) = repository.restore(VOLUME, made.backup, str(tmp_path / "new"), skip_damaged=True)
    begin, end = damage.offset, damage.offset + damage.length
    assert (tmp_path / "new").read_bytes() == IMAGE[:begin] + bytes(CHUNK) + IMAGE[end:]
    assert f"at byte {begin} of the image" in damage.message
    target = tmp_path / "target"
    target.write_bytes(b"\xff" * len(IMAGE))
    with pytest.raises(DamagedError):
        repository.restore_in_place(VOLUME, made.backup, str(target))
    assert repository.restore_in_place(VOLUME, made.backup, str(target), skip_damaged=True).damages == [damage]
    assert target.read_bytes() == IMAGE[:begin] + b"\xff" * CHUNK + IMAGE[end:]
    target.write_bytes(IMAGE)  # what is right already needs no sound copy
    assert repository.restore_in_place(VOLUME, made.backup, str(target)).damages == []
    with repository.image(VOLUME, made.backup) as image:
        with pytest.raises(DamagedError) as caught:
            image.read(0, image.size)
        assert caught.value.facts["offset"] == begin
        assert image.read(0, begin) + image.read(end, image.size - end) == IMAGE[:begin] + IMAGE[end:]


def test_damage_of_the_map_is_a_range_too(tmp_path: Path, repository: Repository, made: BackupInfo) -> None:
    for pack in largest_packs(tmp_path):
        data = bytearray(pack.read_bytes())
        if data.count(IMAGE[:CHUNK][:32]) or len(data) > 3000:
            continue
        data[100] ^= 0xFF  # within the record of the first segment
        pack.write_bytes(data)
    damages = repository.restore(VOLUME, made.backup, str(tmp_path / "new"), skip_damaged=True)
    assert [(each.offset, each.length) for each in damages] == [(0, 4 * CHUNK)]
    assert (tmp_path / "new").read_bytes() == bytes(4 * CHUNK) + IMAGE[4 * CHUNK :]
    target = tmp_path / "target"
    target.write_bytes(b"\xff" * len(IMAGE))
    done = repository.restore_in_place(VOLUME, made.backup, str(target), skip_damaged=True)
    assert sum(each.length for each in done.damages) >= 4 * CHUNK
    assert target.read_bytes()[:4] == b"\xff" * 4
