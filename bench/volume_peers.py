"""Volumes of our daemon (driver devicemapper) against LVM2's thin volumes, in one guest, made one by one.

    drystone lab run --memory 2G -- .venv/bin/python bench/volume_peers.py [--volumes 10,100] [--client convoy,curl]

Each side has a thin pool of its own on loop devices, sparse files on a tmpfs, with blocks of 64 KiB that are zeroed
before use, as both have it by default. In turn: a volume is made with ext4 on it, until there are that many; then of
some volumes, spread over all, snapshots are taken; all is listed; snapshots and volumes are deleted. Ours
is `convoy create` and so on against a running daemon, or the same request by curl (`--client`: what a program or Docker
does); LVM2's are lvcreate with mkfs.ext4, lvs and lvremove, without udev on both sides, and no backup of its metadata
in /etc. Ours is journalled in a catalogue and flushed before it is answered; LVM2 has no flush in its commit, and that
is not made up for.

Prints measurements as bench/run.py wants them: wall time, and processor time (user and system) of the command and, on
our side, of the daemon with all that it starts. `last` is the last tenth of the volumes made: growth shows there.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from drystone.kernel import loop
from drystone.testing.lvm2 import configure
from drystone.testing.volume_daemon import VolumeDaemon
from pairs import compile_all, summarise

GROUP = "theirs"
SIZE = 16 << 20
"""Bytes of a volume."""
BLOCK = 64 << 10
"""Bytes of a block of both pools."""
ROOM = 640 << 10
"""Bytes that a volume's file system takes of a pool, more or less, and as much again for snapshots."""
METADATA = 64 << 20
"""Bytes of metadata of both pools."""
SAMPLES = 20
"""Snapshots taken, lists made, and snapshots and volumes deleted."""
TICKS = os.sysconf("SC_CLK_TCK")

Sample = tuple[float, float]
"""Seconds of wall time and of processor time."""


@dataclass
class Side:
    """What does an operation: its name -> the words of a shell for a volume's number.

    :ivar processor: seconds that a daemon behind it has used so far, with what it waited for.
    """

    environment: dict[str, str]
    commands: dict[str, Callable[[int], str]]
    processor: Callable[[], float]
    samples: dict[str, list[Sample]] = field(default_factory=dict)

    def run(self, operation: str, number: int) -> None:
        """Do it, and note what it took.

        :raises AssertionError: it failed.
        """
        words = self.commands[operation](number)
        began, used = time.perf_counter(), _processor_s() + self.processor()
        done = subprocess.run(["sh", "-ec", words], capture_output=True, env=self.environment, check=False)
        sample = (time.perf_counter() - began, _processor_s() + self.processor() - used)
        assert done.returncode == 0, (operation, words, done.stdout[-500:], done.stderr[-1500:])
        self.samples.setdefault(operation, []).append(sample)


def _processor_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _processor_of(pid: int) -> float:
    """Seconds that a running process has used, with its children that ended: fields 14 to 17 of /proc/PID/stat."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(each) for each in fields[11:15]) / TICKS


@contextlib.contextmanager
def disk(folder: Path, name: str, size: int) -> Iterator[str]:
    """The path of a loop device over a sparse file of `size` bytes."""
    file = folder / name
    file.touch()
    os.truncate(file, size)
    with loop.hold(str(file)) as device:
        yield device.path


@contextlib.contextmanager
def ours(folder: Path, size: int, client: str) -> Iterator[Side]:
    """A daemon of ours with a pool of `size` bytes."""
    with disk(folder, "data", size) as data, disk(folder, "metadata", METADATA) as metadata:
        options = {"datadev": data, "metadatadev": metadata, "thinpoolblocksize": str(BLOCK >> 9)}
        words = [f"--driver-opts=dm.{key}={value}" for key, value in options.items()]
        daemon = VolumeDaemon(folder / "root", folder / "s", folder / "log", ["--drivers", "devicemapper", *words])
        daemon.start()
        assert daemon.process is not None
        pid = daemon.process.pid
        try:
            yield Side(
                {**os.environ, "DM_DISABLE_UDEV": "1"},
                by_convoy(daemon.socket) if client == "convoy" else by_curl(daemon.socket, daemon),
                lambda: _processor_of(pid),
            )
        finally:
            daemon.stop()
            take_down()


def take_down() -> None:
    """Remove the volumes of a daemon that ended, and their pool: they stay active without it."""
    names = [line.split()[0] for line in subprocess.check_output(["dmsetup", "ls"], text=True).splitlines()]
    for name in sorted((each for each in names if each.startswith("convoy-pool")), key=len, reverse=True):
        subprocess.run(["dmsetup", "remove", "--noudevsync", name], check=True)


def by_convoy(socket: Path) -> dict[str, Callable[[int], str]]:
    """The operations by our command."""
    convoy = f"{Path(sys.executable).parent / 'convoy'} -s {socket}"
    return {
        "create": lambda n: f"{convoy} create v{n} --size {SIZE}",
        "snapshot": lambda n: f"{convoy} snapshot create v{n} --name s{n}",
        "list": lambda _: f"{convoy} list",
        "delete snapshot": lambda n: f"{convoy} snapshot delete s{n}",
        "delete": lambda n: f"{convoy} delete v{n}",
    }


def by_curl(socket: Path, daemon: VolumeDaemon) -> dict[str, Callable[[int], str]]:
    """The operations as requests."""

    def ask(method: str, route: str, body: object = None) -> str:
        words = ["curl", "-sSf", "--unix-socket", str(socket), "-X", method, f"http://d/v1{route}"]
        data = [] if body is None else ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
        return shlex.join([*words, *data])

    def find(name: str) -> str:
        volumes = daemon.call("GET", "/volumes/list")
        for uuid, each in volumes.items():
            if each["Name"] == name:
                return str(uuid)
            for inner, snapshot in each["Snapshots"].items():
                if snapshot["Name"] == name:
                    return str(inner)
        raise KeyError(name)

    return {
        "create": lambda n: ask("POST", "/volumes/create", {"Name": f"v{n}", "Size": SIZE}),
        "snapshot": lambda n: ask("POST", "/snapshots/create", {"Name": f"s{n}", "VolumeUUID": find(f"v{n}")}),
        "list": lambda _: ask("GET", "/volumes/list"),
        "delete snapshot": lambda n: ask("DELETE", "/snapshots/", {"SnapshotUUID": find(f"s{n}")}),
        "delete": lambda n: ask("DELETE", "/volumes/", {"VolumeUUID": find(f"v{n}")}),
    }


@contextlib.contextmanager
def theirs(folder: Path, size: int) -> Iterator[Side]:
    """A thin pool of LVM2 of `size` bytes."""
    with disk(folder, "disk", size + 2 * METADATA + (64 << 20)) as path:
        lvm = configure(folder, [path], driver=True)
        lvm.run("vgcreate", "-s", "1m", "--metadatasize", "32m", GROUP, path)
        pool = ["-L", f"{size}b", "--poolmetadatasize", f"{METADATA}b", "--chunksize", f"{BLOCK}b"]
        lvm.run("lvcreate", "-y", *pool, "--thinpool", "pool", GROUP)
        thin = f"lvcreate -y -V {SIZE}b --thinpool pool {GROUP} -n"
        try:
            yield Side(
                {**os.environ, "LVM_SYSTEM_DIR": str(folder), "DM_DISABLE_UDEV": "1"},
                {
                    "create": lambda n: f"{thin} v{n}; mkfs.ext4 -q /dev/mapper/{GROUP}-v{n}",
                    "snapshot": lambda n: f"lvcreate -y -s -n s{n} {GROUP}/v{n}",
                    "list": lambda _: f"lvs {GROUP}",
                    "delete snapshot": lambda n: f"lvremove -y {GROUP}/s{n}",
                    "delete": lambda n: f"lvremove -y {GROUP}/v{n}",
                },
                lambda: 0.0,
            )
        finally:
            lvm.run("vgchange", "-an", GROUP)


def measure(volumes: int, client: str) -> list[dict[str, object]]:
    """The rows of that many volumes."""
    size = (2 * ROOM * volumes // BLOCK + 2048) * BLOCK
    with (
        tempfile.TemporaryDirectory() as one,
        tempfile.TemporaryDirectory() as other,
        ours(Path(one), size, client) as us,
        theirs(Path(other), -(-size >> 20) << 20) as them,
    ):
        for number in range(volumes):
            for side in (us, them):
                side.run("create", number)
        chosen = range(0, volumes, max(1, volumes // SAMPLES))
        for operation in ("snapshot", "list", "delete snapshot", "delete"):
            for number in chosen:
                for side in (us, them):
                    side.run(operation, number)
    for side in (us, them):
        side.samples["create, last"] = side.samples["create"][-max(3, volumes // 10) :]
    return rows(us, them, f"{client}, {volumes} volumes")


def rows(us: Side, them: Side, what: str) -> list[dict[str, object]]:
    """Measurements of all operations."""
    found = []
    for operation, samples in us.samples.items():
        pairs = list(zip(samples, them.samples[operation], strict=True))
        for at, metric in enumerate(("wall", "processor")):
            name = f"volumes: {operation}, {what}: {metric}"
            found.append(summarise(name, "LVM2 thin", [(a[at], max(b[at], 1 / TICKS)) for a, b in pairs]))
    return found


def main(words: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--volumes", default="10,100")
    parser.add_argument("--client", default="convoy")
    chosen = parser.parse_args(words)
    compile_all()
    found: list[dict[str, object]] = []
    for volumes in chosen.volumes.split(","):
        for client in chosen.client.split(","):
            if client == "curl" and not shutil.which("curl"):
                print("bench: no curl here: left out", file=sys.stderr)
                continue
            began = time.perf_counter()
            found += measure(int(volumes), client)
            print(f"{volumes} volumes by {client}: {time.perf_counter() - began:.0f} s", file=sys.stderr)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
