"""Wrong options, wrong devices, a full pool: a clear error each, and nothing lost."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Host, run


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Host]:
    """A host whose pool is filled quickly."""
    made = Host(tmp_path, data="96M")
    yield made
    made.close()


pytestmark = pytest.mark.lab(memory="768M")


def first_bytes(device: str) -> bytes:
    with Path(device).open("rb") as file:
        return file.read(1 << 20)


def test_devices_that_cannot_be_used(host: Host) -> None:
    spare = host.loop("spare.vol", "64M")
    run("mkfs.ext4", "-q", spare)

    host.set_options(datadev=spare)
    assert f"dm.datadev={spare} holds ext4" in host.fail_to_start()
    host.set_options(metadatadev=spare)
    assert f"dm.metadatadev={spare} holds ext4" in host.fail_to_start()

    place = host.folder / "mnt"
    place.mkdir()
    run("mount", spare, str(place))
    (place / "file").write_text("precious")
    for option in ("datadev", "metadatadev"):
        host.set_options(**{option: spare})
        assert host.fail_to_start().startswith(f"dm.{option}={spare} is mounted at {place}")
    assert (place / "file").read_text() == "precious"
    run("umount", str(place))

    run("dmsetup", "create", "holder", "--table", f"0 2048 linear {host.data} 0")
    host.set_options()
    assert f"dm.datadev={host.data} is used by /dev/mapper/holder" in host.fail_to_start()
    run("dmsetup", "remove", "holder")

    host.set_options(datadev=str(host.folder / "data.vol"))
    assert "no block device" in host.fail_to_start()

    assert first_bytes(host.data) == first_bytes(host.metadata) == bytes(1 << 20)
    assert first_bytes(spare) != bytes(1 << 20)
    assert "No devices" in run("dmsetup", "ls")
    host.set_options()
    host.start()


def test_a_pool_of_somebody_else(running: Host) -> None:
    running.convoy("create", "db")
    running.stop()
    running.take_down()
    own_root = running.root
    running.root = running.folder / "other-root"
    assert "that this root knows nothing of" in running.fail_to_start()
    running.root = own_root

    other = running.loop("other.vol", "16M")
    running.set_options(metadatadev=other)
    assert "is empty, pool convoy-pool is at transaction 1" in running.fail_to_start()
    running.set_options(thinpoolblocksize="256")
    assert "was made with dm.thinpoolblocksize=128" in running.fail_to_start()
    running.set_options(datadev=other, metadatadev=running.metadata)
    assert "has 16777216 bytes" in running.fail_to_start()
    running.set_options()
    running.start()
    assert [each["Name"] for each in running.convoy("list").document.values()] == ["db"]


def test_a_pool_that_something_else_changed(running: Host) -> None:
    running.convoy("create", "db")
    running.stop()
    run("dmsetup", "message", "convoy-pool", "0", "set_transaction_id 1 7")
    assert "at transaction 7, the catalogue at 1" in running.fail_to_start()
    run("dmsetup", "message", "convoy-pool", "0", "set_transaction_id 7 1")
    running.start()


def test_names_that_others_have(host: Host) -> None:
    run("dmsetup", "create", "convoy-pool", "--table", "0 8 zero")
    assert "'convoy-pool' that is not ours" in host.fail_to_start()
    host.set_options(thinpoolname="mine")
    host.start()
    assert host.convoy("info").document["devicemapper"]["ThinpoolDevice"] == "/dev/mapper/mine"
    host.stop()


def test_wrong_volumes(running: Host) -> None:
    convoy = running.convoy
    assert "no multiple of the pool's block size of 65536 bytes" in convoy("create", "db", "--size", "100000").error
    assert "has no --vm" in convoy("create", "db", "--vm").error
    uuid = convoy("create", "db").text
    assert "cannot forget a volume" in convoy("delete", "-r", "db").error
    with Path(f"/dev/mapper/convoy-pool-{uuid}").open("rb"):
        assert "is in use" in convoy("delete", "db").error
    assert convoy("inspect", "db").document["UUID"] == uuid
    place = convoy("mount", "db").text
    assert f"is mounted at {place}" in convoy("delete", "db").error
    with (Path(place) / "file").open("w"):
        assert "is in use" in convoy("umount", "db").error
    assert convoy("umount", "db").code == 0
    run("dd", "if=/dev/zero", f"of=/dev/mapper/convoy-pool-{uuid}", "bs=1M", "count=4")
    assert "it holds nothing that is known" in convoy("mount", "db").error
    assert convoy("delete", "db").code == 0
    assert len(convoy("list").document) == 0


def test_mount_points_that_are_taken(running: Host) -> None:
    for name in ("db", "other"):
        running.convoy("create", name)
    place = running.convoy("mount", "db").text
    device = running.convoy("inspect", "db").document["DriverInfo"]["Device"]
    for taken in (place, "/"):
        assert f"is mounted at {taken}" in running.convoy("mount", "other", "--mountpoint", taken).error
    assert "is no folder" in running.convoy("mount", "other", "--mountpoint", str(running.log)).error
    run("mount", "-t", "tmpfs", "over", place)
    assert f"over is mounted over it at {place}" in running.convoy("umount", "db").error
    run("umount", place)
    assert device in run("findmnt", "-no", "SOURCE", place)
    assert running.convoy("umount", "db").code == 0


def test_a_folder_with_a_mount_in_it_is_not_deleted(host: Host) -> None:
    host.options = ["--drivers", "vfs", "--driver-opts", f"vfs.path={host.folder}/volumes"]
    host.start()
    host.convoy("create", "db")
    within = Path(host.convoy("mount", "db").text) / "within"
    host.convoy("umount", "db")
    within.mkdir()
    run("mount", "-t", "tmpfs", "inner", str(within))
    (within / "file").write_text("precious")
    assert f"inner is mounted at {within}" in host.convoy("delete", "db").error
    assert (within / "file").read_text() == "precious"
    run("umount", str(within))
    assert host.convoy("delete", "db").code == 0


def free_blocks() -> int:
    used, total = run("dmsetup", "status", "convoy-pool").split()[5].split("/")
    return int(total) - int(used)


def test_a_full_pool(small: Host) -> None:
    running = small
    running.start()
    convoy = running.convoy
    uuid = convoy("create", "big", "--size", "128M").text
    convoy("snapshot", "create", "big", "--name", "before")
    with Path(f"/dev/mapper/convoy-pool-{uuid}").open("r+b", buffering=0) as device:
        device.seek(16 << 20)
        device.write(b"\xa5" * (76 << 20))
        while free_blocks() > 60:
            device.write(b"\xa5" * (1 << 20))
            os.fsync(device.fileno())
    for words in (("create", "more"), ("snapshot", "create", "big")):
        assert "pool convoy-pool is full" in convoy(*words).error
    assert [each["Name"] for each in convoy("list").document.values()] == ["big"]
    running.stop(signal.SIGKILL)
    running.start()
    assert "pool convoy-pool is full" in convoy("create", "more").error
    assert convoy("delete", "big").code == 0
    assert convoy("create", "more").code == 0


def test_a_second_daemon(running: Host) -> None:
    own = (running.process, running.socket, running.root)
    running.socket = running.folder / "other"
    assert f"the root {running.root} is in use by process" in running.fail_to_start()
    running.root = running.folder / "other-root"
    assert "'convoy-pool' that is not ours" in running.fail_to_start()
    running.set_options(thinpoolname="other")
    assert f"dm.datadev={running.data} is used by /dev/mapper/convoy-pool" in running.fail_to_start()
    running.process, running.socket, running.root = own
    assert running.convoy("info").code == 0
