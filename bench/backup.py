"""An incremental backup of 1% of a 4 GiB thin volume, and a full one, against restic on the same data in one guest.

    drystone lab run --memory 2G -- .venv/bin/python bench/backup.py

Ours backs the thin snapshot up by its delta. restic reads the same snapshot's device, in the same guest, to a
repository on the same tmpfs. Given a device's path it stores the node and no content, so --stdin is its only way to a
device; it then reads all of it each time, holes included. It splits, hashes, compresses (repository version 2, its
default) and deduplicates like ours, and encrypts, which this version of ours does not yet: some of its time is for
that, and the label says so. Its process start and key derivation are in its time; ours runs in this process.
The guest's memory holds everything, so 256 MiB of the 4 GiB are filled: a fuller volume would cost restic more
each time, and ours in the full backup.
It takes a minute and a half.
Prints measurements as bench/run.py wants them: wall time, and CPU time of the processes (user and system).
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pairs
from drystone.backup.repository import BackupRequest, Repository, create_repository
from drystone.backup.thin_source import ThinMap, ThinSource
from drystone.dvm.metadata_snapshot import POOL, held_metadata
from drystone.kernel import loop
from drystone.kernel.blockdev import open_device
from drystone.kernel.dm.abc import TableLine
from drystone.kernel.dm.device_mapper import KernelDeviceMapper
from drystone.kernel.dm.nodes import make_node, node_path, remove_node
from drystone.store.folder import FolderStore

VOLUME = "11111111-1111-4111-8111-111111111111"
SIZE = 4 << 30
"""Bytes of the volume."""
FILLED = 256 << 20
"""Bytes that are written to it, spread over all of it: half of them random, half text."""
BLOCK = 4096
"""Sectors of a pool block: 2 MiB, Convoy's own."""
CHANGED = SIZE // 100
PAIRS = 3
MIB = 1 << 20


@dataclass
class Volume:
    """A thin volume and its snapshots in a pool."""

    dm: KernelDeviceMapper
    metadata: str

    def activate(self, device: int, name: str) -> str:
        """Make the device there; its path."""
        self.dm.create(name)
        self.dm.load(name, [TableLine(0, SIZE // 512, "thin", f"{self.dm.info('bench-pool').number} {device}")])
        make_node(name, self.dm.resume(name).number)
        return node_path(name)

    def snapshot(self, device: int) -> str:
        """Take a snapshot; its path."""
        self.dm.suspend("bench-volume")
        self.dm.message("bench-pool", f"create_snap {device} 0")
        self.dm.resume("bench-volume")
        return self.activate(device, f"bench-snapshot{device}")


def content(rng: random.Random) -> bytes:
    """A MiB: random, or text that shrinks to a third or so."""
    if rng.random() < 0.5:
        return rng.randbytes(MIB)
    words = [b"%x" % rng.getrandbits(24) for _ in range(500)]
    return b" ".join(rng.choices(words, k=MIB // 5))[:MIB].ljust(MIB)


def write(offsets: list[int], rng: random.Random) -> None:
    """A MiB at each offset."""
    with open_device(node_path("bench-volume"), write=True) as device:
        for offset in offsets:
            device.pwrite(offset, content(rng))
        device.flush()


@contextmanager
def pool(folder: Path) -> Iterator[Volume]:
    """A pool on two loop devices below `folder`, with the volume in it."""
    sizes = {"metadata": 32 * MIB, "data": 4 * FILLED}
    loops: list[str] = []
    for name, size in sizes.items():
        with (folder / name).open("wb") as file:
            file.truncate(size)
        loops.append(loop.attach(str(folder / name)).path)
    with KernelDeviceMapper() as dm:
        dm.create("bench-pool")
        sectors = sizes["data"] // 512
        params = f"{loops[0]} {loops[1]} {BLOCK} 0 1 skip_block_zeroing"
        dm.load("bench-pool", [TableLine(0, sectors, "thin-pool", params)])
        dm.resume("bench-pool")
        dm.message("bench-pool", "create_thin 0")
        volume = Volume(dm, loops[0])
        volume.activate(0, "bench-volume")
        try:
            yield volume
        finally:
            for entry in dm.list_devices():
                if entry.name.startswith("bench-") and entry.name != "bench-pool":
                    dm.remove(entry.name)
                    remove_node(entry.name)
            dm.remove("bench-pool")
            for path in loops:
                loop.detach(path)


def cpu_seconds() -> float:
    """User and system time of this process and of its children that have ended."""
    total = 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = resource.getrusage(who)
        total += usage.ru_utime + usage.ru_stime
    return total


def measured(action: Callable[[], None]) -> tuple[float, float]:
    """(wall seconds, CPU seconds) of an action."""
    cpu, wall = cpu_seconds(), time.perf_counter()
    action()
    return time.perf_counter() - wall, cpu_seconds() - cpu


class Ours:
    """The engine, in this process, to a repository in a folder."""

    def __init__(self, volume: Volume, folder: Path) -> None:
        self._volume = volume
        self._repository: Repository = create_repository(FolderStore(folder))
        self._last = ("", 0)
        self.stored = 0

    def back_up(self, path: str, device: int) -> None:
        """Full when it is the first, else what differs from the last one's snapshot."""
        base, base_device = self._last
        with held_metadata(self._volume.dm, "bench-pool", POOL) as held_root:
            thin_map = ThinMap(self._volume.metadata, held_root, device, base_device if base else None)
            with ThinSource(path, thin_map) as source:
                made = self._repository.create(source, BackupRequest(VOLUME, "bench", base))
        self._last = (made.backup, device)
        self.stored = made.stored


class Restic:
    """restic, a process a backup, to a repository in a folder."""

    def __init__(self, folder: Path) -> None:
        cache = folder / "cache"
        self._environment = {
            **os.environ, "RESTIC_PASSWORD": "bench", "RESTIC_REPOSITORY": str(folder / "repository"),
            "RESTIC_CACHE_DIR": str(cache), "TMPDIR": str(folder),
        }  # fmt: skip
        self._run(["init", "--repository-version", "2"])

    def _run(self, arguments: list[str], source: str = os.devnull) -> None:
        with Path(source).open("rb") as file:
            subprocess.run(
                ["restic", "--quiet", *arguments], env=self._environment, stdin=file, stdout=sys.stderr, check=True
            )

    def back_up(self, path: str) -> None:
        """All of the device through standard input, as restic does with devices."""
        self._run(["backup", "--stdin", "--stdin-filename", "volume", "--host", "bench"], path)


def run(folder: Path) -> list[dict[str, object]]:
    """The measurements, in a folder with 1 GiB of room."""
    rng = random.Random(1)
    version = subprocess.run(["restic", "version"], check=True, capture_output=True, text=True).stdout.split()[1]
    peer = f"restic {version} --stdin, encrypting"
    walls: dict[str, list[tuple[float, float]]] = {"full": [], "incremental of 1%": []}
    cpus: dict[str, list[tuple[float, float]]] = {"full": [], "incremental of 1%": []}
    with pool(folder) as volume:
        step = SIZE // (FILLED // MIB)
        write([number * step for number in range(FILLED // MIB)], rng)
        (folder / "restic").mkdir()
        ours, restic = Ours(volume, folder / "ours"), Restic(folder / "restic")
        for device in range(1, PAIRS + 2):
            what = "full" if device == 1 else "incremental of 1%"
            if device > 1:
                write([rng.randrange(FILLED // MIB) * step for _ in range(CHANGED // MIB)], rng)
            path = volume.snapshot(device)
            mine = measured(partial(ours.back_up, path, device))
            theirs = measured(partial(restic.back_up, path))
            walls[what].append((mine[0], theirs[0]))
            cpus[what].append((mine[1], theirs[1]))
            print(f"{what}: {mine} against {theirs}, stored {ours.stored >> 20} MiB", file=sys.stderr, flush=True)
    return [
        pairs.summarise(f"backup of 4 GiB, {what}, {kind}", peer, table[what])
        for what in walls
        for kind, table in (("wall", walls), ("CPU", cpus))
    ]


def main() -> int:
    """Print the measurements as JSON."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "/tmp/drystone-bench")  # the guest's own memory
    folder.mkdir(parents=True, exist_ok=True)
    try:
        print(json.dumps(run(folder)))
    finally:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
