"""Random lives of two volumes that share data, against plain copies: written, discarded, resized, backed up in every
way, deleted, pruned, scrubbed, damaged and repaired, and restored in every way.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from drystone.backup.collecting.choice import Limits
from drystone.backup.collecting.prune import Wish
from drystone.backup.collecting.retention import Policy
from drystone.backup.format.keys import PACKS
from drystone.backup.format.slot import Hardness, Passphrase
from drystone.backup.pipeline import silent
from drystone.backup.reading.entries import read_entry
from drystone.backup.reading.locate import Locator
from drystone.backup.reading.restore import restore_backup
from drystone.backup.repository import BackupRequest, Repository, create_repository, open_repository
from drystone.backup.state.generations import read_state
from drystone.backup.tuning import Tuning
from drystone.base.errors import DamagedError
from drystone.testing.repositories import left_over, read_back, sweep
from drystone.testing.sources import MemorySource, MemoryTarget
from drystone.testing.stores import MemoryStore

CHUNK = 65536
MOST = 22 * CHUNK
TUNING = Tuning(chunk_size=CHUNK, segment_slots=4, pack=2 * CHUNK, threads=2)
VOLUMES = ("11111111-1111-4111-8111-111111111111", "11111111-1111-4111-8111-111111111110")
SECRET = Passphrase(b"walls of stone")
UNTOUCHED = 0xAA


class Clock:
    """Seven hours a look: several backups a day, and some days in a life."""

    def __init__(self) -> None:
        self._now = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        self._now += timedelta(hours=7)
        return self._now

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)


@cache
def empty_repository(*, encrypted: bool) -> dict[str, bytes]:
    store = MemoryStore()
    hardness = Hardness(memory=64, iterations=1, lanes=1)
    create_repository(store, SECRET if encrypted else None, hardness=hardness)
    return store.objects


@dataclass
class Volume:
    """An image, its changes since the last backup, and what each backup must restore to."""

    name: str
    image: bytearray
    changed: list[tuple[int, int]] = field(default_factory=list)
    base: str = ""
    copies: dict[str, bytes] = field(default_factory=dict)

    def write(self, offset: int, length: int, seed: int) -> None:
        """Noise that repeats with every chunk; zeros (a discard) for seed 0."""
        begin = offset % len(self.image)
        end = min(len(self.image), begin + length)
        tile = bytes(CHUNK) if seed == 0 else blake3(bytes([seed])).digest(CHUNK)
        data = (tile * ((end - begin) // CHUNK + 2))[begin % CHUNK :][: end - begin]
        self.image[begin:end] = data
        self.changed.append((begin, end - begin))

    def resize(self, size: int) -> None:
        """Cut, or longer by zeros."""
        self.image = self.image[:size] + bytes(max(0, size - len(self.image)))
        self.changed = [(0, size)]

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


class Life:
    """A repository and what it must hold."""

    def __init__(self, size: int, *, encrypted: bool) -> None:
        self.store = MemoryStore()
        self.store.objects.update(empty_repository(encrypted=encrypted))
        self.repository: Repository = open_repository(
            self.store, SECRET if encrypted else None, tuning=TUNING, clock=Clock()
        )
        self.volumes = [Volume(name, bytearray(size)) for name in VOLUMES]
        self.folder = Path()

    def back_up(self, volume: Volume, how: int) -> None:
        """0: changes as they are told; 1: all, compared with the base; 2: without a base; 3: stored anew."""
        base = volume.base if volume.base in volume.copies and how < 2 else ""
        told = how == 0 and bool(base) and len(volume.copies[base]) == len(volume.image)
        source = MemorySource(volume.image, volume.extents() if told else None)
        request = BackupRequest(volume.name, "s", base, anew=how == 3)
        made = self.repository.create(source, request)
        volume.copies[made.backup] = bytes(volume.image)
        volume.base = made.backup
        volume.changed.clear()

    def delete(self, volume: Volume, which: int) -> None:
        if volume.copies:
            victim = sorted(volume.copies)[which % len(volume.copies)]
            self.repository.delete(volume.name, victim)
            del volume.copies[victim]

    def prune(self, volume: Volume, how: int) -> None:
        if not volume.copies:
            return
        policy = [Policy(), Policy(last=2), Policy(daily=2), Policy(last=1, weekly=2), Policy(hourly=3)][how % 5]
        limits = Limits(max_unused=[0, 0.3, 1][how % 3])
        order = [each.backup for each in self.repository.list(volume.name)]
        pruned = self.repository.prune(Wish(policy, limits, volume.name))
        assert not pruned.damages
        gone = {each.backup.backup for each in pruned.plan.decisions if not each.kept}
        assert order[-1] not in gone, "the newest is always kept"
        volume.copies = {backup: copy for backup, copy in volume.copies.items() if backup not in gone}

    def restore(self, volume: Volume, which: int, seed: int) -> None:
        """To a new file, and in place over another image of that size."""
        if not volume.copies:
            return
        backup = sorted(volume.copies)[which % len(volume.copies)]
        copy = volume.copies[backup]
        path = self.folder / f"restored-{len(copy)}"
        path.unlink(missing_ok=True)
        assert self.repository.restore(volume.name, backup, str(path)) == []
        assert path.read_bytes() == copy
        other = bytearray(copy)
        begin = which % len(other)
        other[begin : begin + seed * CHUNK] = blake3(bytes([seed])).digest(len(other[begin : begin + seed * CHUNK]))
        path.write_bytes(other)
        done = self.repository.restore_in_place(volume.name, backup, str(path))
        assert path.read_bytes() == copy
        assert done.written + done.zeroed <= (seed + 1) * CHUNK, "only what differs is written"

    def damage(self, volume: Volume, which: int, seed: int) -> None:
        """Damage a pack: all that is lost is told, and nothing else is; then mend it from a volume's image."""
        keys = sorted(key for key in self.store.objects if key.startswith(PACKS))
        if not keys:
            return
        key = keys[which % len(keys)]
        data = self.store.objects[key]
        at = (which * 7919 + seed) % len(data)
        if seed == 0:
            del self.store.objects[key]
        else:
            self.store.objects[key] = data[:at] + bytes([data[at] ^ 1 << seed % 8]) + data[at + 1 :]
        self.check_past_damage()
        scrubbed = self.repository.scrub(source=MemorySource(volume.image))
        lost = {(hit.volume, hit.backup) for loss in scrubbed.left.losses if not loss.mended for hit in loss.hits}
        for each in self.volumes:
            for backup, copy in list(each.copies.items()):
                if (each.name, backup) in lost:
                    assert each.name != volume.name or copy != bytes(volume.image), "the source has all of it"
                    self.repository.delete(each.name, backup)
                    del each.copies[backup]
        self.check()
        self.repository.prune(Wish(Policy(), Limits(max_unused=1)))
        assert not self.repository.scrub().found.damaged

    def check_past_damage(self) -> None:
        """A restore that goes on past damage leaves alone what it names, and the rest is right."""
        vault = self.repository.vault
        locator = Locator(vault, read_state(vault))
        for volume in self.volumes:
            for backup, copy in volume.copies.items():
                manifest = read_entry(locator, volume.name, backup)
                target = MemoryTarget(bytes([UNTOUCHED]) * len(copy))
                damages = restore_backup(locator, manifest, target, tuning=TUNING, progress=silent, skip_damaged=True)
                wanted = bytearray(copy)
                for each in damages:
                    wanted[each.offset : each.offset + each.length] = bytes([UNTOUCHED]) * each.length
                assert target.data == wanted
                try:
                    read_back(vault, volume.name, backup, TUNING)
                    whole = True
                except DamagedError:
                    whole = False
                assert whole == (not damages)

    def check(self) -> None:
        for volume in self.volumes:
            assert {each.backup for each in self.repository.list(volume.name)} == set(volume.copies)
            for backup, copy in volume.copies.items():
                self.repository.verify(volume.name, backup)
                assert read_back(self.repository.vault, volume.name, backup, TUNING) == copy


numbers = st.integers(0, 9)
lengths = st.sampled_from([1, 4096, CHUNK, 3 * CHUNK, 9 * CHUNK])
writes = st.tuples(st.just("write"), st.integers(0, 30 * CHUNK), lengths, st.integers(0, 3))
others = st.sampled_from(["backup", "backup", "delete", "prune", "restore", "scrub", "damage", "check"])
acts = st.tuples(others, st.integers(0, 999), st.just(0), st.integers(0, 5))
resizes = st.tuples(st.just("resize"), st.integers(1, MOST), st.just(0), st.just(0))
actions = st.lists(st.tuples(st.integers(0, 1), st.one_of(writes, writes, acts, acts, resizes)), max_size=25)


@settings(max_examples=40, deadline=None)
@given(actions, st.integers(1, MOST), st.booleans())
def test_every_backup_restores_to_its_copy(
    script: list[tuple[int, tuple[str, int, int, int]]], size: int, encrypted: bool
) -> None:
    life = Life(size, encrypted=encrypted)
    with tempfile.TemporaryDirectory() as folder:
        life.folder = Path(folder)
        for which, (action, first, second, third) in script:
            volume = life.volumes[which]
            if action == "write":
                volume.write(first, second, third)
            elif action == "resize":
                volume.resize(first)
            elif action == "backup":
                life.back_up(volume, first % 4)
            elif action == "scrub":
                assert not life.repository.scrub(repair=bool(third)).found.damaged
            elif action == "restore":
                life.restore(volume, first, third)
            elif action == "check":
                life.check()
            elif action == "delete":
                life.delete(volume, first)
            elif action == "prune":
                life.prune(volume, first)
            else:
                life.damage(volume, first, third)
        life.check()
    for volume in life.volumes:
        while volume.copies:
            life.delete(volume, 0)
    sweep(life.repository)
    assert left_over(life.store) == []
