"""Volumes on the real kernel while their group changes under them: sizes with file systems, legs, devices, snapshots.

By the commands that people use, where there are any, in this process.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from drystone.base.documents import encode
from drystone.base.errors import BusyError, DrystoneError, RefusedError
from drystone.cli.dvm import dvm
from drystone.dvm.groups.group import Group, device_name
from drystone.dvm.metadata import layers, raid, snapshot, thin
from drystone.dvm.metadata.create import Wish, create
from drystone.dvm.metadata.edit import seeded_ids
from drystone.dvm.planning.progress import merged_snapshots, rebuilt_sets
from drystone.dvm.reports.live import observe
from drystone.dvm.transactions.live_group import LiveGroup
from drystone.kernel import loop, mounts
from drystone.kernel.blockdev import device_path, open_device
from drystone.kernel.dm.device_mapper import KernelDeviceMapper

pytestmark = pytest.mark.lab(memory="768M")

MIB = 1 << 20
DISKS = 4
DISK_SIZE = 120 * MIB
"""Bytes of a disk, holes mostly: together they have room for the smallest xfs."""
LIMIT_S = 120


class Host:
    """A group on loop devices, and the commands."""

    def __init__(self, dm: KernelDeviceMapper, folder: Path, paths: list[str]) -> None:
        self.dm, self.folder, self.paths = dm, folder, paths
        self.ids = seeded_ids("online")
        self.configuration = folder / "dvm.toml"
        self.filter(paths)
        self.dvm("discover", "add", "vg", *paths)
        devices = folder / "devices.json"
        devices.write_text(json.dumps(self.dvm("discover", "find", "vg")))
        first = folder / "first.json"
        first.write_text(json.dumps(self.dvm("metadata", "init", "--extent-size", "1m", "--devices", str(devices))))
        self.dvm("transact", "expand", "vg", "--devices", str(devices), "--metadata", str(first))

    def filter(self, paths: list[str]) -> None:
        """Only these are looked at."""
        names = "|".join(path.removeprefix("/dev/") for path in paths)
        self.configuration.write_text(f'[discover]\nfilters = [{{accept = "^/dev/({names})$"}}, {{reject = "."}}]\n')

    def dvm(self, *words: str) -> Any:
        """What a command prints. :raises DrystoneError: it fails."""
        result = CliRunner().invoke(dvm, ["-c", str(self.configuration), *words], obj=self.dm)
        if isinstance(result.exception, DrystoneError):
            raise result.exception
        assert result.exit_code == 0, (words, result.output, result.exception)
        return json.loads(result.stdout)

    @property
    def live(self) -> LiveGroup:
        from contextlib import nullcontext
        from datetime import UTC, datetime
        from functools import partial

        from drystone.cli.dvm.plain.groups import make_nodes
        from drystone.dvm.discovery.devices import parse_devices
        from drystone.dvm.dmexec import execute
        from drystone.dvm.transactions.live_group import Host as Machine
        from drystone.dvm.transactions.page_blocks import PageBlocks

        machine = Machine(
            self.dm,
            partial(execute, dm=self.dm, devices=PageBlocks(), memory=nullcontext),
            lambda: datetime.now(UTC),
            lambda: make_nodes(self.dm),
        )
        return LiveGroup(machine, lambda: parse_devices(encode(self.dvm("discover", "find", "vg"))))

    def change(self, mutate: Callable[[Group], Group]) -> None:
        self.live.update(mutate, ("test",))

    def group(self) -> Group:
        return self.live.read()

    def path(self, name: str) -> str:
        return device_path(self.dm.info(device_name("vg", name)).number)

    def write(self, name: str, seed: str) -> bytes:
        """Fill a volume; what is there from now on."""
        with open_device(self.path(name), write=True) as device:
            data = random.Random(seed).randbytes(min(device.size, 8 * MIB))
            device.pwrite(0, data)
            device.flush()
        return data

    def read(self, name: str, length: int) -> bytes:
        with open_device(self.path(name)) as device:
            return device.pread(0, length)

    def wait(self, done: Callable[[], bool]) -> None:
        limit = time.monotonic() + LIMIT_S
        while not done():
            assert time.monotonic() < limit, self.dvm("observe", "--name", "vg-")
            time.sleep(0.1)

    def rebuilt(self, name: str) -> None:
        """Wait until a raid set is in sync and idle."""
        self.wait(lambda: name in rebuilt_sets(self.group(), observe(self.dm, self.group())))


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    paths = []
    for at in range(DISKS):
        file = tmp_path / f"disk{at}"
        with file.open("xb") as handle:
            handle.truncate(DISK_SIZE)
        paths.append(loop.attach(str(file)).path)
    with KernelDeviceMapper() as dm:
        host = Host(dm, tmp_path, paths)
        yield host
        host.filter(paths)
        for each in mounts.list_mounts():
            if each.target.startswith(str(tmp_path)):
                mounts.unmount(each.target)
        host.dvm("activate", "vg", "--off", "--partial")
        assert dm.list_devices() == []
    for path in paths:
        loop.detach(path)


def test_a_raid1_gets_a_leg_and_loses_another(host: Host) -> None:
    host.change(lambda group: create(group, Wish("safe", 8 * MIB), host.ids, "raid1"))
    host.rebuilt("safe")
    data = host.write("safe", "a")
    host.change(lambda group: raid.add_legs(group, "safe", host.ids))
    host.rebuilt("safe")
    assert host.read("safe", len(data)) == data
    host.change(lambda group: raid.settled(group, "safe"))
    host.rebuilt("safe")
    host.change(lambda group: raid.drop_legs(group, "safe", [0]))
    host.rebuilt("safe")
    assert host.read("safe", len(data)) == data
    # Each of the legs that are left holds it alone.
    for part in ("safe:data0", "safe:data1"):
        assert host.read(part, len(data)) == data
    data = host.write("safe", "b")
    host.dvm("activate", "vg", "--off")
    host.dvm("activate", "vg")
    host.rebuilt("safe")
    assert host.read("safe", len(data)) == data


def test_a_volume_goes_back_to_its_classic_snapshot(host: Host) -> None:
    host.change(lambda group: create(group, Wish("db", 8 * MIB), host.ids))
    data = host.write("db", "old")
    host.change(lambda group: snapshot.snapshot(group, "db", "monday", host.ids, size=12 * MIB))
    assert host.write("db", "new") != data
    with open_device(host.path("db")) as _, pytest.raises(BusyError, match="vg-db is in use"):
        host.change(lambda group: snapshot.begin_merge(group, "monday"))
    host.change(lambda group: snapshot.begin_merge(group, "monday"))
    assert host.read("db", len(data)) == data, "at once"
    host.dvm("activate", "vg", "--off")
    host.dvm("activate", "vg")
    assert host.read("db", len(data)) == data, "a restart goes on"
    host.wait(lambda: bool(merged_snapshots(host.group(), observe(host.dm, host.group()))))
    host.change(lambda group: snapshot.finish_merge(group, merged_snapshots(group, observe(host.dm, group))))
    assert host.read("db", len(data)) == data
    assert [each.name for each in host.dm.list_devices()] == ["vg-db"]


def test_thin_volumes_go_back_and_two_pools_sleep(host: Host) -> None:
    for pool, name in (("pool1", "one"), ("pool2", "two")):
        host.change(lambda group, pool=pool: thin.thin_pool(group, pool, 24 * MIB, host.ids))  # type: ignore[misc]
        host.change(lambda group, pool=pool, name=name: thin.thin(group, pool, [name], 16 * MIB, host.ids))  # type: ignore[misc]
    data = host.write("one", "old")
    host.change(lambda group: thin.thin_snapshot(group, "one", "one-monday", host.ids))
    host.write("one", "new")
    with open_device(host.path("one")) as _, pytest.raises(BusyError, match="vg-one is in use"):
        host.change(lambda group: thin.rollback(group, "one", "one-monday"))
    host.change(lambda group: thin.rollback(group, "one", "one-monday"))
    assert host.read("one", len(data)) == data
    host.dvm("activate", "vg", "--off")
    assert host.dm.list_devices() == []

    def both(group: Group) -> Group:
        return thin.thin_snapshot(thin.thin_snapshot(group, "one", "s1", host.ids), "two", "s2", host.ids)

    host.change(both)
    assert host.read("s1", len(data)) == data
    host.dvm("activate", "vg", "--off")
    started = host.dvm("activate", "--all")
    assert [each["group"] for each in started["groups"]] == ["vg"]
    assert host.read("one", len(data)) == data


def test_layers_over_a_thin_volume_in_use(host: Host) -> None:
    host.change(lambda group: thin.thin_pool(group, "pool", 24 * MIB, host.ids))
    host.change(lambda group: thin.thin(group, "pool", ["db"], 16 * MIB, host.ids))
    data = host.write("db", "a")
    for cover, uncover in (
        (lambda group: layers.era(group, "db", host.ids), lambda group: layers.unera(group, "db")),
        (lambda group: layers.cache(group, "db", 4 * MIB, host.ids), lambda group: layers.uncache(group, "db")),
    ):
        with open_device(host.path("db")) as handle:
            host.change(cover)
            assert handle.pread(0, len(data)) == data
        host.dvm("activate", "vg", "--off")
        host.dvm("activate", "vg")
        assert host.read("db", len(data)) == data
        data = host.write("db", "more")
        with open_device(host.path("db")) as handle:
            host.change(uncover)
            assert handle.pread(0, len(data)) == data
        assert host.read("db", len(data)) == data


def test_ext4_grows_in_use_and_shrinks_out_of_use(host: Host) -> None:
    host.change(lambda group: create(group, Wish("home", 16 * MIB), host.ids))
    subprocess.run(["mkfs.ext4", "-q", host.path("home")], check=True)
    target = host.folder / "home"
    target.mkdir()
    mounts.mount(host.path("home"), str(target), "ext4")
    (target / "file").write_bytes(b"content" * 1000)
    before = os.statvfs(target).f_blocks
    plan = host.dvm("resize", "vg", "home", "--by", "16m", "--dry-run")
    assert [each["act"] for each in plan["steps"]] == ["extend-volume", "grow-file-system"]
    assert os.statvfs(target).f_blocks == before
    host.dvm("resize", "vg", "home", "--by", "16m")
    assert os.statvfs(target).f_blocks > before * 3 // 2
    with pytest.raises(RefusedError, match="not made smaller while it is mounted"):
        host.dvm("resize", "vg", "home", "--size", "20m")
    mounts.unmount(str(target))
    with pytest.raises(RefusedError, match="holds more than fits"):
        host.dvm("resize", "vg", "home", "--size", "1m")
    assert host.group().volumes[0].size == 32 * MIB
    host.dvm("resize", "vg", "home", "--size", "20m")
    host.dvm("resize", "vg", "home", "--by", "4m")
    assert host.group().volumes[0].size == 24 * MIB
    subprocess.run(["e2fsck", "-f", "-n", host.path("home")], check=True, capture_output=True)
    mounts.mount(host.path("home"), str(target), "ext4")
    assert (target / "file").read_bytes() == b"content" * 1000


def test_xfs_grows_in_use_alone(host: Host) -> None:
    host.change(lambda group: create(group, Wish("home", 320 * MIB), host.ids))
    subprocess.run(["mkfs.xfs", "-q", "-K", host.path("home")], check=True)
    with pytest.raises(RefusedError, match="grows only while it is mounted"):
        host.dvm("resize", "vg", "home", "--by", "64m")
    target = host.folder / "home"
    target.mkdir()
    mounts.mount(host.path("home"), str(target), "xfs")
    before = os.statvfs(target).f_blocks * os.statvfs(target).f_frsize
    host.dvm("resize", "vg", "home", "--by", "64m")
    assert os.statvfs(target).f_blocks * os.statvfs(target).f_frsize == before + 64 * MIB
    mounts.unmount(str(target))
    with pytest.raises(RefusedError, match="xfs cannot be made smaller"):
        host.dvm("resize", "vg", "home", "--less", "64m")


def test_a_device_in_use_is_replaced(host: Host) -> None:
    host.change(lambda group: create(group, Wish("db", 8 * MIB, devices=(host.paths[0],)), host.ids))
    host.change(lambda group: create(group, Wish("safe", 8 * MIB, devices=tuple(host.paths[:2])), host.ids, "raid1"))
    host.rebuilt("safe")
    data = host.write("db", "a"), host.write("safe", "b")
    with open_device(host.path("db")) as handle:
        onto = ("--on", host.paths[2], "--on", host.paths[3])
        done = host.dvm("replace", "vg", host.paths[0], *onto, "--no-wait")
        assert done["steps"][0].endswith("begins to move to other devices")
        if not done["done"]:
            done = host.dvm("replace", "vg", host.paths[0], *onto)
        assert done["done"]
        assert handle.pread(0, len(data[0])) == data[0]
    assert (host.read("db", len(data[0])), host.read("safe", len(data[1]))) == data
    assert host.paths[0] not in {each["path"] for each in host.dvm("discover", "find", "vg")["devices"]}
    assert host.paths[0] not in {each.path for each in host.group().devices}
    host.dvm("activate", "vg", "--off")
    host.dvm("activate", "vg")
    host.rebuilt("safe")
    assert (host.read("db", len(data[0])), host.read("safe", len(data[1]))) == data


def test_a_lost_device_is_replaced(host: Host) -> None:
    host.change(lambda group: create(group, Wish("safe", 8 * MIB, devices=tuple(host.paths[:2])), host.ids, "raid1"))
    host.change(lambda group: create(group, Wish("alone", 4 * MIB, devices=(host.paths[2],)), host.ids))
    host.rebuilt("safe")
    data = host.write("safe", "a")
    host.dvm("activate", "vg", "--off")
    lost = next(each.uuid for each in host.group().devices if each.path == host.paths[1])
    host.filter([host.paths[0], *host.paths[2:]])
    with pytest.raises(DrystoneError, match="missing"):
        host.dvm("activate", "vg")
    started = host.dvm("activate", "vg", "--partial", "--wait", "0.1")["groups"][0]
    assert [each["volume"] for each in started["degraded"]] == ["safe"]
    assert host.read("safe", len(data)) == data
    done = host.dvm("replace", "vg", lost)
    assert done["done"]
    assert host.read("safe", len(data)) == data
    host.rebuilt("safe")
    assert lost not in {each.uuid for each in host.group().devices}
    assert len(host.dvm("discover", "find", "vg")["devices"]) == DISKS - 1
    host.paths = [host.paths[0], *host.paths[2:]]
    host.filter(host.paths)
