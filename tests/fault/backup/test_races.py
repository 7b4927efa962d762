"""Writers, collectors and others on one store, their store operations interleaved by a seed: killed anywhere, taken
for dead though they live, with requests that arrive after their process is gone.

It is the whole engine that runs, without its threads (testing/serial.py). DRYSTONE_SEED=n repeats a run of that seed,
or begins with it; DRYSTONE_RUNS=n makes so many.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from unittest.mock import patch

import msgspec
import pytest

from drystone.backup.collecting.choice import Limits
from drystone.backup.collecting.delete import delete_backups
from drystone.backup.collecting.prune import Wish, prune
from drystone.backup.collecting.retention import Policy
from drystone.backup.collecting.scrubbing import scrub
from drystone.backup.pipeline import silent
from drystone.backup.state import operations
from drystone.backup.state.document import Entry
from drystone.backup.state.generations import KEPT, change_state, read_state
from drystone.backup.state.operations import Operation, reading
from drystone.backup.tuning import Tuning
from drystone.backup.vault import Vault
from drystone.backup.writing.create import BackupRequest, create_backup
from drystone.base.clock import SystemClock
from drystone.base.errors import DrystoneError
from drystone.base.names import new_uuid
from drystone.store import Store
from drystone.testing.backup_world import CHUNK, OTHER, BackupWorld, noise, with_chunk
from drystone.testing.repositories import collect_garbage, left_over, read_back
from drystone.testing.scheduled import Fate, Process
from drystone.testing.serial import serial
from drystone.testing.sources import MemorySource

TUNING = Tuning(chunk_size=CHUNK, segment_slots=4, pack=3 * CHUNK, threads=1, checkpoint=2 * CHUNK, seed=1)
CHUNKS = 10
POOL = [bytes(CHUNK), *(noise(1000 + number, 1) for number in range(24))]
Name = tuple[str, str]


@cache
def beginning(*, encrypted: bool) -> BackupWorld:
    """Three backups of a volume and one of another, which share some of their chunks."""
    with serial(-1):
        world = BackupWorld(encrypted=encrypted)
        world.tuning = TUNING
        image = b"".join(POOL[1 : CHUNKS + 1])
        first = world.back_up(image)
        image = with_chunk(image, 1, POOL[12] + POOL[13])
        second = world.back_up(image, first, [(1, 2)])
        world.back_up(b"".join(POOL[5 : CHUNKS + 5]), volume=OTHER)
        world.back_up(with_chunk(image, 6, POOL[14]), second, [(6, 1)])
    return world


@dataclass
class Run:
    """One seed's run. `condemned`: backups that somebody wanted gone. `acknowledged`: those whose making returned."""

    world: BackupWorld
    rng: random.Random
    careful: bool
    images: dict[Name, bytes] = field(default_factory=dict)
    condemned: set[Name] = field(default_factory=set)
    acknowledged: set[Name] = field(default_factory=set)
    late: list[Callable[[], object]] = field(default_factory=list)
    processes: list[tuple[str, Process]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    def begin(self, kind: str) -> None:
        """Start a process."""
        act = WORK[kind]
        seed = self.rng.getrandbits(32)
        process = Process(self.world.store, lambda store: act(self, store, random.Random(seed)), self.late)
        self.processes.append((kind, process))
        self.log.append(f"{len(self.processes) - 1} begins: {kind}")
        process.start()

    def step(self) -> None:
        """One thing happens."""
        living = [at for at, (_, process) in enumerate(self.processes) if not process.ended]
        chance = self.rng.random()
        if not living or (chance < 0.06 and len(self.processes) < 9):
            self.begin(self.rng.choice(list(WORK)))
        elif chance < 0.09 and self.late:
            self.late.pop(self.rng.randrange(len(self.late)))()
        elif chance < 0.11 and not self.careful:
            at = self.rng.choice(living)
            fate = self.rng.choice([Fate.KILLED, Fate.KILLED_AFTER, Fate.LATE, Fate.LATE])
            self.log.append(f"{at} is killed: {fate.value}")
            self.processes[at][1].step(fate)
            self.processes[at][1].finish()
        else:
            process = self.processes[self.rng.choice(living)][1]
            for _ in range(self.rng.choice([1, 1, 2, 5, 12, 40])):
                process.step()

    def check(self) -> None:
        """All come to their ends; then what was promised is looked for."""
        for _, process in self.processes:
            process.finish()
        self.rng.shuffle(self.late)
        for request in self.late:
            request()
        for number, (kind, process) in enumerate(self.processes):
            if process.error is not None and not process.killed:
                self.log.append(f"{number} {kind} failed: {process.error!r}")
                assert isinstance(process.error, DrystoneError), process.error
                if self.careful and not self.condemned:
                    raise process.error
        vault = self.world.vault
        state = read_state(vault)
        there = {(each.volume, each.backup) for each in state.backups}
        assert self.acknowledged <= there | self.condemned, "a backup that was acknowledged is gone"
        for name in there:
            assert read_back(vault, *name, TUNING) == self.images[name]
        found = scrub(vault, tuning=TUNING, clock=SystemClock()).found
        assert not found.damaged, found.to_document()
        prune(vault, Wish(Policy(), Limits(max_unused=0)), tuning=TUNING)
        assert {(each.volume, each.backup) for each in read_state(vault).backups} == there
        for name in there:
            assert read_back(vault, *name, TUNING) == self.images[name]
        delete_backups(vault, there, tuning=TUNING)
        collect_garbage(vault, tuning=TUNING)
        assert left_over(self.world.store) == []


def draw(rng: random.Random) -> bytes:
    return b"".join(rng.choice(POOL) for _ in range(CHUNKS))


def backups(vault: Vault) -> list[Entry]:
    return sorted(read_state(vault).backups, key=lambda each: (each.created, each.backup))


def make(run: Run, vault: Vault, image: bytes, source: MemorySource, volume: str, base: str) -> Name:
    name = (volume, new_uuid())
    run.images[name] = image
    request = BackupRequest(volume, "s", base, backup=name[1])
    create_backup(vault, source, request, tuning=TUNING, clock=run.world, progress=silent)
    run.acknowledged.add(name)
    return name


def write_whole(run: Run, store: Store, rng: random.Random) -> Name:
    """All is read, and compared with what is stored; of a source that is the same for everybody."""
    image = noise_free(rng.randrange(3))
    source = MemorySource(image, identity=f"whole {image[:1].hex()}")
    return make(run, run.world.vault_of(store), image, source, OTHER, "")


def noise_free(number: int) -> bytes:
    return draw(random.Random(number))


def write_change(run: Run, store: Store, rng: random.Random) -> Name | None:
    """Changes upon some backup."""
    vault = run.world.vault_of(store)
    entries = [each for each in backups(vault) if (each.volume, each.backup) in run.images]
    if not entries:
        return None
    base = rng.choice(entries[-2:])
    image = run.images[base.volume, base.backup]
    changed = sorted(rng.sample(range(CHUNKS), rng.randrange(0, 4)))
    for each in changed:
        image = with_chunk(image, each, rng.choice(POOL))
    told = [(each * CHUNK, CHUNK) for each in changed] if rng.random() < 0.7 else None
    return make(run, vault, image, MemorySource(image, told), base.volume, base.backup)


def delete(run: Run, store: Store, rng: random.Random) -> object:
    vault = run.world.vault_of(store)
    entries = backups(vault)
    if not entries:
        return None
    names = {(each.volume, each.backup) for each in rng.sample(entries, min(len(entries), rng.randrange(1, 3)))}
    run.condemned |= names
    return delete_backups(vault, names, tuning=TUNING)


def thin_out(run: Run, store: Store, rng: random.Random) -> object:
    return _prune(run, store, rng, force=False)


def force_out(run: Run, store: Store, rng: random.Random) -> object:
    return _prune(run, store, rng, force=not run.careful)


def _prune(run: Run, store: Store, rng: random.Random, *, force: bool) -> object:
    policy = Policy(last=rng.randrange(1, 4)) if rng.random() < 0.5 else Policy()
    limits = Limits(max_unused=rng.choice([0, 0, 0.3, 1]))
    return prune(
        run.world.vault_of(store), Wish(policy, limits), tuning=TUNING, force=force,
        show=lambda plan: run.condemned.update(
            (each.backup.volume, each.backup.backup) for each in plan.decisions if not each.kept
        ),
    )  # fmt: skip


def collect(run: Run, store: Store, rng: random.Random) -> object:
    return collect_garbage(run.world.vault_of(store), tuning=TUNING, force=not run.careful and rng.random() < 0.3)


def look_through(run: Run, store: Store, rng: random.Random) -> object:
    vault = run.world.vault_of(store)
    found = scrub(vault, tuning=TUNING, clock=SystemClock(), repair=rng.random() < 0.5).found
    assert not (run.careful and found.damaged), found.to_document()
    return found


def read(run: Run, store: Store, rng: random.Random) -> None:
    vault = run.world.vault_of(store)
    entries = backups(vault)
    if entries:
        entry = rng.choice(entries)
        with reading(vault, entry.volume, entry.backup):
            assert read_back(vault, entry.volume, entry.backup, TUNING) == run.images[entry.volume, entry.backup]


def count_on(run: Run, store: Store, _rng: random.Random) -> None:
    """Changes of the state that change nothing, so many that numbers are tidied away below those who stand still."""
    vault = run.world.vault_of(store)
    for _ in range(KEPT + 5):
        change_state(vault, msgspec.structs.replace)


WORK: dict[str, Callable[[Run, Store, random.Random], object]] = {
    "write whole": write_whole,
    "write whole too": write_whole,
    "write change": write_change,
    "write change too": write_change,
    "delete": delete,
    "prune": thin_out,
    "prune by force": force_out,
    "collect": collect,
    "scrub": look_through,
    "read": read,
    "count on": count_on,
}


def race(seed: int, *, encrypted: bool = False) -> None:
    """One run. Every third is careful: nobody is killed or taken for dead, and so nobody may fail."""
    begun = beginning(encrypted=encrypted)
    with serial(seed) as rng:
        world = begun.copy()
        run = Run(world, rng, careful=seed % 3 == 0, images=dict(begun.images))
        run.acknowledged |= begun.images.keys()
        doubt = rng.choice([0.0, 0.0, 0.02, 0.2])
        judge = operations.is_dead
        wrongly = random.Random(seed)

        def is_dead(key: str, operation: Operation) -> bool:
            return judge(key, operation) or (not run.careful and wrongly.random() < doubt)

        with patch.object(operations, "is_dead", is_dead):
            for _ in range(rng.randrange(20, 120)):
                run.step()
            for _, process in run.processes:
                process.finish()
        try:
            run.check()
        except BaseException:
            sys.stdout.write(f"DRYSTONE_SEED={seed} encrypted={encrypted}\n" + "\n".join(run.log) + "\n")
            raise


@pytest.mark.parametrize("encrypted", [False, True])
def test_nothing_that_was_acknowledged_is_lost(*, encrypted: bool) -> None:
    first = int(os.environ.get("DRYSTONE_SEED", "0"))
    for seed in range(first, first + int(os.environ.get("DRYSTONE_RUNS", "60"))):
        race(seed, encrypted=encrypted)
