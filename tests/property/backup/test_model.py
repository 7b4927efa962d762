"""Random writes, backups, deletes and restores against plain copies."""

from __future__ import annotations

from dataclasses import dataclass, field

from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from drystone.backup.format.keys import REPOSITORY
from drystone.backup.objects import read_manifest
from drystone.backup.pipeline import silent
from drystone.backup.reading.restore import restore_backup
from drystone.backup.repository import BackupRequest, Repository, create_repository
from drystone.backup.tuning import Tuning
from drystone.testing.sources import MemorySource, MemoryTarget
from drystone.testing.stores import MemoryStore

CHUNK = 65536
TUNING = Tuning(chunk_size=CHUNK, segment_slots=4, pack=2 * CHUNK, threads=2)
VOLUMES = ("11111111-1111-4111-8111-111111111111", "11111111-1111-4111-8111-111111111110")


@dataclass
class Volume:
    """An image, its changes since the last backup, and what each backup must restore to."""

    name: str
    image: bytearray
    changed: list[tuple[int, int]] = field(default_factory=list)
    base: str = ""
    copies: dict[str, bytes] = field(default_factory=dict)

    def write(self, offset: int, length: int, seed: int) -> None:
        """Noise, or zeros for seed 0."""
        begin = offset % len(self.image)
        end = min(len(self.image), begin + length)
        data = bytes(end - begin) if seed == 0 else blake3(bytes([seed])).digest(end - begin)
        self.image[begin:end] = data
        self.changed.append((begin, end - begin))

    def extents(self) -> list[tuple[int, int]]:
        """The changes as a source tells them: ascending, not overlapping."""
        merged: list[tuple[int, int]] = []
        for begin, length in sorted(self.changed):
            if merged and begin <= merged[-1][0] + merged[-1][1]:
                first, size = merged.pop()
                merged.append((first, max(size, begin + length - first)))
            else:
                merged.append((begin, length))
        return merged


def back_up(repository: Repository, volume: Volume, how: int) -> None:
    base = volume.base if volume.base in volume.copies else ""
    relative = how == 0 and bool(base)
    source = MemorySource(volume.image, volume.extents() if relative else None)
    made = repository.create(source, BackupRequest(volume.name, "s", base if how < 2 else ""))
    volume.copies[made.backup] = bytes(volume.image)
    volume.base = made.backup
    volume.changed.clear()


def delete(repository: Repository, volume: Volume, which: int) -> None:
    if volume.copies:
        victim = sorted(volume.copies)[which % len(volume.copies)]
        repository.delete(volume.name, victim)
        del volume.copies[victim]


def check(repository: Repository, volumes: list[Volume]) -> None:
    for volume in volumes:
        assert {each.backup for each in repository.list(volume.name)} == set(volume.copies)
        for backup, copy in volume.copies.items():
            repository.verify(volume.name, backup)
            target = MemoryTarget(b"\xaa" * len(copy))
            manifest = read_manifest(repository.store, volume.name, backup)
            restore_backup(repository.store, manifest, target, tuning=TUNING, progress=silent)
            assert bytes(target.data) == copy


writes = st.tuples(
    st.just("write"), st.integers(0, 30 * CHUNK), st.sampled_from([1, 4096, CHUNK, 3 * CHUNK]), st.integers(0, 3)
)
backups = st.tuples(st.just("backup"), st.integers(0, 2), st.just(0), st.just(0))
deletes = st.tuples(st.just("delete"), st.integers(0, 9), st.just(0), st.just(0))
checks = st.tuples(st.just("check"), st.just(0), st.just(0), st.just(0))
actions = st.lists(st.tuples(st.integers(0, 1), st.one_of(writes, writes, backups, deletes, checks)), max_size=25)


@settings(max_examples=40, deadline=None)
@given(actions, st.integers(1, 22 * CHUNK))
def test_every_backup_restores_to_its_copy(script: list[tuple[int, tuple[str, int, int, int]]], size: int) -> None:
    store = MemoryStore()
    repository = create_repository(store, tuning=TUNING)
    volumes = [Volume(name, bytearray(size)) for name in VOLUMES]
    for which, (action, first, second, third) in script:
        volume = volumes[which]
        if action == "write":
            volume.write(first, second, third)
        elif action == "backup":
            back_up(repository, volume, first)
        elif action == "delete":
            delete(repository, volume, first)
        else:
            check(repository, volumes)
    check(repository, volumes)
    assert repository.sweep() == (0, 0), "nothing is left behind while all goes well"
    for volume in volumes:
        while volume.copies:
            delete(repository, volume, 0)
    assert list(store.objects) == [REPOSITORY]
