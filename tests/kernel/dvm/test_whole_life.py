"""The whole life of a volume group over 8 disks, by the commands that people use, with programs writing all the while.

Every block that is written says which block of which volume it is, and for the how manieth time it was written; a
writer knows the count of each of its blocks. So at any moment every byte is known, and what a snapshot may hold.
The disks are device-mapper devices on loop devices: a disk is lost when its table becomes `error`.
"""

from __future__ import annotations

import json
import mmap
import os
import random
import signal
import struct
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drystone.kernel import loop
from drystone.kernel.blockdev import open_device
from drystone.kernel.dm.abc import DeviceMapper, TableLine
from drystone.kernel.dm.device_mapper import KernelDeviceMapper
from drystone.kernel.dm.nodes import make_node, remove_node
from drystone.kernel.dm.statuses import RaidStatus, parse_status

pytestmark = pytest.mark.lab(memory="768M")

MIB = 1 << 20
BLOCK = 4096
DISKS = 8
DISK_SIZE = 40 * MIB
TOOLS = Path(sys.executable).parent
LIMIT_S = 60.0
T0 = time.monotonic()


def fill(name: str, at: int, count: int) -> bytes:
    """A block that tells what it is."""
    return struct.pack("<8sIQ12x", name.encode(), at, count) * (BLOCK // 32)


class Writer:
    """A process that writes and reads back random blocks of a volume, and knows what all of them hold.

    `shared` holds 64-bit words: whether it is to stop, how many blocks it uses, then the count of each block.
    """

    def __init__(self, name: str, path: str, most: int) -> None:
        self.name, self.path = name, path
        self.shared = memoryview(mmap.mmap(-1, 8 * (2 + most))).cast("Q")
        self.pid = 0
        self.seen = 0

    @property
    def blocks(self) -> int:
        return self.shared[1]

    @property
    def counts(self) -> list[int]:
        return self.shared[2 : 2 + self.blocks].tolist()

    def grow(self, size: int) -> None:
        """Use the volume up to `size` bytes."""
        first, last = self.blocks, size // BLOCK
        with open_device(self.path, write=True) as device:
            assert device.size >= size
            device.pwrite(first * BLOCK, b"".join(fill(self.name, at, 1) for at in range(first, last)))
            device.flush()
        for at in range(first, last):
            self.shared[2 + at] = 1
        self.shared[1] = last

    def start(self) -> None:
        self.shared[0] = 0
        self.pid = os.fork()
        if not self.pid:
            code = 1
            try:
                self._work()
                code = 0
            except BaseException:  # noqa: BLE001 - the parent asks for the exit code
                traceback.print_exc()
            finally:
                os._exit(code)

    def _work(self) -> None:
        chance = random.Random(self.name)
        buffer = mmap.mmap(-1, BLOCK)
        handle = os.open(self.path, os.O_RDWR | os.O_DIRECT)
        while not self.shared[0]:
            at = chance.randrange(self.blocks)
            buffer[:] = fill(self.name, at, self.shared[2 + at] + 1)
            assert os.pwritev(handle, [buffer], at * BLOCK) == BLOCK
            self.shared[2 + at] += 1
            other = chance.randrange(self.blocks)
            assert os.preadv(handle, [buffer], other * BLOCK) == BLOCK
            assert buffer[:] == fill(self.name, other, self.shared[2 + other]), other
            time.sleep(0.03)

    def check_alive(self) -> None:
        """It has found nothing wrong, and goes on writing."""
        limit = time.monotonic() + LIMIT_S
        while sum(self.counts) == self.seen:
            assert os.waitpid(self.pid, os.WNOHANG) == (0, 0), f"the writer of {self.name} has ended"
            assert time.monotonic() < limit, f"the writer of {self.name} is stuck"
            time.sleep(0.01)
        self.seen = sum(self.counts)

    def stop(self) -> None:
        """End it, and compare every byte."""
        self.shared[0] = 1
        pid, self.pid = self.pid, 0
        assert os.waitpid(pid, 0)[1] == 0
        self.verify()

    def verify(self) -> None:
        assert [at for at, found in enumerate(self.read(self.path)) if found != self.shared[2 + at]] == []

    def read(self, path: str) -> list[int]:
        """The counts that the blocks of this volume, or of a copy of it, hold."""
        with open_device(path) as device:
            data = device.pread(0, self.blocks * BLOCK)
        found = []
        for at in range(self.blocks):
            block = data[at * BLOCK : (at + 1) * BLOCK]
            (count,) = struct.unpack_from("<Q", block, 12)
            assert block == fill(self.name, at, count), f"{path}: block {at} is no block of {self.name}"
            found.append(count)
        return found


class Host:
    """Eight disks and the commands."""

    def __init__(self, dm: DeviceMapper, folder: Path) -> None:
        self.dm, self.folder = dm, folder
        self.disks = [f"/dev/dm-{dm.info(f'disk{at}').number.minor}" for at in range(DISKS)]
        self.devices = str(folder / "devices.json")
        self.configuration = folder / "dvm.toml"
        self.configuration.write_text(
            '[discover]\nfilters = [{accept = "^/dev/mapper/disk[0-9]+$"}, {reject = "."}]\n[transact]\nkeep = 31\n'
        )
        self.writers: dict[str, Writer] = {}

    def popen(self, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [str(TOOLS / "dvm"), "-c", str(self.configuration), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PATH": f"{TOOLS}:{os.environ.get('PATH', '')}"},
        )

    def dvm(self, *words: str, stdin: bytes = b"", code: int = 0) -> Any:
        """What a command prints; of one that is to fail, its error."""
        t0=time.monotonic()
        process = self.popen(*words)
        out, errors = process.communicate(stdin, timeout=LIMIT_S)
        print(f"{t0-T0:6.1f} {time.monotonic()-t0:.2f}", [w for w in words if not w.startswith("/")][:9], file=sys.stderr)
        assert process.returncode == code, (words, process.returncode, out[-2000:], errors)
        return json.loads(errors.splitlines()[-1] if code else out)

    def find(self) -> Any:
        found = self.dvm("discover", "find", "vg")
        Path(self.devices).write_text(json.dumps(found))
        return found

    def transact(self, verb: str, *words: str, code: int = 0) -> Any:
        return self.dvm("transact", verb, "vg", "--devices", self.devices, *words, code=code)

    def change(self, *mutator: str) -> Any:
        """`dvm transact update --activate` with a mutator, while the writers write."""
        outcome = self.transact("update", "--activate", "--", "dvm", "metadata", *mutator)
        self.check_alive()
        return outcome

    def check_alive(self) -> None:
        for each in self.writers.values():
            each.check_alive()

    def group(self) -> bytes:
        return json.dumps(self.transact("read")).encode()

    def report(self, *words: str) -> dict[str, Any]:
        """The rows of `report lvs --live` by name."""
        found = self.dvm("report", "lvs", "--live", "--devices", self.devices, *words, stdin=self.group())
        return {row["name"]: row for row in found["lvs"]}

    def copied(self, name: str) -> None:
        """Wait until a raid set is in sync and idle: stopped as its sync begins it can bring Linux 6.1 down."""
        limit = time.monotonic() + LIMIT_S
        while time.monotonic() < limit:
            (told,) = self.dm.status(f"vg-{name}", no_flush=True)
            status = parse_status(told)
            assert isinstance(status, RaidStatus)
            if status.action == "idle" and status.in_sync == status.sectors:
                return
            time.sleep(0.1)
        raise AssertionError(f"{name} is still copying")

    def write(self, name: str, size: int, most: int = 0) -> Writer:
        """Fill a volume, and have a process write to it from now on."""
        writer = self.writers[name] = Writer(name, f"/dev/mapper/vg-{name}", (most or size) // BLOCK)
        writer.grow(size)
        writer.start()
        return writer

    def stop(self, name: str) -> None:
        self.writers.pop(name).stop()

    def lose(self, at: int) -> None:
        """From now on the disk fails whatever it is asked."""
        length = DISK_SIZE // 512
        self.dm.suspend(f"disk{at}", no_flush=True, lock_fs=False)
        self.dm.load(f"disk{at}", [TableLine(0, length, "error", "")])
        self.dm.resume(f"disk{at}")

    def begin(self) -> None:
        """A group over all disks, without volumes."""
        self.dvm("discover", "add", "vg", *self.disks)
        assert len(self.find()["devices"]) == DISKS
        first = self.folder / "first.json"
        first.write_text(json.dumps(self.dvm("metadata", "init", "--extent-size", "1m", "--devices", self.devices)))
        self.transact("expand", "--metadata", str(first))

    def close(self) -> None:
        for writer in self.writers.values():
            if writer.pid:
                os.kill(writer.pid, signal.SIGKILL)
                os.waitpid(writer.pid, 0)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    loops = []
    with KernelDeviceMapper() as dm:
        dm.ensure_targets(["linear", "error"])
        for at in range(DISKS):
            file = tmp_path / f"disk{at}"
            with file.open("wb") as handle:
                handle.truncate(DISK_SIZE)
            loops.append(loop.attach(str(file)))
            info = dm.create(f"disk{at}", f"TEST-{at}")
            dm.load(info.number, [TableLine(0, DISK_SIZE // 512, "linear", f"{loops[at].number} 0")])
            dm.resume(info.number)
            make_node(f"disk{at}", info.number)
        made = Host(dm, tmp_path)
        yield made
        made.close()
        if not any(entry.name.startswith("vg-") for entry in dm.list_devices()):
            for at in range(DISKS):
                dm.remove(f"disk{at}")
                remove_node(f"disk{at}")
                loop.detach(loops[at].path)


def check_snapshot(writer: Writer, path: str, before: list[int], after: list[int]) -> list[int]:
    """Each block of the snapshot is one that its origin held between two moments, and stays as it is."""
    found = writer.read(path)
    assert all(low <= count <= high + 1 for low, count, high in zip(before, found, after, strict=True))
    writer.check_alive()
    assert writer.read(path) == found
    return found


def test_the_whole_life_of_a_group(host: Host) -> None:
    disk = host.disks
    host.begin()

    # Linear, extended in use.
    host.change("create", "lin", "--size", "4m", "--on", disk[0])
    lin = host.write("lin", 4 * MIB, 6 * MIB)
    host.change("extend", "lin", "--by", "2m", "--on", disk[0])
    lin.grow(6 * MIB)

    # Striped, raid1, one that will be lost, a thin pool with a volume: by a plan.
    volumes = [
        {"name": "fast", "kind": "striped", "size": 6 * MIB, "legs": 3, "on": disk[3:6]},
        {"name": "safe", "kind": "raid1", "size": 5 * MIB, "on": disk[1:3]},
        {"name": "doomed", "kind": "linear", "size": 2 * MIB, "on": disk[1:2]},
        {"name": "pool", "kind": "thin_pool", "size": 12 * MIB, "on": disk[6:7]},
        {"name": "thin", "kind": "thin", "size": 4 * MIB, "pool": "pool"},
    ]
    layout, plan = host.folder / "layout.json", host.folder / "plan.json"
    layout.write_text(json.dumps({"schema": "drystone.dvm.layout", "version": 1, "volumes": volumes}))
    wanted = host.dvm("plan", str(layout), stdin=host.group())
    assert (len(wanted["steps"]), wanted["copied"], wanted["lost"]) == (5, 5 * MIB, 0)
    plan.write_text(json.dumps(wanted))
    host.transact("update", "--activate", "--", "dvm", "apply", str(plan))
    host.write("fast", 6 * MIB)
    safe = host.write("safe", 5 * MIB)
    thin = host.write("thin", 4 * MIB)

    # Snapshots: a thin one, and a classic one.
    before = thin.counts
    host.change("snapshot", "thin", "monday")
    monday = check_snapshot(thin, "/dev/mapper/vg-monday", before, thin.counts)
    before = lin.counts
    host.change("snapshot", "lin", "tuesday", "--size", "8m", "--on", disk[7])
    tuesday = check_snapshot(lin, "/dev/mapper/vg-tuesday", before, lin.counts)

    # A version to come back to, and one that was a mistake.
    kept = host.transact("log")["versions"][0]["sequence"]
    host.change("create", "mistake", "--size", "3m", "--on", disk[5])
    rehearsed = host.transact("revert", "--activate", "--dry-run", f"@{kept}")
    assert (rehearsed["changed"], rehearsed["dry_run"]) == (True, True)
    assert any("mistake" in step for step in rehearsed["steps"])
    assert "mistake" in host.report()
    reverted = host.transact("revert", "--activate", f"@{kept}")
    assert reverted["steps"] == rehearsed["steps"]
    assert reverted["transaction"]["sequence"] == kept + 2
    rows = host.report()
    assert set(rows) == {"lin", "fast", "safe", "doomed", "pool", "thin", "monday", "tuesday"}
    assert 0 < rows["tuesday"]["live"]["data_percent"] < 100
    host.check_alive()
    assert lin.read("/dev/mapper/vg-tuesday") == tuesday
    host.change("remove", "tuesday")

    # Layers, put on and taken off in use.
    host.change("cache", "lin", "--size", "4m", "--on", disk[7])
    host.change("era", "fast", "--on", disk[7])
    assert {row["kind"] for row in host.report().values()} >= {"cache", "era"}
    host.change("uncache", "lin")
    host.change("unera", "fast")

    # Empty a disk in use, and take it out.
    host.change("move", disk[0], "--on", disk[7])
    live = host.folder / "live.json"
    limit = time.monotonic() + LIMIT_S
    while True:
        live.write_text(json.dumps(host.dvm("report", "live", stdin=host.group())))
        mirrors = [
            parse["status"]
            for device in json.loads(live.read_text())["devices"]
            for parse in device["targets"]
            if parse["target"] == "mirror"
        ]
        assert mirrors
        if all("6/6" in status for status in mirrors):
            break
        assert time.monotonic() < limit
    host.change("move", "--finish", "--live", str(live))
    host.change("drop-device", disk[0])
    host.transact("reduce", disk[0])
    host.dvm("discover", "rm", "vg", disk[0])

    # Lose a disk: the raid set goes on, the rest does not notice.
    host.copied("safe")
    lost = next(device["uuid"] for device in host.find()["devices"] if device["path"] == disk[1])
    host.lose(1)
    assert {each["uuid"] for each in host.find()["devices"] if each.get("missing")} == {lost}
    assert host.transact("verify", code=11)["code"] == "mismatch"
    host.check_alive()
    recovered = host.transact("recover", "--without", lost)
    assert lost not in {each["uuid"] for each in recovered["devices"]}
    assert host.report()["doomed"]["missing"]
    host.change("remove", "doomed")
    host.change("repair", "safe", "--lost", lost, "--on", disk[3])
    host.copied("safe")
    host.change("settle", "safe")
    host.change("drop-device", lost)
    host.dvm("discover", "rm", "vg", lost)
    found = host.find()
    assert len(found["devices"]) == DISKS - 2
    assert host.transact("verify")["complete"]
    assert safe.pid

    # Every byte.
    assert thin.read("/dev/mapper/vg-monday") == monday
    for name in list(host.writers):
        host.stop(name)
    host.copied("safe")
    host.change("reduce", "lin", "--size", "3m", "--lose-data")
    lin.shared[1] = 3 * MIB // BLOCK
    lin.verify()
    host.change("remove", "lin", "fast", "safe", "monday", "thin", "pool")
    assert [entry.name for entry in host.dm.list_devices() if entry.name.startswith("vg-")] == []
