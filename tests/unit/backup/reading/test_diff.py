"""Differences of backups, and of a backup and a device, against a plain comparison; and what they cost."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drystone.backup.format.slot import Hardness, KeyFile
from drystone.backup.pipeline import silent
from drystone.backup.reading.diff import FINE, diff_backups, diff_device
from drystone.backup.reading.image import CachedImage
from drystone.backup.repository import BackupInfo, BackupRequest, Repository, create_repository
from drystone.backup.tuning import Tuning
from drystone.kernel.blockdev import open_device
from drystone.store.folder import FolderStore
from drystone.testing.sources import MemorySource

CHUNK = 65536
VOLUMES = ("11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222")
TUNING = Tuning(threads=2, chunk_size=CHUNK, segment_slots=4, pack=1 << 20)


def make(folder: Path, tuning: Tuning = TUNING) -> Repository:
    return create_repository(FolderStore(folder), tuning=tuning)


def back_up(repository: Repository, data: bytes, volume: str = VOLUMES[0]) -> BackupInfo:
    return repository.create(MemorySource(data), BackupRequest(volume, "x"))


def differing(left: bytes, right: bytes, unit: int) -> list[tuple[int, int]]:
    """Joined ranges of units that differ, by comparing every one."""
    size, found = min(len(left), len(right)), []
    for at in range(0, size, unit):
        end = min(at + unit, size)
        if left[at:end] != right[at:end]:
            found.append((at, end - at))
    if len(left) != len(right):
        found.append((size, max(len(left), len(right)) - size))
    joined: list[tuple[int, int]] = []
    for offset, length in found:
        if joined and sum(joined[-1]) == offset:
            joined[-1] = (joined[-1][0], joined[-1][1] + length)
        else:
            joined.append((offset, length))
    return joined


def change(data: bytes, rng: random.Random, places: list[int]) -> bytes:
    changed = bytearray(data)
    for at in places:
        if at < len(changed):
            changed[at : at + 100] = rng.randbytes(len(changed[at : at + 100]))
    return bytes(changed)


def image_of(chunks: int, rest: int, rng: random.Random) -> bytes:
    parts = [bytes(CHUNK) if rng.random() < 0.3 else rng.randbytes(CHUNK) for _ in range(chunks)]
    return b"".join(parts) + rng.randbytes(rest)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(0, 11),
    st.sampled_from([0, 700, 5000]),
    st.lists(st.integers(0, 12 * CHUNK), max_size=4),
    st.sampled_from([0, 0, 5000, 3 * CHUNK]),
    st.integers(),
)
def test_ranges_are_those_of_a_plain_comparison(
    tmp_path_factory: pytest.TempPathFactory, chunks: int, rest: int, places: list[int], less: int, seed: int
) -> None:
    rng = random.Random(seed)
    left = image_of(chunks, rest, rng)
    right = change(left, rng, places)[: len(left) - min(less, len(left))]
    folder = tmp_path_factory.mktemp("diff")
    repository = make(folder / "store")
    one, other = back_up(repository, left), back_up(repository, right, VOLUMES[1])
    (folder / "file").write_bytes(right)
    with (
        repository.image(one.volume, one.backup) as first,
        repository.image(other.volume, other.backup) as second,
        open_device(str(folder / "file")) as device,
    ):
        exact = differing(left, right, FINE)
        assert list(diff_backups(first, second, tuning=TUNING, exact=True)) == exact
        assert list(diff_backups(second, first, tuning=TUNING, exact=True)) == exact
        assert list(diff_device(first, device, tuning=TUNING, progress=silent, exact=True)) == exact
        for found in (
            list(diff_backups(first, second, tuning=TUNING)),
            list(diff_device(first, device, tuning=TUNING, progress=silent)),
        ):
            if not len(right) % CHUNK or len(left) == len(right):
                assert found == differing(left, right, CHUNK)
            covered = {at for offset, length in found for at in range(offset, offset + length, 512)}
            assert all(at in covered for offset, length in exact for at in range(offset, offset + length, 512))


class CountingStore(FolderStore):
    """A folder that counts what is read of its packs."""

    ranges = 0

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        self.ranges += "/packs/" in key
        return super().get_range(key, offset, length)


def test_equal_segments_are_not_read_and_no_chunk_is(tmp_path: Path) -> None:
    rng = random.Random(1)
    left = image_of(40, 0, rng)
    right = change(left, rng, [17 * CHUNK])
    store = CountingStore(tmp_path)
    repository = create_repository(store, tuning=TUNING)
    one, other = back_up(repository, left), back_up(repository, right)
    with (
        repository.image(one.volume, one.backup) as first,
        repository.image(other.volume, other.backup) as second,
    ):
        store.ranges = 0
        assert list(diff_backups(first, second, tuning=TUNING)) == [(17 * CHUNK, CHUNK)]
        assert store.ranges == 2  # the changed segment, of both


@pytest.mark.parametrize(("chunk", "slots"), [(2 * CHUNK, 4), (CHUNK, 8)])
def test_backups_that_are_cut_otherwise_are_compared(tmp_path: Path, chunk: int, slots: int) -> None:
    rng = random.Random(2)
    left = image_of(20, 300, rng)
    right = change(left, rng, [3 * CHUNK + 9000, 15 * CHUNK])
    repository = make(tmp_path)
    other_cut = make(tmp_path, Tuning(threads=2, chunk_size=chunk, segment_slots=slots))
    one, other = back_up(repository, left), back_up(other_cut, right, VOLUMES[1])
    with (
        repository.image(one.volume, one.backup) as first,
        repository.image(other.volume, other.backup) as second,
    ):
        assert isinstance(second, CachedImage)
        unit = FINE if chunk != CHUNK else CHUNK
        assert list(diff_backups(first, second, tuning=TUNING)) == differing(left, right, unit)


def test_backups_whose_digests_mean_other_things_are_compared_by_their_bytes(tmp_path: Path) -> None:
    rng = random.Random(6)
    left = image_of(6, 0, rng)
    right = change(left, rng, [2 * CHUNK])
    store = FolderStore(tmp_path / "sealed")
    sealed = create_repository(store, KeyFile(b"k" * 32), tuning=TUNING, hardness=Hardness(64, 1, 1))
    repository = make(tmp_path / "plain")
    one, other = back_up(repository, left), back_up(sealed, right)
    with repository.image(one.volume, one.backup) as first, sealed.image(other.volume, other.backup) as second:
        assert list(diff_backups(first, second, tuning=TUNING)) == differing(left, right, FINE)


def test_the_last_whole_chunk_of_a_shorter_device_is_told_whole(tmp_path: Path) -> None:
    image = random.Random(4).randbytes(2 * CHUNK)
    made = back_up(make(tmp_path / "store"), image)
    (tmp_path / "file").write_bytes(b"new" + image[3:CHUNK])
    with (
        make(tmp_path / "store").image(made.volume, made.backup) as left,
        open_device(str(tmp_path / "file")) as device,
    ):
        assert list(diff_device(left, device, tuning=TUNING, progress=silent)) == [(0, 2 * CHUNK)]


def test_a_device_that_ends_with_zeros_within_a_chunk_is_compared_there(tmp_path: Path) -> None:
    image = random.Random(3).randbytes(2 * CHUNK)
    made = back_up(make(tmp_path / "store"), image)
    (tmp_path / "file").write_bytes(image[:CHUNK] + bytes(8192))
    with (
        make(tmp_path / "store").image(made.volume, made.backup) as left,
        open_device(str(tmp_path / "file")) as device,
    ):
        for exact in (False, True):
            found = list(diff_device(left, device, tuning=TUNING, progress=silent, exact=exact))
            assert found == [(CHUNK, CHUNK)]
