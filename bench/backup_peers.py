"""The life of a backup, whole processes, beside restic, borg and benji on the same image in one run.

    .venv/bin/python bench/backup_peers.py --folder /var/tmp/bench-backup --size 8G

The image: half of it random, a third text that shrinks, the rest empty. In turn each program makes a full backup,
another after 1% of the image has changed (in pieces of a MiB, all over it), restores to a new file, restores over a
file of which 1% differs, reads everything back to check it, and prunes to the last backup.
Ours, restic and borg encrypt; benji, whose digests are never keyed, is run without.
`ours, told` is our incremental with the list of what changed (benji takes one too; restic and borg read everything):
what a thin snapshot or an era device would tell. restic and borg cannot restore in place: they write the whole file.
Each repository is on the folder's file system; everything is in the page cache before it is read. One run a peer is a
few minutes; --runs makes it again. Printed: a table on stderr, the measurements as bench/run.py wants them on stdout.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import pairs

ROOT = Path(__file__).resolve().parent.parent
MIB = 1 << 20
STEPS = ("full", "incremental of 1%", "told of 1%", "restore", "restore over 1%", "check", "prune")
PASSPHRASE = "bench"


@dataclass(frozen=True)
class Cost:
    """What a step took: seconds of wall clock and of processor, and the most memory (bytes) of a process of it."""

    wall: float
    cpu: float
    memory: int


def run(command: list[str], environment: dict[str, str], folder: Path | None = None) -> tuple[Cost, str]:
    """Run a program to its end: its cost (all of its children's too) and what it printed.

    :raises SystemExit: it failed.
    """
    log = Path(environment["BENCH_LOG"])
    begun = time.perf_counter()
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=out)
        assert process.stdout is not None
        printed = process.stdout.read().decode(errors="replace")
        _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{log.read_text(errors='replace')}")
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss << 10), printed


class Program(ABC):
    """One way to make backups; `run` environments and folders are its own."""

    name: str

    def __init__(self, folder: Path, image: Path) -> None:
        self.folder = folder
        self.image = image
        self.repository = folder / "repository"
        folder.mkdir(parents=True)
        self.environment = {**os.environ, "HOME": str(folder), "BENCH_LOG": str(folder / "log")}
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def run(self, *command: str, folder: Path | None = None) -> tuple[Cost, str]:
        """Run a command of the program."""
        return run(list(command), self.environment, folder)

    @abstractmethod
    def prepare(self) -> None:
        """Make the repository."""

    @abstractmethod
    def create(self) -> Cost:
        """Back the image up."""

    def create_told(self, changed: list[tuple[int, int]]) -> Cost | None:
        """Back up what is said to have changed; None: it cannot."""
        del changed
        return None

    @abstractmethod
    def restore(self, target: Path) -> Cost:
        """Restore the newest backup to a file, which may be there with most of it right."""

    @abstractmethod
    def check(self) -> Cost:
        """Read all that is stored and check it."""

    @abstractmethod
    def prune(self) -> Cost:
        """Keep the newest backup only, and free the room."""


class Drystone(Program):
    """Ours."""

    name = "drystone"

    def prepare(self) -> None:
        self.environment["DRYSTONE_PASSPHRASE"] = PASSPHRASE
        self._url = ""

    def _drystone(self, *arguments: str) -> tuple[Cost, str]:
        return self.run(str(ROOT / ".venv/bin/drystone"), "backup", *arguments)

    def create(self) -> Cost:
        cost, printed = self._drystone("create", str(self.image), "--dest", str(self.repository))
        self._url = printed.strip()
        return cost

    def create_told(self, changed: list[tuple[int, int]]) -> Cost | None:
        told = self.folder / "changed.json"
        told.write_text(json.dumps([{"offset": begin, "length": length} for begin, length in changed]))
        dest, image = str(self.repository), str(self.image)
        cost, printed = self._drystone("create", image, "--dest", dest, "--base", self._url, "--changes", str(told))
        self._url = printed.strip()
        return cost

    def restore(self, target: Path) -> Cost:
        return self._drystone("restore", self._url, str(target), *(["--in-place"] if target.exists() else []))[0]

    def check(self) -> Cost:
        return self._drystone("scrub", str(self.repository))[0]

    def prune(self) -> Cost:
        return self._drystone("prune", str(self.repository), "--keep-last", "1", "--max-unused", "5%")[0]


class Restic(Program):
    """Debian's restic, repository version 2 (it compresses)."""

    name = "restic"

    def prepare(self) -> None:
        self.environment |= {
            "RESTIC_PASSWORD": PASSPHRASE,
            "RESTIC_REPOSITORY": str(self.repository),
            "TMPDIR": str(self.folder),
        }
        self._restic("init", "--repository-version", "2")

    def _restic(self, *arguments: str) -> Cost:
        return self.run("restic", "--quiet", *arguments)[0]

    def create(self) -> Cost:
        # A file whose time did not change would not be read at all.
        return self._restic("backup", "--host", "bench", str(self.image))

    def restore(self, target: Path) -> Cost:
        folder = self.folder / "restored"
        cost = self._restic("restore", "latest", "--target", str(folder))
        (folder / str(self.image).lstrip("/")).replace(target)
        shutil.rmtree(folder)
        return cost

    def check(self) -> Cost:
        return self._restic("check", "--read-data")

    def prune(self) -> Cost:
        return self._restic("forget", "--keep-last", "1", "--prune")


class Borg(Program):
    """Debian's borg with its defaults but for BLAKE2, which is its faster digest."""

    name = "borg"

    def prepare(self) -> None:
        self.environment |= {
            "BORG_PASSPHRASE": PASSPHRASE, "BORG_REPO": str(self.repository),
            "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes", "BORG_CHECK_I_KNOW_WHAT_I_AM_DOING": "YES",
        }  # fmt: skip
        self.run("borg", "init", "--encryption", "repokey-blake2")
        self._count = 0

    def create(self) -> Cost:
        self._count += 1
        return self.run("borg", "create", f"::b{self._count}", self.image.name, folder=self.image.parent)[0]

    def restore(self, target: Path) -> Cost:
        folder = self.folder / "restored"
        folder.mkdir()
        cost = self.run("borg", "extract", "--sparse", f"::b{self._count}", folder=folder)[0]
        (folder / self.image.name).replace(target)
        folder.rmdir()
        return cost

    def check(self) -> Cost:
        return self.run("borg", "check", "--verify-data")[0]

    def prune(self) -> Cost:
        first = self.run("borg", "prune", "--keep-last", "1")[0]
        second = self.run("borg", "compact", "--threshold", "5")[0]
        return Cost(first.wall + second.wall, first.cpu + second.cpu, max(first.memory, second.memory))


class Benji(Program):
    """benji from PyPI, with zstd at level 1; its program is what $BENJI names."""

    name = "benji"

    def prepare(self) -> None:
        self.repository.mkdir()
        config = {
            "configurationVersion": "1", "databaseEngine": f"sqlite:///{self.folder}/benji.sqlite",
            "defaultStorage": "s", "logFile": str(self.folder / "benji.log"), "processName": "benji",
            "storages": [{
                "name": "s", "storageId": 1, "module": "file",
                "configuration": {"path": str(self.repository), "activeTransforms": ["z"]},
            }],
            "transforms": [{"name": "z", "module": "zstd", "configuration": {"level": 1}}],
            "ios": [{"name": "file", "module": "file"}],
        }  # fmt: skip
        self._config = self.folder / "benji.yaml"
        self._config.write_text(json.dumps(config))  # JSON is YAML
        self._benji("database-init")
        self._version = ""

    def _benji(self, *arguments: str) -> tuple[Cost, str]:
        return self.run(os.environ["BENJI"], "-m", "-c", str(self._config), "--log-level", "ERROR", *arguments)

    def _back_up(self, *arguments: str) -> Cost:
        cost, printed = self._benji("backup", *arguments, f"file:{self.image}", "bench")
        self._version = json.loads(printed)["versions"][0]["uid"]
        return cost

    def create(self) -> Cost:
        return self._back_up()

    def create_told(self, changed: list[tuple[int, int]]) -> Cost | None:
        told = self.folder / "changed.json"
        hints = [{"offset": begin, "length": length, "exists": "true"} for begin, length in changed]
        told.write_text(json.dumps(hints))
        return self._back_up("--rbd-hints", str(told), "--base-version", self._version)

    def restore(self, target: Path) -> Cost:
        # With --sparse zeros are not written: right for a new file only.
        how = ["--force"] if target.exists() else ["--sparse"]
        return self._benji("restore", *how, self._version, f"file:{target}")[0]

    def check(self) -> Cost:
        return self._benji("deep-scrub", self._version)[0]

    def prune(self) -> Cost:
        first = self._benji("enforce", "latest1", "volume == 'bench'")[0]
        second = self._benji("cleanup", "--override-lock")[0]
        return Cost(first.wall + second.wall, first.cpu + second.cpu, max(first.memory, second.memory))


def text(words: NDArray[np.uint8], rng: np.random.Generator) -> bytes:
    """A MiB of words of eight letters, nowhere the same twice, that shrinks to some 30%."""
    return words[rng.integers(0, len(words), MIB // 8)].tobytes()


def make_image(path: Path, size: int, seed: int) -> None:
    """Half random, a third text, the rest empty, mixed in runs of 1 to 64 MiB."""
    rng = np.random.default_rng(seed)
    words = rng.integers(97, 123, (4096, 8), dtype=np.uint8)
    with path.open("wb") as file:
        file.truncate(size)
        at = 0
        while at < size:
            run_length = min(size - at, int(rng.integers(1, 65)) * MIB)
            kind = rng.random()
            for offset in range(at, at + run_length, MIB):
                if kind < 5 / 6:
                    file.seek(offset)
                    file.write(rng.bytes(MIB) if kind < 1 / 2 else text(words, rng))
            at += run_length


def change(path: Path, size: int, rng: random.Random) -> list[tuple[int, int]]:
    """Write 1% of the image anew, a MiB at a time; the ranges, ascending."""
    places = sorted(rng.sample(range(size // MIB), max(1, size // MIB // 100)))
    with path.open("r+b") as file:
        for place in places:
            file.seek(place * MIB)
            file.write(rng.randbytes(MIB))
    return [(place * MIB, MIB) for place in places]


def same(one: Path, other: Path) -> None:
    """:raises SystemExit: the files differ."""
    if subprocess.run(["cmp", str(one), str(other)], check=False).returncode:
        raise SystemExit(f"{other} is not what was backed up")


def life(program: Program, image: Path, size: int, seed: int) -> tuple[dict[str, Cost], dict[str, int]]:
    """All steps of one program on the image; their costs, and what was stored (bytes and objects) after three."""
    rng = random.Random(seed)
    program.prepare()
    costs = {"full": program.create()}
    stored = {"stored: full": used(program.repository)[0], "objects: full": used(program.repository)[1]}
    change(image, size, rng)
    costs["incremental of 1%"] = program.create()
    stored["stored: incremental"] = used(program.repository)[0]
    told = program.create_told(change(image, size, rng))
    if told is None:
        program.create()
    else:
        costs["told of 1%"] = told
    target = program.folder / "restored.img"
    costs["restore"] = program.restore(target)
    same(image, target)
    change(target, size, rng)
    costs["restore over 1%"] = program.restore(target)
    same(image, target)
    target.unlink()
    costs["check"] = program.check()
    costs["prune"] = program.prune()
    stored["stored: pruned"] = used(program.repository)[0]
    return costs, stored


def used(folder: Path) -> tuple[int, int]:
    """Bytes and files below a folder."""
    sizes = [each.stat().st_size for each in folder.rglob("*") if each.is_file()]
    return sum(sizes), len(sizes)


def measurements(table: dict[str, list[tuple[dict[str, Cost], dict[str, int]]]]) -> list[dict[str, object]]:
    """Every step of every peer beside ours."""
    found: list[dict[str, object]] = []
    ours = table["drystone"]
    for peer, lives in table.items():
        if peer == "drystone":
            continue
        for step in STEPS:
            # A program that cannot be told what changed reads everything: that is what it needs for the same news.
            theirs = step if step in lives[0][0] else "incremental of 1%"
            for what in ("wall", "cpu", "memory"):
                scale = MIB if what == "memory" else 1
                both = [
                    (getattr(mine[0][step], what) / scale, getattr(its[0][theirs], what) / scale)
                    for mine, its in zip(ours, lives, strict=True)
                ]
                row = pairs.summarise(f"backup, {step}: {what}", peer, both)
                found.append(row | ({"unit": "MiB"} if what == "memory" else {}))
        for what in ours[0][1]:
            scale = 1 if what.startswith("objects") else MIB
            both = [(mine[1][what] / scale, its[1][what] / scale) for mine, its in zip(ours, lives, strict=True)]
            row = pairs.summarise(f"backup, {what}", peer, both)
            found.append(row | {"unit": "" if scale == 1 else "MiB"})
    return found


def main() -> int:
    """Print the measurements as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp/drystone-bench-backup"))
    parser.add_argument("--size", default="8G", help="of the image: 512M, 8G")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--peers", default="restic,borg" + (",benji" if "BENJI" in os.environ else ""))
    options = parser.parse_args()
    size = int(options.size[:-1]) << {"M": 20, "G": 30}[options.size[-1]]
    programs = {each.name: each for each in (Drystone, Restic, Borg, Benji)}
    names = ["drystone", *filter(None, options.peers.split(","))]
    table: dict[str, list[tuple[dict[str, Cost], dict[str, int]]]] = {name: [] for name in names}
    options.folder.mkdir(parents=True)
    try:
        for number in range(options.runs):
            for name in names:
                image = options.folder / "image"
                make_image(image, size, number)
                own = options.folder / name
                costs, stored = life(programs[name](own, image), image, size, number)
                shutil.rmtree(own)
                table[name].append((costs, stored))
                for step, cost in costs.items():
                    line = f"{name:9} {step:18} {cost.wall:8.2f} s {cost.cpu:8.2f} s cpu {cost.memory >> 20:6} MiB"
                    print(line, file=sys.stderr, flush=True)
                print(f"{name:9} {stored}", file=sys.stderr, flush=True)
    finally:
        shutil.rmtree(options.folder)
    print(json.dumps(measurements(table)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
