"""Changes and reports of a volume group by `dvm`, against Debian's LVM2 in one guest, as whole processes.

    drystone lab run --memory 2G -- .venv/bin/python bench/dvm_peers.py [--server] [--devices 1,8,64] [--volumes 10,100]

Each side has loop devices of its own, sparse files on a tmpfs; its group has that many linear volumes of one extent, a
thin pool and a thin volume, all active. Then, in turn: a volume is created, extended, a thin snapshot taken, both
removed, and the volumes listed. Ours is `dvm transact update VG --device ... --activate -- dvm metadata ...`, and
`dvm show` for the list (in the row `pipeline`: `dvm transact read | dvm report`; in the row `ten reports`: ten times,
one after the other, by one shell); LVM2's are lvcreate, lvextend,
lvremove and lvs, without udev on both sides, metadata on every device, and no backup of it in /etc. Ours flushes each
device; LVM2 has no flush in its commit, and that is not made up for.

With --server ours are done by the command server (`dvm serve`), else without. After each of our commands the server is
waited for, until it is ready for the next one: what it does then is no part of the wall time, but it is of ours, not of
LVM2's, and part of our processor time. `ten reports` does not give it that time between commands.

Prints measurements as bench/run.py wants them: wall time, processor time of all processes (user and system), and the
writes and flushes that the disks below were asked for (/sys/block/*/stat). A ratio to none is one to 1.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from command_server import Server, serving
from drystone.dvm.groups.group import Group
from drystone.dvm.groups.rules import parse_group
from drystone.dvm.metadata.create import Wish, create
from drystone.dvm.metadata.edit import seeded_ids
from drystone.kernel import loop
from drystone.testing.lvm2 import configure
from pairs import compile_all, summarise

OURS, THEIRS = "ours", "theirs"
EXTENT = 128 << 10
"""Bytes; also the size of a volume."""
REGION_PAGES = 4096
"""Of metadata, on both sides: 16 MiB hold eight versions of a thousand volumes."""
POOL = 16 << 20
SPARE = 64 << 20
"""Bytes that a group has beside its volumes: for the pool and what is changed."""
METRICS = (("wall", "s"), ("processor", "s"), ("writes", "writes"), ("flushes", "flushes"))
FLUSH_FIELD, WRITE_FIELD = 15, 4
"""Places in /sys/block/*/stat: Documentation/block/stat.rst of Linux."""

_INSERT = """\
logical_volumes {{
{volumes}
"""
_VOLUME = """\
v{number} {{
id = "{uuid}"
status = ["READ", "WRITE", "VISIBLE"]
flags = []
segment_count = 1
segment1 {{
start_extent = 0
extent_count = 1
type = "striped"
stripe_count = 1
stripes = ["{device}", {extent}]
}}
}}
"""

TEN = "for _ in 1 2 3 4 5 6 7 8 9 10; do {}; done"

Sample = tuple[float, float, float, float]
"""The figures of METRICS for one run."""


@dataclass
class Disks:
    """The loop devices of one side."""

    paths: list[str]

    def count(self) -> tuple[int, int]:
        """Writes and flushes so far."""
        rows = [Path(f"/sys/block/{Path(path).name}/stat").read_text().split() for path in self.paths]
        return sum(int(row[WRITE_FIELD]) for row in rows), sum(int(row[FLUSH_FIELD]) for row in rows)


@dataclass
class Side:
    """What does an operation: its name -> the words of a shell; and the disks it does it on."""

    disks: Disks
    environment: dict[str, str]
    commands: dict[str, str]
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    server: Server | None = None

    def run(self, operation: str) -> None:
        """Do it, and note what it took.

        :raises AssertionError: it failed.
        """
        before, used = self.disks.count(), self._processor_s()
        began = time.perf_counter()
        done = subprocess.run(
            ["sh", "-c", self.commands[operation]], capture_output=True, env=self.environment, check=False
        )
        wall = time.perf_counter() - began
        if self.server is not None:
            self.server.wait_until_ready()
        processor, after = self._processor_s() - used, self.disks.count()
        assert done.returncode == 0, (
            operation,
            self.commands[operation][-300:],
            done.stdout[-500:],
            done.stderr[-1500:],
        )
        sample = (wall, processor, float(after[0] - before[0]), float(after[1] - before[1]))
        self.samples.setdefault(operation, []).append(sample)

    def _processor_s(self) -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime + (0.0 if self.server is None else self.server.processor_s())


@contextlib.contextmanager
def disks(count: int, size: int) -> Iterator[Disks]:
    """Sparse loop devices of `size` bytes."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        paths = []
        for number in range(count):
            file = Path(folder, f"disk{number}")
            file.touch()
            os.truncate(file, size)
            paths.append(stack.enter_context(loop.hold(str(file))).path)
        yield Disks(paths)


def call(words: Sequence[str], *, data: bytes = b"") -> bytes:
    """A step of the preparation."""
    done = subprocess.run(words, input=data, capture_output=True, check=False)
    assert done.returncode == 0, (words[:6], done.stderr[-1500:])
    return done.stdout


@contextlib.contextmanager
def ours(under: Disks, volumes: int, folder: Path, server: Server | None) -> Iterator[Side]:
    """A group of ours, active."""
    dvm = str(Path(sys.executable).parent / "dvm")
    named = [word for path in under.paths for word in ("--device", path)]
    found, document = folder / "devices.json", folder / "group.json"
    files = [word for path in under.paths for word in ("--file", path)]
    found.write_bytes(call([dvm, "discover", "add", OURS, *files, *under.paths, f"1:{1 + REGION_PAGES}"]))
    call([dvm, "transact", "expand", OURS, *named])
    init = [dvm, "metadata", "init", "--extent-size", str(EXTENT), "--devices", str(found)]
    call([dvm, "transact", "update", OURS, *named, "--", *init])
    update = [dvm, "transact", "update", OURS, *named, "--activate", "--"]
    group = fill(parse_group(call([dvm, "transact", "read", OURS, *named]), "the group"), volumes)
    document.write_bytes(_encode(group))
    call([*update, "cat", str(document)])
    call([*update, dvm, "metadata", "thin-pool", "pool", "--size", str(POOL)])
    call([*update, dvm, "metadata", "thin", "pool", "base", "--size", str(POOL)])
    change = shlex.join([*update, dvm, "metadata"])
    show = shlex.join([dvm, "show", OURS, "lvs", "--live", "--text", *named])
    pipeline = f"{shlex.join([dvm, 'transact', 'read', OURS, *named])} | {dvm} report lvs --live --text"
    try:
        yield Side(
            under,
            {**os.environ, "DM_DISABLE_UDEV": "1", "DRYSTONE_DVM_SOCKET": "" if server is None else server.socket},
            {
                "create": f"{change} create new --size {EXTENT}",
                "extend": f"{change} extend new --by {EXTENT}",
                "snapshot": f"{change} snapshot base copy",
                "remove": f"{change} remove new copy",
                "report": show,
                "pipeline": pipeline,
                "ten reports": TEN.format(show),
            },
            server=server,
        )
    finally:
        empty = folder / "empty.json"
        empty.write_bytes(_encode(_emptied(group)))
        call([*update, "cat", str(empty)])


def fill(group: Group, volumes: int) -> Group:
    """With that many volumes, spread over the devices."""
    ids = seeded_ids("bench")
    for number in range(volumes):
        on = (group.devices[number % len(group.devices)].path,)
        group = create(group, Wish(f"v{number}", EXTENT, devices=on), ids, "linear")
    return group


def _encode(group: Group) -> bytes:
    from drystone.base.documents import encode

    return encode(group)


def _emptied(group: Group) -> Group:
    import msgspec

    return msgspec.structs.replace(group, volumes=())


@contextlib.contextmanager
def theirs(under: Disks, volumes: int, folder: Path) -> Iterator[Side]:
    """A group of LVM2, active."""
    lvm = configure(folder, under.paths, driver=True)
    lvm.run("vgcreate", "-s", "128k", "--metadatasize", f"{REGION_PAGES * 4}k", THEIRS, *under.paths)
    text = folder / "group.vg"
    lvm.run("vgcfgbackup", "-f", str(text), THEIRS)
    text.write_text(with_volumes(text.read_text(), len(under.paths), volumes))
    lvm.run("vgcfgrestore", "-f", str(text), THEIRS)
    lvm.run("vgchange", "-ay", THEIRS)
    size = f"{POOL}b"
    lvm.run("lvcreate", "-y", "-L", size, "--poolmetadatasize", "2m", "--thinpool", "pool", THEIRS)
    lvm.run("lvcreate", "-y", "-V", size, "--thinpool", "pool", "-n", "base", THEIRS)
    try:
        yield Side(
            under,
            {**os.environ, "LVM_SYSTEM_DIR": str(folder), "DM_DISABLE_UDEV": "1"},
            {
                "create": f"lvcreate -y -n new -l 1 {THEIRS}",
                "extend": f"lvextend -y -l +1 {THEIRS}/new",
                "snapshot": f"lvcreate -y -s -kn -n copy {THEIRS}/base",
                "remove": f"lvremove -y {THEIRS}/new {THEIRS}/copy",
                "report": f"lvs {THEIRS}",
                "pipeline": f"lvs {THEIRS}",
                "ten reports": TEN.format(f"lvs {THEIRS}"),
            },
        )
    finally:
        lvm.run("vgchange", "-an", THEIRS)


def with_volumes(text: str, devices: int, volumes: int) -> str:
    """LVM2's text of an empty group, with volumes spread over its devices."""
    blocks = "".join(
        _VOLUME.format(
            number=number,
            uuid=f"aaaaaa-aaaa-aaaa-aaaa-aaaa-aaaa-{number:06d}",
            device=f"pv{number % devices}",
            extent=number // devices,
        )
        for number in range(volumes)
    )
    head, brace, tail = text.rpartition("\n}\n# Generated") if "\n}\n# Generated" in text else text.rpartition("\n}\n")
    return head + "\n" + _INSERT.format(volumes=blocks) + "}\n" + brace.lstrip("\n") + tail


OPERATIONS = ("create", "extend", "snapshot", "remove", "report", "pipeline", "ten reports")


def measure(devices: int, volumes: int, runs: int, *, by_server: bool) -> list[dict[str, object]]:
    """The rows of one size of group."""
    size = (REGION_PAGES + 512) * 4096 + (volumes * EXTENT + 2 * SPARE) // devices + 2 * EXTENT
    with (
        tempfile.TemporaryDirectory() as one,
        tempfile.TemporaryDirectory() as other,
        disks(devices, size) as mine,
        disks(devices, size) as peers,
        serving(Path(one)) if by_server else contextlib.nullcontext() as server,
        ours(mine, volumes, Path(one), server) as us,
        theirs(peers, volumes, Path(other)) as them,
    ):
        for _ in range(runs + 1):
            for operation in OPERATIONS:
                us.run(operation)
                them.run(operation)
    rows = []
    way = " by the server" if by_server else ""
    for operation in OPERATIONS:
        samples = list(zip(us.samples[operation], them.samples[operation], strict=True))[1:]
        for at, (metric, unit) in enumerate(METRICS):
            pairs = [(a[at], max(b[at], 1.0) if at > 1 else b[at]) for a, b in samples]
            row = summarise(f"dvm {operation}{way}, {volumes} on {devices}: {metric}", "LVM2", pairs)
            if at > 1:
                row["peer_s"] = sorted(b[at] for _, b in samples)[len(samples) // 2]
                row["unit"] = unit
            rows.append(row)
    return rows


def numbers(text: str) -> list[int]:
    """Numbers with commas between them."""
    return [int(word) for word in text.split(",")]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--devices", type=numbers, default=[1, 8, 64])
    parser.add_argument("--volumes", type=numbers, default=[10, 100, 1000])
    parser.add_argument("--server", action="store_true", help="ours by the command server")
    parser.add_argument("--runs", type=int, default=3)
    chosen = parser.parse_args()
    compile_all()
    rows: list[dict[str, object]] = []
    for volumes in chosen.volumes:
        for devices in chosen.devices:
            began = time.perf_counter()
            rows += measure(devices, volumes, chosen.runs, by_server=chosen.server)
            print(f"{volumes} volumes on {devices} devices: {time.perf_counter() - began:.0f} s", file=sys.stderr)
    print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
