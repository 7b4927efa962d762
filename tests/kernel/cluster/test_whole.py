"""A volume's whole life, asked for over HTTP: an API server, a monitor, three dpvs and an ihost, each a process, by the
commands that an operator starts, on one real kernel. It gets larger, a dpv dies, and it goes back to a snapshot.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from drystone.backup.repository import open_repository
from drystone.cluster.agents.answers import VolumeSeen
from drystone.cluster.agents.slices import Slices
from drystone.cluster.model.calls import target_name
from drystone.kernel import filesystems, loop
from drystone.kernel.blockdev import open_device
from drystone.kernel.dm.device_mapper import KernelDeviceMapper
from drystone.kernel.iscsi.initiator import OpenIscsi
from drystone.kernel.lio.configfs import ConfigfsLio
from drystone.kernel.mounts import mount, unmount
from drystone.store.folder import FolderStore
from drystone.testing.iscsi_leg import HOST, name_this_host

from .servers import IHOST, Servers, await_that
from .test_agents import SIZE, Writer, find_missing

pytestmark = pytest.mark.lab(memory="1G")

DISKS = ("dpv0", "dpv1", "dpv2")
DEVICE = "/dev/mapper/drystone-dlv-db"
RESTORED = "/dev/mapper/drystone-dlv-again"


@pytest.fixture
def disks(tmp_path: Path) -> Iterator[dict[str, str]]:
    name_this_host()
    with ExitStack() as stack:
        found = {}
        for name in DISKS:
            file = tmp_path / f"{name}.disk"
            with file.open("wb") as made:
                made.truncate(256 << 20)
            found[name] = stack.enter_context(loop.hold(str(file))).path
        yield found


@pytest.fixture
def servers(tmp_path: Path, disks: dict[str, str]) -> Iterator[Servers]:
    made = Servers(tmp_path, disks)
    try:
        made.api.start()
        made.api.await_ready()  # it makes the tables
        for each in made.all[1:]:
            each.start()
        for each in made.all[1:]:
            each.await_ready()
        yield made
    finally:
        for each in made.all:
            if each.process is not None:
                each.end(signal.SIGKILL)
        print(made.logs())  # noqa: T201 - told when the test failed


def test_a_volumes_whole_life(servers: Servers, disks: dict[str, str], tmp_path: Path) -> None:
    register(servers)
    # Room for the file, its snapshot, and more than what a pool has free when it asks for more.
    servers.must("POST", "/dlvs", {"name": "db", "dvg": "fast", "size": 4 * SIZE})
    servers.await_dlv("its legs are made", lambda dlv: dlv["status"] == "detached")
    servers.must("PUT", "/dlvs/db/attachment", {"ihost": "ihost"})
    servers.await_dlv("it is attached", lambda dlv: dlv["status"] == "attached")
    place = tmp_path / "mounted"
    place.mkdir()
    filesystems.make_ext4(DEVICE)
    mount(DEVICE, str(place), "ext4")
    file = place / "file"
    file.write_bytes(bytes(SIZE))
    with Writer(str(file)) as writer:
        writer.wait_for(50)
        servers.must("POST", "/dlvs/db/snapshots", {"name": "s1"})
        servers.await_dlv("its snapshot is made", has_its_snapshot)
        make_larger(servers, place)
        dead = lose_a_dpv(servers, writer)
        writer.wait_for(50)
        servers.await_dlv("new legs are in sync", lambda dlv: is_whole_without(dlv, dead))
        writer.wait_for(50)
        saved = dict(writer.acknowledged)
        backup = servers.must("POST", "/dlvs/db/backups", {"repository": "nightly"})["id"]
        await_that("it is backed up", lambda: servers.must("GET", f"/backups/{backup}")["status"] == "finished")
    assert writer.errors == []
    assert find_missing(str(file), writer.acknowledged) == []
    (place / "later").touch()
    unmount(str(place))
    filesystems.check_ext4(DEVICE)
    detach(servers)
    go_back(servers, place)
    detach(servers)
    assert OpenIscsi().sessions() == []
    servers.must("DELETE", "/dlvs/db")
    await_that("it is gone", lambda: servers.ask("GET", "/dlvs/db")[0] == 404)
    restore(servers, servers.must("GET", f"/backups/{backup}"), saved, tmp_path)
    check_nothing_is_left(servers, disks, dead)


def register(servers: Servers) -> None:
    """Hosts and a group; the monitor finds out that their agents answer."""
    for name in DISKS:
        addresses = {"address": servers.address(name), "portal": servers.portals[name]}
        servers.must("POST", "/dpvs", {"name": name, "size": 200 << 20, **addresses})
    servers.must("POST", "/ihosts", {"name": "ihost", "address": IHOST, "initiator": HOST})
    hosts = [*(f"/dpvs/{name}" for name in DISKS), "/ihosts/ihost"]
    await_that(
        "all hosts are available",
        lambda: all(servers.must("GET", path)["status"] == "available" for path in hosts),
    )
    servers.must("POST", "/dvgs", {"name": "fast", "dpvs": DISKS})


def make_larger(servers: Servers, place: Path) -> None:
    """The volume and its mounted file system, under a writer."""
    job = servers.must("POST", "/dlvs/db/resize", {"size": 6 * SIZE, "grow_filesystem": True})
    await_that("it is larger", lambda: servers.must("GET", f"/jobs/{job['id']}")["status"] != "processing")
    assert servers.must("GET", f"/jobs/{job['id']}")["status"] == "finished", servers.logs()
    found = os.statvfs(place)
    assert found.f_blocks * found.f_frsize > 5 * SIZE
    with open_device(DEVICE) as device:
        assert device.size == 6 * SIZE


def detach(servers: Servers) -> None:
    servers.must("DELETE", "/dlvs/db/attachment")
    servers.await_dlv("it is detached", lambda dlv: dlv["status"] == "detached")


def go_back(servers: Servers, place: Path) -> None:
    """To the snapshot, which was made in the middle of writes and before `later` was there."""
    job = servers.must("POST", "/dlvs/db/rollback", {"snapshot": "s1"})
    servers.must("PUT", "/dlvs/db/attachment", {"ihost": "ihost"})
    servers.await_dlv("it is attached again", lambda dlv: dlv["status"] == "attached")
    assert servers.must("GET", f"/jobs/{job['id']}")["status"] == "finished"
    mount(DEVICE, str(place), "ext4")
    assert {each.name for each in place.iterdir()} == {"lost+found", "file"}
    found = os.statvfs(place)
    assert found.f_blocks * found.f_frsize < 4 * SIZE, "the file system is as it was"
    unmount(str(place))
    filesystems.check_ext4(DEVICE)
    with open_device(DEVICE) as device:
        assert device.size == 6 * SIZE, "the volume stays as large"


def lose_a_dpv(servers: Servers, writer: Writer) -> str:
    """One of the volume's dpvs dies, at a time when no set can be recorded: no write is acknowledged until it can.

    Its name.
    """
    dlv = servers.dlv()
    legs = dlv["legs"]
    # A mirror without writes tells of nothing: it is to have a leg of the data.
    dead: str = next(leg["dpv"] for leg in legs if leg["group"] == 1)
    recorders = servers.api, servers.monitor
    for each in recorders:
        each.send(signal.SIGSTOP)
    servers.dpvs[dead].end(signal.SIGKILL)
    for leg in legs:
        if leg["dpv"] == dead:
            ConfigfsLio().enable_target(target_name(leg["id"]), enabled=False)
    await_that("a mirror tells of it", lambda: has_failed(servers, dlv["id"]))
    held = writer.count
    time.sleep(2)
    assert writer.count == held, "a write was acknowledged while the smaller set was not recorded"
    for each in recorders:
        each.send(signal.SIGCONT)
    servers.await_dlv("the smaller set is recorded", lambda dlv: not in_sync_on(dlv, dead))
    return dead


def restore(servers: Servers, backup: Any, saved: dict[int, int], folder: Path) -> None:
    """A new volume, of a backup of one that is gone, has what was acknowledged before that was asked for."""
    image, place = folder / "image", folder / "restored"
    open_repository(FolderStore(servers.repository)).restore(backup["volume"], backup["backup"], str(image))
    wanted = {"name": "again", "dvg": "fast", "ihost": "ihost", "initial_size": 2 * SIZE}
    job = servers.must("POST", f"/backups/{backup['id']}/restore", wanted)["id"]

    def is_restored() -> bool:
        is_there = Path(RESTORED).exists()
        found = servers.must("GET", f"/jobs/{job}")
        assert found["status"] not in {"failed", "canceled"}, found
        assert not is_there, "nobody is to have it before all is there"
        return bool(found["status"] == "finished")

    await_that("it is restored", is_restored)
    servers.must("PUT", "/dlvs/again/attachment", {"ihost": "ihost"})
    await_that("it is attached", lambda: servers.must("GET", "/dlvs/again")["status"] == "attached")
    assert Path(RESTORED).read_bytes() == image.read_bytes()
    place.mkdir()
    mount(RESTORED, str(place), "ext4")
    assert find_missing(str(place / "file"), saved) == []
    unmount(str(place))
    filesystems.check_ext4(RESTORED)
    servers.must("DELETE", "/dlvs/again/attachment")
    await_that("it is detached", lambda: servers.must("GET", "/dlvs/again")["status"] == "detached")
    servers.must("DELETE", "/dlvs/again")
    await_that("it is gone", lambda: servers.ask("GET", "/dlvs/again")[0] == 404)


def has_failed(servers: Servers, dlv: str) -> bool:
    mirrors = servers.ihost_client.look(dlv, VolumeSeen).mirrors
    return any("D" in each.health or "F" in each.health for each in mirrors)


def has_its_snapshot(dlv: Any) -> bool:
    return [each["status"] for each in dlv["snapshots"]] == ["available"]


def in_sync_on(dlv: Any, dpv: str) -> list[str]:
    return [leg["id"] for leg in dlv["legs"] if leg["dpv"] == dpv and leg["in_sync"]]


def is_whole_without(dlv: Any, dpv: str) -> bool:
    return all(leg["in_sync"] and leg["dpv"] != dpv for leg in dlv["legs"])


def check_nothing_is_left(servers: Servers, disks: dict[str, str], dead: str) -> None:
    """Also not on the dpv that was dead, once it is back."""
    servers.dpvs[dead].start()
    servers.dpvs[dead].await_ready()
    with KernelDeviceMapper() as dm:
        await_that("no device is left", lambda: dm.list_devices() == [])
    lio = ConfigfsLio()
    await_that("no target is left", lambda: (lio.targets(), lio.backstores()) == ([], []))
    assert not [*Path("/run/drystone/cluster/logs").iterdir()]
    assert [each.end() for each in servers.all] == [0] * len(servers.all), servers.logs()
    assert [Slices(disk).read().slices for disk in disks.values()] == [()] * len(disks)
