"""The whole life of a volume group over 8 disks, by the commands that people use, with programs writing all the while.

The disks are device-mapper devices on loop devices: a disk is lost when its table becomes `error`.
"""

from __future__ import annotations

import importlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from drystone.cli.dvm import dvm
from drystone.cli.exits import run
from drystone.dvm.dmactivate import activate as compile_program
from drystone.dvm.groups.group import uuid_prefix
from drystone.dvm.groups.rules import parse_group
from drystone.dvm.state import observe, resolve_paths, with_uuid
from drystone.dvm.volactivate import activate
from drystone.kernel import loop
from drystone.kernel.blockdev import device_number
from drystone.kernel.dm import ioctl
from drystone.kernel.dm.abc import DeviceMapper, TableLine
from drystone.kernel.dm.device_mapper import KernelDeviceMapper
from drystone.kernel.dm.layout import Command
from drystone.kernel.dm.nodes import make_node, remove_node
from drystone.kernel.dm.statuses import RaidStatus, parse_status
from drystone.testing.writers import BLOCK, LIMIT_S, Writer, fork

pytestmark = pytest.mark.lab(memory="768M")

MIB = 1 << 20
DISKS = 8
DISK_SIZE = 40 * MIB
STEPS = 32
"""Changes and flushes: as many as each of the updates that are killed makes at least."""
CHANGES = {
    Command.DEV_CREATE,
    Command.DEV_REMOVE,
    Command.DEV_RENAME,
    Command.DEV_SUSPEND,
    Command.TABLE_LOAD,
    Command.TABLE_CLEAR,
    Command.TARGET_MSG,
}
TOOLS = Path(sys.executable).parent
OUTPUT = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
WARM = (
    *(f"drystone.cli.dvm.{name}" for name in ("discover", "plan", "report", "transact")),
    *(f"drystone.cli.dvm.metadata.{name}" for name in ("devices", "layers", "thin", "volumes")),
    *(f"drystone.dvm.transactions.{name}" for name in ("activation", "mutator", "opening", "transact")),
    *(
        f"drystone.dvm.{name}"
        for name in ("discovery.membership", "metadata.devices", "planning.plan", "reports.report")
    ),
)
"""What the commands import when they are used."""


for name in WARM:
    importlib.import_module(name)


class Fio:
    """fio, which writes to a volume and reads back what it wrote, all the time."""

    def __init__(self, path: str, size: int, report: Path) -> None:
        self._report = report
        words = (
            f"--name=checked --filename={path} --size={size} --rw=randwrite --bs=4k --direct=1 --ioengine=psync"
            " --thread --verify=crc32c --verify_fatal=1 --verify_backlog=32 --time_based --runtime=86400"
            f" --thinktime=10000 --output-format=json --output={report}"
        )
        self._process = subprocess.Popen(["fio", *words.split()], stdout=subprocess.DEVNULL)

    def check_alive(self) -> None:
        """It has found nothing wrong."""
        assert self._process.poll() is None, "fio has ended"

    def stop(self) -> None:
        """End it; it has written, read back, and found nothing wrong."""
        self.check_alive()
        self._process.send_signal(signal.SIGINT)
        assert self._process.wait() == 128, "as fio ends when it is told to"
        text = self._report.read_text()
        (job,) = json.loads(text[text.index("{") :])["jobs"]
        assert job["error"] == 0
        assert min(job["write"]["total_ios"], job["read"]["total_ios"]) > 32

    def close(self) -> None:
        """Kill it, if it is still there."""
        self._process.kill()
        self._process.wait()


class Host:
    """Eight disks and the commands."""

    def __init__(self, dm: DeviceMapper, folder: Path) -> None:
        self.dm, self.folder = dm, folder
        self.disks = [f"/dev/dm-{dm.info(f'disk{at}').number.minor}" for at in range(DISKS)]
        self.devices = str(folder / "devices.json")
        self.streams = [str(folder / name) for name in ("stdin", "stdout", "stderr")]
        self.configuration = folder / "dvm.toml"
        self.configuration.write_text(
            '[discover]\nfilters = [{accept = "^/dev/mapper/disk[0-9]+$"}, {reject = "."}]\n[transact]\nkeep = 31\n'
        )
        self.writers: dict[str, Writer] = {}
        self.fio: Fio | None = None

    def start(self, *words: str, stdin: bytes = b"") -> int:
        """`dvm` with these words in a process of its own; its pid. What it prints goes to files.

        It is forked from this process, which has everything imported: starting an interpreter takes half a second in a
        guest. Mutators, which it runs in turn, are started as anywhere.
        """
        Path(self.streams[0]).write_bytes(stdin)
        return fork(lambda: self._run(*words))

    def _run(self, *words: str) -> int:
        for number, (path, flags) in enumerate(zip(self.streams, (os.O_RDONLY, *[OUTPUT] * 2), strict=True)):
            os.dup2(os.open(path, flags, 0o600), number)
        sys.stdin, sys.stdout, sys.stderr = (os.fdopen(at, "rw"[at > 0], closefd=False) for at in range(3))
        os.environ["PATH"] = f"{TOOLS}:{os.environ.get('PATH', '')}"
        return run(dvm, ["--json", "-c", str(self.configuration), *words], name="dvm")

    def dvm(self, *words: str, stdin: bytes = b"", code: int = 0) -> Any:
        """What a command prints; of one that is to fail, its error."""
        _, status = os.waitpid(self.start(*words, stdin=stdin), 0)
        out, errors = (Path(path).read_bytes() for path in self.streams[1:])
        assert os.waitstatus_to_exitcode(status) == code, (words, status, out[-2000:], errors)
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
        if self.fio is not None:
            self.fio.check_alive()

    def plan(self, *volumes: dict[str, Any]) -> Any:
        """`dvm plan` and `dvm apply` of a layout; the plan."""
        layout, plan = self.folder / "layout.json", self.folder / "plan.json"
        layout.write_text(json.dumps({"schema": "drystone.dvm.layout", "version": 1, "volumes": volumes}))
        wanted = self.dvm("plan", str(layout), stdin=self.group())
        plan.write_text(json.dumps(wanted))
        self.transact("update", "--activate", "--", "dvm", "apply", str(plan))
        return wanted

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

    def kill(self, update: Sequence[str], step: int, *, before: bool) -> bool:
        """SIGKILL of an update at a counted step, before it or after it; False when it takes fewer steps.

        A step is a change of device-mapper or a flush of a disk: how fast the machine is does not matter.
        """
        pid = fork(lambda: self._run_until(step, before, *update))
        return os.waitpid(pid, 0)[1] == signal.SIGKILL

    def _run_until(self, step: int, before: bool, *words: str) -> int:
        steps = itertools.count(1)

        def counted(inner: Callable[..., Any], counts: Callable[..., bool]) -> Callable[..., Any]:
            def call(*args: Any) -> Any:
                at = next(steps) if counts(*args) else 0
                if at == step and before:
                    os.kill(os.getpid(), signal.SIGKILL)
                answer = inner(*args)
                if at == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                return answer

            return call

        ioctl.call = counted(ioctl.call, lambda _, command, *rest: command in CHANGES)
        os.fdatasync = counted(os.fdatasync, lambda _: True)
        return self._run(*words)

    def check_active(self, metadata: bytes) -> None:
        """Device-mapper is what the metadata says, and nothing waits."""
        group = parse_group(metadata)
        paths = {device.uuid: device.path for device in group.devices}
        wanted = resolve_paths(activate(group, paths).state, device_number)
        current = observe(self.dm, with_uuid(uuid_prefix(group)))
        assert compile_program(current, wanted).is_empty
        assert not any(each.suspended for each in current.devices)
        self.check_alive()

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
        if self.fio is not None:
            self.fio.close()
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
    host.begin()
    host.change("create", "checked", "--size", "2m", "--on", host.disks[0])
    host.fio = Fio("/dev/mapper/vg-checked", 2 * MIB, host.folder / "fio.json")
    make_volumes(host)
    monday = make_snapshots(host)
    put_layers_on_and_off(host)
    empty_a_disk(host)
    lose_a_disk(host)
    host.fio.stop()
    host.fio = None
    end(host, monday)


def make_volumes(host: Host) -> None:
    """Linear, extended in use; by a plan: striped, raid1, one that will be lost, a thin pool with a volume."""
    disk = host.disks
    host.change("create", "lin", "--size", "4m", "--on", disk[0])
    lin = host.write("lin", 4 * MIB, 6 * MIB)
    host.change("extend", "lin", "--by", "2m", "--on", disk[0])
    lin.grow(6 * MIB)
    wanted = host.plan(
        {"name": "fast", "kind": "striped", "size": 6 * MIB, "legs": 3, "on": disk[3:6]},
        {"name": "safe", "kind": "raid1", "size": 5 * MIB, "on": disk[1:3]},
        {"name": "doomed", "kind": "linear", "size": 2 * MIB, "on": disk[1:2]},
        {"name": "pool", "kind": "thin_pool", "size": 12 * MIB, "on": disk[6:7]},
        {"name": "thin", "kind": "thin", "size": 4 * MIB, "pool": "pool"},
    )
    assert (len(wanted["steps"]), wanted["copied"], wanted["lost"]) == (5, 5 * MIB, 0)
    host.write("fast", 6 * MIB)
    host.write("safe", 5 * MIB)
    host.write("thin", 4 * MIB)


def make_snapshots(host: Host) -> list[int]:
    """A thin one; a classic one that goes again; a mistake, which is taken back. What the thin one holds."""
    disk, lin, thin = host.disks, host.writers["lin"], host.writers["thin"]
    before = thin.counts
    host.change("snapshot", "thin", "monday")
    monday = check_snapshot(thin, "/dev/mapper/vg-monday", before, thin.counts)
    before = lin.counts
    host.change("snapshot", "lin", "tuesday", "--size", "8m", "--on", disk[7])
    tuesday = check_snapshot(lin, "/dev/mapper/vg-tuesday", before, lin.counts)
    kept = host.transact("log")["versions"][0]["sequence"]
    host.change("create", "mistake", "--size", "3m", "--on", disk[5])
    rehearsed = host.transact("revert", "--activate", "--dry-run", f"@{kept}")
    assert (rehearsed["changed"], rehearsed["dry_run"]) == (True, True)
    assert any("mistake" in step for step in rehearsed["steps"])
    assert host.dm.info("vg-mistake").live_table
    reverted = host.transact("revert", "--activate", f"@{kept}")
    assert reverted["steps"] == rehearsed["steps"]
    assert reverted["transaction"]["sequence"] == kept + 2
    rows = host.report()
    assert set(rows) == {"checked", "lin", "fast", "safe", "doomed", "pool", "thin", "monday", "tuesday"}
    assert 0 < rows["tuesday"]["live"]["data_percent"] < 100
    host.check_alive()
    assert lin.read("/dev/mapper/vg-tuesday") == tuesday
    host.change("remove", "tuesday")
    return monday


def put_layers_on_and_off(host: Host) -> None:
    """A cache and a record of eras, in use."""
    disk = host.disks
    host.change("cache", "lin", "--size", "4m", "--on", disk[7])
    host.change("era", "fast", "--on", disk[7])
    assert [host.dm.table(f"vg-{name}")[0].target for name in ("lin", "fast")] == ["cache", "era"]
    host.change("uncache", "lin")
    host.change("unera", "fast")


def empty_a_disk(host: Host) -> None:
    """Move what is on it away, in use, and take it out."""
    disk = host.disks
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
        if all(any(done in status for done in ("2/2", "6/6")) for status in mirrors):
            break
        assert time.monotonic() < limit
    host.change("move", "--finish", "--live", str(live))
    host.change("drop-device", disk[0])
    host.transact("reduce", disk[0])
    host.dvm("discover", "rm", "vg", disk[0])


def lose_a_disk(host: Host) -> None:
    """The raid set goes on, and gets a new leg; the rest does not notice."""
    disk = host.disks
    host.copied("safe")
    lost = next(device["uuid"] for device in json.loads(host.group())["devices"] if device["path"] == disk[1])
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


def end(host: Host, monday: list[int]) -> None:
    """Every byte is looked at, and everything goes."""
    lin, thin = host.writers["lin"], host.writers["thin"]
    assert thin.read("/dev/mapper/vg-monday") == monday
    for name in list(host.writers):
        host.stop(name)
    host.copied("safe")
    host.change("reduce", "lin", "--size", "3m", "--lose-data")
    lin.shared[1] = 3 * MIB // BLOCK
    lin.verify()
    host.change("remove", "checked", "lin", "fast", "safe", "monday", "thin", "pool")
    assert [entry.name for entry in host.dm.list_devices() if entry.name.startswith("vg-")] == []


def test_a_killed_update_leads_to_the_old_group_or_to_the_new_one(host: Host) -> None:
    disk = host.disks
    host.begin()
    host.plan(
        {"name": "lin", "kind": "linear", "size": 4 * MIB, "on": disk[:1]},
        {"name": "fast", "kind": "striped", "size": 4 * MIB, "legs": 2, "on": disk[1:3]},
        {"name": "pool", "kind": "thin_pool", "size": 10 * MIB, "on": disk[3:4]},
        {"name": "thin", "kind": "thin", "size": 4 * MIB, "pool": "pool"},
    )
    for name in ("lin", "fast", "thin"):
        host.write(name, 4 * MIB)
    mutators = [
        ("extend", "lin", "--by", "2m"),
        ("snapshot", "lin", "copy", "--size", "8m"),
        ("snapshot", "thin", "later"),
        ("era", "fast"),
        ("remove", "copy"),
        ("cache", "lin", "--size", "4m"),
    ]
    new_file = host.folder / "new.json"
    update = ("transact", "update", "vg", "--devices", host.devices, "--activate", "--")
    chance = random.Random("kill")
    group = host.group()
    killed = 0
    for mutator in mutators:
        new = json.dumps(host.dvm("metadata", *mutator, stdin=group)).encode()
        new_file.write_bytes(new)
        Path(host.streams[0]).write_bytes(b"")
        killed += host.kill((*update, "cat", str(new_file)), chance.randint(1, STEPS), before=chance.random() < 0.5)
        host.transact("recover")
        found = host.group()
        assert found in (group, new)
        host.dvm(*update, "cat")
        host.check_active(found)
        if found == group:
            host.dvm(*update, "cat", str(new_file))
            host.check_active(new)
        group = new
    assert killed == len(mutators)
    for name in list(host.writers):
        host.stop(name)
    host.change("remove", "lin", "fast", "later", "thin", "pool")
    assert [entry.name for entry in host.dm.list_devices() if entry.name.startswith("vg-")] == []
