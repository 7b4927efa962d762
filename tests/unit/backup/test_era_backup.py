"""Backups of an era device in two files: what is read, what is kept, and what a failure leaves."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from drystone.backup.era_backup import EraBackup, EraRequest, back_up_era
from drystone.backup.era_source import EraSource, EraSourceInUse, read_changes
from drystone.backup.era_state import read_state, write_state
from drystone.backup.format.keys import PACKS
from drystone.backup.repository import BackupRequest, Repository, create_repository
from drystone.backup.source import DeviceSource
from drystone.backup.tuning import Tuning
from drystone.base.errors import DamagedError, KernelError, MismatchError, NotFoundError, UsageError
from drystone.testing.era_device import FileEraDevice
from drystone.testing.stores import MemoryStore

VOLUME = "11111111-1111-4111-8111-111111111111"
BLOCK = 65536
SIZE = 20 * BLOCK + 8192
TUNING = Tuning(chunk_size=BLOCK, segment_slots=4, pack=3 * BLOCK, threads=2)
REQUEST = EraRequest(VOLUME, "db")


@pytest.fixture
def era(tmp_path: Path) -> FileEraDevice:
    made = FileEraDevice(tmp_path, SIZE, "11111111-2222-4333-8444-555555555555")
    made.write(0, b"begin" * 40000)
    return made


@pytest.fixture
def repository() -> Repository:
    return create_repository(MemoryStore(), tuning=TUNING)


def back_up(repository: Repository, era: FileEraDevice, **more: Any) -> EraBackup:
    damaged: list[DamagedError] = []
    made = back_up_era(repository, era.disk(), replace(REQUEST, **more), damaged=damaged.append)
    assert not era.holding
    assert not damaged
    return made


def image(repository: Repository, made: EraBackup, tmp_path: Path) -> bytes:
    target = tmp_path / "restored"
    repository.restore(made.head.volume, made.head.backup, str(target), overwrite=True)
    return target.read_bytes()


def test_full_then_incremental(era: FileEraDevice, repository: Repository, tmp_path: Path) -> None:
    first = back_up(repository, era)
    assert (first.reading.choice.since, first.head.read) == (None, SIZE)
    era.write(7 * BLOCK + 5, b"x" * BLOCK)
    era.write(20 * BLOCK, b"end")
    second = back_up(repository, era)
    assert second.reading.choice.since == first.reading.state.next_era == 2
    assert second.reading.ranges.tolist() == [[7 * BLOCK, 2 * BLOCK], [20 * BLOCK, 8192]]
    assert second.head.parent == first.head.backup
    assert second.head.about["era.since"] == "2"
    assert image(repository, second, tmp_path) == era.data.read_bytes()
    assert back_up(repository, era).head.read == 0


def test_what_is_written_while_the_data_is_read_is_in_the_next_one(
    era: FileEraDevice, repository: Repository, tmp_path: Path
) -> None:
    back_up(repository, era)
    era.write(3 * BLOCK, b"a" * BLOCK)
    first = back_up(repository, era)
    assert first.reading.state.next_era < era.era
    era.eras[5] = first.reading.state.next_era  # recorded when the snapshot had been taken, before the waiting
    made = back_up(repository, era)
    assert 5 in made.reading.ranges[:, 0] // BLOCK


@pytest.mark.parametrize("when", ["before", "while", "after"])
@pytest.mark.parametrize("activations", [1, 2, 9])
def test_device_and_metadata_of_an_older_time(
    era: FileEraDevice, repository: Repository, tmp_path: Path, when: str, activations: int
) -> None:
    """Both are put back to a moment before the backup, while it read, or after; the machine starts a few times."""
    kept: tuple[int, list[int], bytes] = (0, [], b"")

    def keep() -> None:
        nonlocal kept
        kept = (era.era, list(era.eras), era.data.read_bytes())

    back_up(repository, era)
    keep()
    era.write(3 * BLOCK, b"forgotten as well")
    disk = era.disk()
    first = iter([True])

    @contextlib.contextmanager
    def hold() -> Iterator[int]:
        with era.hold() as location:
            yield location
        # Once: the proof of the delta asks again, when it meets what is written here.
        if when == "while" and next(first, False):
            keep()
            era.write(20 * BLOCK, b"forgotten, and read")

    back_up_era(repository, replace(disk, hold=hold), REQUEST, damaged=lambda _: None)
    if when == "after":
        keep()
        era.write(4 * BLOCK, b"in no backup")
    era.era, era.eras, data = kept
    era.data.write_bytes(data)
    for session in range(activations):
        era.start_again(100 + session)
    made = back_up(repository, era)
    assert image(repository, made, tmp_path) == data
    assert (made.reading.choice.since is None) == (when != "after")


def test_an_era_that_cannot_be_begun(era: FileEraDevice, repository: Repository) -> None:
    def fail() -> None:
        raise KernelError("message", 5)

    made = back_up_era(repository, replace(era.disk(), roll=fail), REQUEST, damaged=lambda _: None)
    assert "the next backup may read everything" in made.warnings[-1]


def test_a_base_without_eras(era: FileEraDevice, repository: Repository) -> None:
    with DeviceSource(era.data) as source:
        plain = repository.create(source, BackupRequest(VOLUME, "db"))
    made = back_up(repository, era)
    assert (made.reading.choice.since, "does not tell of an era device" in made.reading.choice.reason) == (None, True)
    assert (made.head.parent, made.head.stored < made.head.read) == (plain.backup, True)
    chosen = back_up(repository, era, base=plain.backup)
    assert chosen.head.parent == plain.backup
    assert back_up(repository, era, full=True).head.parent == ""
    assert back_up(repository, era, base=made.head.backup).reading.choice.since == made.reading.state.next_era


def test_facts_that_make_no_state(era: FileEraDevice, repository: Repository) -> None:
    with DeviceSource(era.data) as source:
        repository.create(source, BackupRequest(VOLUME, "db", about={"era.tag": era.tag, "era.next": "soon"}))
    assert "facts of its era device are wrong" in back_up(repository, era).reading.choice.reason


def test_the_newest_that_is_whole(era: FileEraDevice, repository: Repository, tmp_path: Path) -> None:
    first = back_up(repository, era)
    before = dict(repository.store.list(PACKS))
    era.write(3 * BLOCK, b"second" * 99)
    second = back_up(repository, era)
    for key, _ in list(repository.store.list(PACKS)):
        if key not in before:
            repository.store.delete(key)
    damaged: list[DamagedError] = []
    made = back_up_era(repository, era.disk(), REQUEST, damaged=damaged.append)
    assert [each.facts["backup"] for each in damaged] == [second.head.backup]
    assert made.reading.choice.since == first.reading.state.next_era, "what the damaged one held is read again"
    assert image(repository, made, tmp_path) == era.data.read_bytes()


def test_a_failure_keeps_the_state(era: FileEraDevice, repository: Repository, tmp_path: Path) -> None:
    """The era moves on before the copy: what a copy that failed would have held is in the next one."""
    path = tmp_path / "state"
    back_up(repository, era, state_file=path)
    kept = path.read_bytes()
    era.write(3 * BLOCK, b"between")

    class TroubleError(Exception):
        pass

    def fail(done: int, total: int) -> None:
        if done:
            raise TroubleError

    with pytest.raises(TroubleError):
        back_up_era(repository, era.disk(), replace(REQUEST, state_file=path), damaged=lambda _: None, progress=fail)
    assert path.read_bytes() == kept
    for words in ({"state_file": path}, {}):
        made = back_up(repository, era, **words)
        assert 3 in made.reading.ranges[:, 0] // BLOCK or not words
        assert image(repository, made, tmp_path) == era.data.read_bytes()


def test_the_state_file_says_what_to_build_upon(era: FileEraDevice, repository: Repository, tmp_path: Path) -> None:
    path = tmp_path / "state"
    first = back_up(repository, era, state_file=path)
    older = path.read_bytes()
    era.write(BLOCK, b"1")
    back_up(repository, era)
    made = back_up(repository, era, state_file=path)
    assert made.head.parent == first.head.backup
    path.write_bytes(older.replace(b'"size"', b'"siez"'))
    assert "is damaged" in back_up(repository, era, state_file=path).reading.choice.reason
    path.write_bytes(older)
    repository.delete(VOLUME, first.head.backup)
    assert "is not there" in back_up(repository, era, state_file=path).reading.choice.reason


def test_a_state_file_that_is_of_something_else_is_not_believed(
    era: FileEraDevice, repository: Repository, tmp_path: Path
) -> None:
    path = tmp_path / "state"
    back_up(repository, era, state_file=path)
    state = read_state(path)
    write_state(path, msgspec.structs.replace(state, next_era=state.next_era + 1))
    made = back_up(repository, era, state_file=path)
    assert (made.reading.choice.since, made.head.parent) == (None, state.backup)
    assert "is not what it was" in made.reading.choice.reason
    other = back_up(repository, era, volume="22222222-2222-4222-8222-222222222222", state_file=path)
    assert (other.reading.choice.since, other.head.parent) == (None, "")
    assert "is of another source" in other.reading.choice.reason


def test_snapshots_of_the_data(era: FileEraDevice, repository: Repository, tmp_path: Path) -> None:
    back_up(repository, era)
    era.write(BLOCK, b"in the snapshot")
    era.era += 1
    at_era, copy = era.era, tmp_path / "copy"
    copy.write_bytes(era.data.read_bytes())
    era.write(2 * BLOCK, b"after the snapshot")
    made = back_up(repository, era, data=str(copy), at_era=at_era)
    assert made.reading.state.next_era == at_era
    assert made.reading.state.end_era == era.era
    assert image(repository, made, tmp_path) == copy.read_bytes()
    made = back_up(repository, era)
    assert image(repository, made, tmp_path) == era.data.read_bytes()
    with pytest.raises(UsageError, match="has not come yet"):
        back_up(repository, era, data=str(copy), at_era=99)
    copy.write_bytes(b"short")
    with pytest.raises(MismatchError, match="another size"):
        back_up(repository, era, data=str(copy), at_era=at_era)


def test_metadata_of_another_device(era: FileEraDevice) -> None:
    disk = replace(era.disk(), size=SIZE * 2)
    with pytest.raises(MismatchError, match="is it the metadata of that device"):
        read_changes(disk, None)
    assert not era.holding


def test_who_asks_what_was_written_meanwhile_begins_the_era_that_the_state_tells_of(era: FileEraDevice) -> None:
    """Before the metadata snapshot, which begins eras as well."""
    calls: list[str] = []
    disk = era.disk()

    @contextlib.contextmanager
    def hold() -> Iterator[int]:
        calls.append("hold")
        with disk.hold() as location:
            yield location

    watched = replace(disk, hold=hold, roll=lambda: calls.append("roll"))
    with EraSourceInUse(watched, read_changes(disk, None)) as source:
        source.written_since()
    assert calls == ["roll", "hold"]


def test_a_base_that_is_not_there(era: FileEraDevice, repository: Repository) -> None:
    with pytest.raises(NotFoundError):
        back_up(repository, era, base=VOLUME)


def test_a_source_is_read_within_with(era: FileEraDevice) -> None:
    source = EraSource(str(era.data), read_changes(era.disk(), None))
    assert not source.relative
    with pytest.raises(UsageError, match="not open"):
        _ = source.size
    with source:
        assert source.extents().tolist() == [[0, SIZE]]
        assert source.warnings() == []
