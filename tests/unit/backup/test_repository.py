"""Backups made, listed, restored, verified and deleted, in memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from blake3 import blake3

from drystone.backup.format.keys import PACKS, REPOSITORY, manifest_key, operation_key
from drystone.backup.format.manifest import Head
from drystone.backup.objects import read_manifest
from drystone.backup.pipeline import silent
from drystone.backup.reading.locate import Locator
from drystone.backup.reading.restore import restore_backup
from drystone.backup.repository import BackupRequest, Repository, create_repository, open_repository
from drystone.backup.state.generations import read_state
from drystone.backup.state.operations import describe
from drystone.backup.tuning import Tuning
from drystone.base.errors import (
    BusyError,
    DamagedError,
    ExistsError,
    MismatchError,
    NotFoundError,
    UnsupportedError,
    UsageError,
)
from drystone.base.names import new_uuid
from drystone.testing.repositories import left_over, read_back, sweep
from drystone.testing.sources import MemorySource, MemoryTarget
from drystone.testing.stores import MemoryStore

CHUNK = 65536
TUNING = Tuning(chunk_size=CHUNK, segment_slots=4, pack=3 * CHUNK, threads=2)
VOLUME = "11111111-1111-4111-8111-111111111111"
VOLUME_10 = "11111111-1111-4111-8111-111111111110"


class TickingClock:
    """A second later at every look."""

    def __init__(self) -> None:
        self._seconds = 0

    def now(self) -> datetime:
        self._seconds += 1
        return datetime.fromtimestamp(1_800_000_000 + self._seconds, tz=UTC)

    def monotonic(self) -> float:
        return float(self._seconds)

    def sleep(self, seconds: float) -> None:
        self._seconds += int(seconds)


def noise(seed: int, length: int) -> bytes:
    return blake3(seed.to_bytes(4, "big")).digest(length)


@pytest.fixture
def repository() -> Repository:
    return create_repository(MemoryStore(), tuning=TUNING, clock=TickingClock())


def back_up(
    repository: Repository,
    image: bytes | bytearray,
    base: str = "",
    changed: list[tuple[int, int]] | None = None,
    volume: str = VOLUME,
) -> Head:
    return repository.create(MemorySource(image, changed), BackupRequest(volume, "test", base))


def restored(repository: Repository, backup: Head) -> bytes:
    return read_back(repository.vault, backup.volume, backup.backup, TUNING)


def objects(repository: Repository) -> dict[str, bytes]:
    assert isinstance(repository.store, MemoryStore)
    return repository.store.objects


def pack_count(repository: Repository) -> int:
    return len(list(repository.store.list(PACKS)))


IMAGES = {
    "empty": b"",
    "one byte": b"x",
    "all zeros": bytes(20 * CHUNK),
    "a chunk": noise(1, CHUNK),
    "ragged end": noise(2, 9 * CHUNK + 1),
    "ragged zeros": noise(3, 4 * CHUNK) + bytes(100),
    "holes": noise(4, CHUNK) + bytes(11 * CHUNK) + b"t" * CHUNK + bytes(3 * CHUNK),
    "text": b"words and words " * 60_000,
    "same chunks": noise(5, CHUNK) * 17,
}


@pytest.mark.parametrize("image", IMAGES.values(), ids=IMAGES)
def test_what_was_backed_up_is_restored(repository: Repository, image: bytes) -> None:
    backup = back_up(repository, image)
    assert restored(repository, backup) == image
    repository.verify(VOLUME, backup.backup)
    assert backup.size == backup.read == len(image)
    assert backup.stored == sum(len(data) for key, data in objects(repository).items() if key.startswith(PACKS))


def test_zeros_and_same_chunks_are_stored_once_or_not(repository: Repository) -> None:
    assert back_up(repository, bytes(20 * CHUNK)).stored == 0
    assert back_up(repository, noise(1, CHUNK) * 17).stored < 2 * CHUNK


def test_an_incremental_stores_and_reads_what_changed(repository: Repository) -> None:
    image = bytearray(noise(1, 40 * CHUNK))
    full = back_up(repository, image)
    image[13 * CHUNK + 5] ^= 1
    source = MemorySource(image, [(13 * CHUNK, 4096)])
    second = repository.create(source, BackupRequest(VOLUME, "test", full.backup))
    assert source.reads[0] == (13 * CHUNK, CHUNK)
    assert len(source.reads) == 1 + 32, "and a sample, to prove the rest"
    assert second.read == CHUNK
    assert CHUNK < second.stored < CHUNK + 2000
    assert second.parent == full.backup
    assert restored(repository, second) == image
    repository.verify(VOLUME, second.backup)


def test_changes_that_change_nothing_store_nothing(repository: Repository) -> None:
    image = noise(1, 10 * CHUNK)
    full = back_up(repository, image)
    again = back_up(repository, image, full.backup, [(0, 10 * CHUNK)])
    assert again.stored == 0
    assert again.root == full.root
    assert back_up(repository, image, again.backup, []).root == full.root


def test_a_whole_source_is_compared_with_its_base(repository: Repository) -> None:
    image = bytearray(noise(1, 10 * CHUNK))
    full = back_up(repository, image)
    image[CHUNK : 2 * CHUNK], image[8 * CHUNK : 9 * CHUNK] = image[8 * CHUNK : 9 * CHUNK], image[CHUNK : 2 * CHUNK]
    moved = back_up(repository, image, full.backup)
    assert moved.stored < 3000, "only map segments"
    assert restored(repository, moved) == image


@pytest.mark.parametrize("size", [3 * CHUNK, 9 * CHUNK + 7, 10 * CHUNK, 14 * CHUNK + 1, 30 * CHUNK])
def test_a_whole_source_may_have_another_size_than_its_base(repository: Repository, size: int) -> None:
    full = back_up(repository, noise(1, 10 * CHUNK + 5))
    image = noise(1, size)
    other = back_up(repository, image, full.backup)
    assert restored(repository, other) == image
    repository.delete(VOLUME, full.backup)
    repository.verify(VOLUME, other.backup)


def test_the_root_does_not_depend_on_how_it_was_made(repository: Repository) -> None:
    image = bytearray(noise(1, 9 * CHUNK))
    full = back_up(repository, image)
    image[4 * CHUNK : 6 * CHUNK] = bytes(2 * CHUNK)
    second = back_up(repository, image, full.backup, [(4 * CHUNK, 2 * CHUNK)])
    assert second.root == back_up(repository, image).root != full.root
    assert second.chunks == 7


def test_any_backup_can_be_deleted(repository: Repository) -> None:
    image = bytearray(noise(1, 12 * CHUNK))
    chain: list[tuple[Head, bytes]] = []
    for turn in range(5):
        image[turn * CHUNK : (turn + 2) * CHUNK] = noise(100 + turn, 2 * CHUNK)
        base = chain[-1][0].backup if chain else ""
        chain.append((back_up(repository, image, base, [(turn * CHUNK, 2 * CHUNK)] if base else None), bytes(image)))
    for victim in (2, 0, 3, 1):
        repository.delete(VOLUME, chain[victim][0].backup)
        chain[victim] = (chain[victim][0], b"")
        for backup, state in chain:
            if state:
                assert restored(repository, backup) == state
                repository.verify(VOLUME, backup.backup)
    repository.delete(VOLUME, chain[4][0].backup)
    assert left_over(repository.store) == []


def test_a_volume_whose_name_begins_like_another_is_not_touched(repository: Repository) -> None:
    first, second = back_up(repository, noise(1, CHUNK)), back_up(repository, noise(2, CHUNK), volume=VOLUME_10)
    repository.delete(VOLUME, first.backup)
    assert repository.list(VOLUME) == []
    assert repository.list(VOLUME_10) == repository.list() == [second]
    repository.verify(VOLUME_10, second.backup)


def test_lists_are_in_the_order_of_time(repository: Repository) -> None:
    made = [back_up(repository, b"x") for _ in range(10)]
    assert repository.list(VOLUME) == made
    assert repository.inspect(VOLUME, made[3].backup) == made[3]
    assert made[0].created == "2027-01-15T08:00:02.000000+00:00"


def test_about_is_kept_as_it_stands(repository: Repository) -> None:
    about = {"VolumeName": "välue", "": "empty", "time": "Mon Jan 02 15:04:05 -0700 2006"}
    made = repository.create(MemorySource(b"x"), BackupRequest(VOLUME, "s", about=about))
    assert repository.inspect(VOLUME, made.backup).about == about


def test_what_is_missing_is_not_found(repository: Repository) -> None:
    for action in (repository.inspect, repository.verify, repository.delete):
        with pytest.raises(NotFoundError, match="no backup"):
            action(VOLUME, new_uuid())
    with pytest.raises(NotFoundError):
        back_up(repository, b"x", base=new_uuid())
    with pytest.raises(UsageError):
        repository.inspect("../x", new_uuid())
    assert left_over(repository.store) == []


def test_a_relative_source_needs_a_base_of_its_size(repository: Repository) -> None:
    with pytest.raises(UsageError):
        back_up(repository, b"x", changed=[])
    full = back_up(repository, noise(1, CHUNK))
    with pytest.raises(MismatchError):
        back_up(repository, noise(1, CHUNK + 1), full.backup, [])


def test_a_uuid_is_used_once(repository: Repository) -> None:
    backup = new_uuid()
    request = BackupRequest(VOLUME, "s", backup=backup)
    repository.create(MemorySource(noise(1, CHUNK)), request)
    with pytest.raises(ExistsError):
        repository.create(MemorySource(noise(2, CHUNK)), request)
    assert pack_count(repository) == 2
    repository.verify(VOLUME, backup)


def test_what_another_process_makes_already_is_not_made_twice(repository: Repository) -> None:
    backup = new_uuid()
    key = announce(repository, "backup", backup)
    before = dict(objects(repository))
    with pytest.raises(BusyError, match="is being made by another process"):
        repository.create(MemorySource(noise(1, CHUNK)), BackupRequest(VOLUME, "s", backup=backup))
    assert objects(repository).keys() >= {key}
    assert pack_count(repository) == 0
    assert before.keys() <= objects(repository).keys()


def test_a_source_that_fails_leaves_nothing(repository: Repository) -> None:
    class Failing(MemorySource):
        def read_into(self, offset: int, buffer: object) -> None:
            if offset > 20 * CHUNK:
                raise KeyboardInterrupt
            super().read_into(offset, buffer)  # type: ignore[arg-type]

    with pytest.raises(KeyboardInterrupt):
        repository.create(Failing(noise(1, 200 * CHUNK)), BackupRequest(VOLUME, "s"))
    assert left_over(repository.store) == []


def test_progress_ends_at_the_total(repository: Repository) -> None:
    seen: list[tuple[int, int]] = []
    image = noise(1, 200 * CHUNK + 3)
    made = repository.create(
        MemorySource(image), BackupRequest(VOLUME, "s"), progress=lambda done, total: seen.append((done, total))
    )
    assert seen[0] == (0, len(image))
    assert seen[-1] == (len(image), len(image))
    assert seen == sorted(seen)
    seen.clear()
    repository.verify(VOLUME, made.backup, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1]


def damage(repository: Repository, key: str) -> None:
    data = bytearray(objects(repository)[key])
    data[len(data) // 3] ^= 1
    objects(repository)[key] = bytes(data)


def test_a_damaged_chunk_is_named_with_its_place(repository: Repository) -> None:
    image = noise(1, 8 * CHUNK)
    backup = back_up(repository, image)
    key = next(key for key, _ in sorted(repository.store.list(PACKS)))
    damage(repository, key)
    with pytest.raises(DamagedError) as caught:
        repository.verify(VOLUME, backup.backup)
    damages = caught.value.facts["damages"]
    assert isinstance(damages, list)
    assert len(damages) == 1
    with pytest.raises(DamagedError) as caught:
        restored(repository, backup)
    assert caught.value.facts["offset"] == CHUNK
    assert caught.value.facts["pack"] == key.rpartition("/")[2]
    assert f"byte {CHUNK} of the image" in damages[0]


def test_every_missing_pack_is_named(repository: Repository) -> None:
    backup = back_up(repository, noise(1, 8 * CHUNK))
    for key, _ in list(repository.store.list(PACKS)):
        repository.store.delete(key)
    with pytest.raises(DamagedError) as caught:
        repository.verify(VOLUME, backup.backup)
    damages = caught.value.facts["damages"]
    assert isinstance(damages, list)
    assert len([each for each in damages if each.endswith("is missing")]) >= 4


def test_a_backup_with_a_damaged_manifest_can_be_deleted(repository: Repository) -> None:
    image = noise(1, 8 * CHUNK)
    first, second = back_up(repository, image), back_up(repository, noise(2, CHUNK))
    damage(repository, manifest_key(VOLUME, first.backup))
    with pytest.raises(DamagedError, match=first.backup):
        repository.inspect(VOLUME, first.backup)
    with pytest.raises(DamagedError):
        sweep(repository)
    repository.delete(VOLUME, first.backup)
    assert repository.list() == [second]
    assert pack_count(repository) == 2, "its packs went with it"
    repository.verify(VOLUME, second.backup)


def test_a_deletion_beside_a_damaged_manifest_is_done_and_says_what_stays(repository: Repository) -> None:
    first, second = back_up(repository, noise(1, 8 * CHUNK)), back_up(repository, noise(2, CHUNK))
    damage(repository, manifest_key(VOLUME, second.backup))
    packs = pack_count(repository)
    with pytest.raises(DamagedError, match="what was to be deleted is, but its packs stay"):
        repository.delete(VOLUME, first.backup)
    assert pack_count(repository) == packs
    with pytest.raises(NotFoundError):
        repository.inspect(VOLUME, first.backup)
    repository.delete(VOLUME, second.backup)
    sweep(repository)
    assert left_over(repository.store) == []


def test_a_base_that_is_built_upon_can_be_deleted_and_its_packs_wait(repository: Repository) -> None:
    full = back_up(repository, noise(1, CHUNK))
    packs = pack_count(repository)
    key = announce(repository, "backup", new_uuid(), full.backup)
    assert repository.delete(VOLUME, full.backup) == 0
    assert repository.list() == []
    assert pack_count(repository) == packs
    repository.store.delete(key)
    assert sweep(repository)[0] == packs
    assert left_over(repository.store) == []


def announce(
    repository: Repository, operation: str, backup: str, base: str = "", change: dict[str, object] | None = None
) -> str:
    """An operation of another process that lives (this one's parent), unless `change` says otherwise."""
    key = operation_key(new_uuid())
    parent = os.getppid()
    number = read_state(repository.vault).number
    described = describe(operation, number, VOLUME, backup, base=base, writers=((b"w" * 12).hex(),))
    value = msgspec.structs.replace(described, **{"pid": parent, "started": started_at(str(parent)), **(change or {})})
    repository.store.put_if_absent(key, msgspec.json.encode(value))
    return key


def started_at(pid: str = "self") -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


DEAD: dict[str, Callable[[], dict[str, object]]] = {
    "no such process": lambda: {"started": 1},
    "this process, which has ended it": lambda: {"pid": os.getpid(), "started": started_at()},
    "another boot": lambda: {"boot": "other", "pids": "other"},
}
ALIVE: dict[str, Callable[[], dict[str, object]]] = {
    "a process": dict,
    "another host": lambda: {"host": "other", "started": 1},
    "another name space": lambda: {"pids": "other", "started": 1},
}


@pytest.mark.parametrize("change", DEAD.values(), ids=DEAD)
def test_the_dead_are_swept(repository: Repository, change: Callable[[], dict[str, object]]) -> None:
    key = announce(repository, "backup", new_uuid(), change=change())
    repository.store.put_if_absent(f"{PACKS}/77/{(b'w' * 12).hex()}00000000", b"pack")
    assert sweep(repository) == (1, 4)
    assert key not in objects(repository)


@pytest.mark.parametrize("change", ALIVE.values(), ids=ALIVE)
def test_the_living_are_spared_unless_forced(repository: Repository, change: Callable[[], dict[str, object]]) -> None:
    key = announce(repository, "backup", new_uuid(), change=change())
    repository.store.put_if_absent(f"{PACKS}/77/{(b'w' * 12).hex()}00000000", b"pack")
    assert sweep(repository) == (0, 0)
    assert key in objects(repository)
    assert sweep(repository, force=True) == (1, 4)
    assert key not in objects(repository)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"writers": ("no hex",)}, DamagedError),
        ({"writers": ("77" * 11,)}, DamagedError),
        ({"version": 3}, UnsupportedError),
    ],
)
def test_operations_that_tell_nothing_stop_a_sweep(
    repository: Repository, change: dict[str, object], kind: type[Exception]
) -> None:
    key = announce(repository, "backup", new_uuid(), change=change)
    with pytest.raises(kind, match=key):
        sweep(repository)


def test_a_writer_that_was_swept_while_it_ran_fails(repository: Repository) -> None:
    class Swept(MemorySource):
        def read_into(self, offset: int, buffer: object) -> None:
            sweep(repository, force=True)
            super().read_into(offset, buffer)  # type: ignore[arg-type]

    with pytest.raises(BusyError, match="overtaken"):
        repository.create(Swept(noise(1, CHUNK)), BackupRequest(VOLUME, "s"))
    assert repository.list() == []
    sweep(repository)
    assert left_over(repository.store) == []


def test_opening(tmp_path: Path) -> None:
    store = MemoryStore()
    with pytest.raises(NotFoundError):
        open_repository(store)
    made = create_repository(store)
    assert create_repository(store).vault.document == made.vault.document
    for change, kind in (
        ({"version": 3}, UnsupportedError), ({"hash": "blake3-keyed"}, UnsupportedError),
        ({"encryption": "aes"}, UnsupportedError), ({"format": "other"}, DamagedError),
        ({"version": 0}, UnsupportedError),
        ({"version": 1, "hash": "blake3-keyed", "encryption": "aes-256-gcm"}, UnsupportedError),
    ):  # fmt: skip
        store.objects[REPOSITORY] = msgspec.json.encode({**msgspec.structs.asdict(made.vault.document), **change})
        with pytest.raises(kind):
            open_repository(store)
    for wrong in (b"", b"{}", b"\xff", b"[]"):
        store.objects[REPOSITORY] = wrong
        with pytest.raises(DamagedError):
            open_repository(store)


def test_restore_to_files(repository: Repository, tmp_path: Path) -> None:
    image = noise(1, 5 * CHUNK) + bytes(50 * CHUNK) + b"end"
    backup = back_up(repository, image)
    path = tmp_path / "out"
    repository.restore(VOLUME, backup.backup, str(path))
    assert path.read_bytes() == image
    assert path.stat().st_blocks * 512 < 10 * CHUNK, "holes stay holes"
    path.write_bytes(b"old")
    with pytest.raises(ExistsError):
        repository.restore(VOLUME, backup.backup, str(path))
    assert path.read_bytes() == b"old"
    repository.restore(VOLUME, backup.backup, str(path), overwrite=True)
    assert path.read_bytes() == image
    with pytest.raises(NotFoundError):
        repository.restore(VOLUME, backup.backup, str(tmp_path / "none" / "out"))
    damage(repository, next(key for key, _ in sorted(repository.store.list(PACKS))))
    for name in ("out", "new"):
        with pytest.raises(DamagedError):
            repository.restore(VOLUME, backup.backup, str(tmp_path / name), overwrite=True)
    assert path.read_bytes() == image, "the old file stays until the new one is whole"
    assert [each.name for each in tmp_path.iterdir()] == ["out"]


def test_holes_are_written_unless_the_target_is_zeroed(repository: Repository) -> None:
    image = bytes(CHUNK) + noise(1, CHUNK) + bytes(10 * CHUNK) + noise(2, 100)
    locator = Locator(repository.vault, read_state(repository.vault))
    manifest = read_manifest(repository.vault, VOLUME, back_up(repository, image).backup)
    for old, zeroed in ((noise(9, len(image)), False), (bytes(len(image)), True)):
        target = MemoryTarget(old, zeroed=zeroed)
        restore_backup(locator, manifest, target, tuning=TUNING, progress=silent)
        assert bytes(target.data) == image
        assert target.written == CHUNK + 100
