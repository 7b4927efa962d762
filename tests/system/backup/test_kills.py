"""Real processes make, go on with, prune, delete, scrub, repair and restore backups, and are killed at random points:
200 of them.

What was acknowledged stays whole, whatever is cut off. The seed is printed; DRYSTONE_SEED repeats a run.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from drystone.backup.collecting.choice import Limits
from drystone.backup.collecting.prune import Wish
from drystone.backup.collecting.prune import prune as prune_repository
from drystone.backup.collecting.retention import Policy
from drystone.backup.format.slot import KeyFile
from drystone.backup.repository import BackupRequest, Repository, create_repository, open_repository
from drystone.backup.source import DeviceSource
from drystone.backup.tuning import Tuning
from drystone.store.folder import FolderStore

KILLS = 200
CHUNK = 1 << 16
SIZE = 96 * CHUNK
TUNING = Tuning(chunk_size=CHUNK, segment_slots=8, pack=4 * CHUNK, threads=2, checkpoint=8 * CHUNK)
VOLUME = "11111111-1111-4111-8111-111111111111"
KEY = KeyFile(bytes(range(32)))
KEPT = 3


@dataclass(frozen=True)
class Place:
    """Where everything is."""

    repository: Path
    image: Path
    restored: Path

    def open(self) -> Repository:
        """The repository."""
        return open_repository(FolderStore(self.repository), KEY, tuning=TUNING)


def create(place: Place) -> str:
    repository = place.open()
    base = repository.find_base(VOLUME, damaged=_raise)
    with DeviceSource(place.image) as source:
        return repository.create(source, BackupRequest(VOLUME, "image", base.backup if base else "")).backup


def _raise(error: Exception) -> None:
    raise error


def prune(place: Place) -> str:
    # Small packs and little that may be unused: there is much to rewrite.
    prune_repository(place.open().vault, Wish(Policy(last=KEPT), Limits(max_unused=0.02)), tuning=TUNING)
    return "pruned"


def restore(place: Place) -> str:
    repository = place.open()
    newest = repository.list(VOLUME)[-1]
    repository.restore(VOLUME, newest.backup, str(place.restored), overwrite=True)
    return newest.backup


def delete(place: Place) -> str:
    repository = place.open()
    backups = repository.list(VOLUME)
    if len(backups) > KEPT:
        repository.delete(VOLUME, backups[0].backup)
    return "deleted"


def scrub(place: Place) -> str:
    with DeviceSource(place.image) as source:
        found = place.open().scrub(source=source)
    return f"scrubbed {found.chunks}"


ACTIONS: dict[str, Callable[[Place], str]] = {
    "create": create, "prune": prune, "restore": restore, "delete": delete, "scrub": scrub,
}  # fmt: skip


def child(name: str, place: Place, pipe: Connection) -> None:
    """Run in a process of its own: say when it begins, and what came of it."""
    pipe.send("ready")
    pipe.send(ACTIONS[name](place))


@dataclass
class Life:
    """A repository's life: what was acknowledged, and what may have been."""

    place: Place
    rng: random.Random
    image: bytearray
    images: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    killed: dict[str, int] = field(default_factory=dict)
    healing: tuple[Path, bytes] | None = None

    def write(self) -> None:
        """Change some of the image, noise and zeros."""
        for _ in range(self.rng.randrange(1, 20)):
            at = self.rng.randrange(SIZE)
            length = min(SIZE - at, self.rng.randrange(1, 3 * CHUNK))
            self.image[at : at + length] = self.rng.randbytes(length) if self.rng.random() < 0.8 else bytes(length)
        self.place.image.write_bytes(self.image)

    def run(self, name: str, *, kill: bool) -> None:
        """Run an action in a process, to its end or until it is killed at a random point."""
        mine, its = multiprocessing.Pipe()
        process = multiprocessing.get_context("forkserver").Process(target=child, args=(name, self.place, its))
        process.start()
        its.close()
        assert mine.recv() == "ready"
        begun = time.monotonic()
        if kill:
            time.sleep(self.rng.uniform(0, self.seconds[name]))
            assert process.pid is not None
            with contextlib.suppress(ProcessLookupError):  # it had ended
                os.kill(process.pid, signal.SIGKILL)
        try:
            answer = mine.recv()
        except EOFError:
            answer = ""
        process.join(60)
        mine.close()
        if not kill:
            assert answer, f"{name} failed"
            assert process.exitcode == 0
            self.seconds[name] = min(self.seconds.get(name, 60), time.monotonic() - begun)
        elif process.exitcode == -signal.SIGKILL:
            self.killed[name] = self.killed.get(name, 0) + 1
        self.look(name, answer)

    def run_damaged(self, *, kill: bool) -> None:
        """Run a scrub that has something to repair. What it did not remove is as it was again afterwards."""
        packs = sorted((self.place.repository / "drystone-backup" / "packs").glob("*/*"))
        pack = self.rng.choice(packs)
        data = pack.read_bytes()
        at = self.rng.randrange(len(data))
        pack.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        self.healing = (pack, data)
        self.run("scrub", kill=kill)

    def heal(self) -> None:
        """Undo the damage; a pack that was removed stays so."""
        if self.healing is not None and self.healing[0].exists():
            self.healing[0].write_bytes(self.healing[1])
        self.healing = None

    def look(self, name: str, answer: str) -> None:
        """Everything that was acknowledged and not pruned is there and whole; so is everything that is listed."""
        self.heal()
        now = sha256(self.image).hexdigest()
        if name == "create" and answer:
            self.images[answer] = now
        repository = self.place.open()
        listed = [each.backup for each in repository.list(VOLUME)]
        acknowledged = list(self.images)
        lost = [each for each in acknowledged if each not in listed]
        assert name == "prune" or not lost or (name == "delete" and lost == acknowledged[:1]), f"lost at a {name}"
        assert not set(lost) & set(acknowledged[-KEPT:]), "a prune took what its policy keeps"
        for each in listed:
            # One that was killed may have taken effect without anybody being told.
            self.images.setdefault(each, now)
        self.images = {each: self.images[each] for each in listed}
        for each in {listed[-1], self.rng.choice(listed)}:
            with repository.image(VOLUME, each) as image:
                assert sha256(image.read(0, SIZE)).hexdigest() == self.images[each], f"{each} after {name}"


@pytest.fixture
def life(tmp_path: Path) -> Life:
    """A repository with some backups, and how long each action takes."""
    seed = int(os.environ.get("DRYSTONE_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
    sys.stdout.write(f"DRYSTONE_SEED={seed}\n")
    place = Place(tmp_path / "repository", tmp_path / "image", tmp_path / "restored")
    place.repository.mkdir()
    create_repository(FolderStore(place.repository), KEY, tuning=TUNING)
    rng = random.Random(seed)
    multiprocessing.get_context("forkserver").set_forkserver_preload([__name__])
    found = Life(place, rng, bytearray(rng.randbytes(SIZE)))
    for _ in range(2):
        for name in ACTIONS:
            found.write()
            found.run(name, kill=False)
    return found


def test_what_was_acknowledged_survives_200_kills(life: Life) -> None:
    for _ in range(4 * KILLS):
        if sum(life.killed.values()) >= KILLS:
            break
        name = life.rng.choice(list(ACTIONS))
        # Without a change of the image, a backup goes on where a killed one stopped.
        if life.rng.random() < 0.7:
            life.write()
        if name == "scrub" and life.rng.random() < 0.7:
            life.run_damaged(kill=True)
        else:
            life.run(name, kill=True)
        if life.rng.random() < 0.2:
            life.run(life.rng.choice(list(ACTIONS)), kill=False)
    assert sum(life.killed.values()) >= KILLS, life.killed
    assert set(life.killed) == set(ACTIONS)
    for each, wanted in life.images.items():
        with life.place.open().image(VOLUME, each) as image:
            assert sha256(image.read(0, SIZE)).hexdigest() == wanted
    # What the killed ones left is found and goes.
    life.run("prune", kill=False)
    life.run("prune", kill=False)
    assert not list((life.place.repository / "drystone-backup" / "open").glob("*"))
    repository = life.place.open()
    for backup in repository.list(VOLUME):
        repository.delete(VOLUME, backup.backup)
    prune_repository(repository.vault, Wish(Policy(), Limits()), tuning=TUNING)
    left = {
        each.relative_to(life.place.repository).parts[1] for each in life.place.repository.rglob("*") if each.is_file()
    }
    assert left <= {"repository", "keys", "state"}
