"""The driver devicemapper on a simulated machine: what it refuses, and what a failure leaves."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from drystone.base.errors import (
    BusyError,
    DamagedError,
    DrystoneError,
    ExhaustedError,
    KernelError,
    MismatchError,
    RefusedError,
    UsageError,
)
from drystone.formats.thin.layout import NEEDS_CHECK
from drystone.formats.thin.superblock import parse_superblock
from drystone.kernel.dm.abc import DeviceNumber
from drystone.kernel.mounts import Mount
from drystone.testing.faults import FaultyDeviceMapper, Killed, fail_calls
from drystone.testing.volume_host import DATA, METADATA, SimulatedHost
from drystone.volumes.driver import Snapshot
from drystone.volumes.drivers import adoption
from drystone.volumes.previews import preview_delete

from .world import BLOCK, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def refuse(world: World, kind: type[DrystoneError], message: str) -> None:
    """The start is refused, and nothing was changed by it."""
    before = len(world.host.steps)
    with pytest.raises(kind, match=message):
        world.start()
    assert set(world.host.steps[before:]) <= {"begin", "commit"}
    assert world.host.kernel.list_devices() == []
    world.catalogue.close()


def test_a_volume_from_beginning_to_end(world: World) -> None:
    service = world.start()
    volume = world.create("db")
    assert volume.facts["DevID"] == "1"
    place = service.mount("db").mount_point
    assert place == str(world.folder / "mounts" / volume.uuid)
    service.create_snapshot("db", "monday")
    world.check()
    info = service.inspect("db")["DriverInfo"]
    expected = {
        "DevID": "1",
        "Device": f"/dev/mapper/convoy-pool-{volume.uuid}",
        "MountPoint": place,
        "Size": "1048576",
    }
    assert info == expected
    service.umount("db")
    service.delete("db")
    world.check()
    assert world.host.thin_ids() == set()


def test_a_snapshot_freezes_its_mounted_origin(world: World) -> None:
    service = world.start()
    world.create("db")
    service.mount("db")
    world.host.steps.clear()
    service.create_snapshot("db", "monday")
    changes = [each for each in world.host.steps if each not in {"begin", "commit"}]
    assert changes[:3] == ["suspend", "message", "resume"]
    assert set(changes[3:]) == {"message"}


@pytest.mark.parametrize(
    ("prepare", "kind", "message"),
    [
        (lambda host: host.users.update({DATA: "mounted at /srv"}), BusyError, "datadev=/dev/data is mounted at /srv"),
        (lambda host: host.users.update({METADATA: "used by /dev/mapper/x"}), BusyError, "metadatadev=.* is used by"),
        (lambda host: host.kinds.update({DATA: "ext4"}), RefusedError, "holds ext4, which a new pool would overwrite"),
        (lambda host: host.first_blocks.update({METADATA: b"x" * 4096}), RefusedError, "no metadata of a thin pool"),
        (lambda host: host.paths.update({METADATA: host.paths[DATA]}), UsageError, "are the same device"),
        (lambda host: host.paths.pop(DATA), DrystoneError, "there is no /dev/data"),
        (lambda host: host.kernel.add_disk(DeviceNumber(7, 1), 64), UsageError, "is smaller than 1.0 MiB"),
        (lambda host: host.kernel.add_disk(DeviceNumber(7, 0), 64), UsageError, "smaller than one block"),
    ],
)
def test_devices_that_cannot_be_used(
    world: World, prepare: Callable[[SimulatedHost], object], kind: type[DrystoneError], message: str
) -> None:
    prepare(world.host)
    refuse(world, kind, message)
    assert world.catalogue.get_pool("convoy-pool") is None
    world.catalogue.close()


def test_a_name_that_is_taken(world: World) -> None:
    world.host.kernel.create("convoy-pool", "somebody")
    with pytest.raises(BusyError, match="not ours"):
        world.start()


def test_another_pool_on_the_devices(world: World, tmp_path: Path) -> None:
    world.start()
    world.create("db")
    world.host.revive(reboot=True)
    (tmp_path / "other").mkdir()
    refuse(World(tmp_path / "other", world.host), RefusedError, "transaction 1.* this root knows nothing of")
    world.catalogue.close()
    for options, kind, message in (
        ({"dm.thinpoolname": "other"}, MismatchError, "no pool 'other'"),
        ({"dm.thinpoolblocksize": "256"}, UsageError, "was made with dm.thinpoolblocksize=128"),
    ):
        refuse(World(tmp_path, world.host, **options), kind, message)
    world.host.kernel.machine.contents.clear()
    refuse(World(tmp_path, world.host), MismatchError, "is empty, pool convoy-pool is at transaction 1")
    world.host.kernel.add_disk(DeviceNumber(7, 0), 128)


def test_a_transaction_that_is_not_ours(world: World) -> None:
    world.start()
    world.create("db")
    world.host.kernel.message("convoy-pool", "set_transaction_id 1 5")
    world.catalogue.close()
    with pytest.raises(MismatchError, match="at transaction 5, the catalogue at 1"):
        world.restart()
    world.catalogue.close()
    world.host.revive(reboot=True)
    refuse(world, MismatchError, "at transaction 5, the catalogue at 1")


@pytest.mark.parametrize("size", [1, 65535, BLOCK + 512, 100_000])
def test_sizes_that_are_no_multiple_of_the_block(world: World, size: int) -> None:
    world.start()
    with pytest.raises(UsageError, match="no multiple of the pool's block size"):
        world.create("db", size)
    world.check()


def test_a_pool_near_its_end_takes_no_new_work(world: World) -> None:
    service = world.start()
    volume = world.create("db", 31 << 19)
    service.create_snapshot("db", "early")
    world.host.kernel.write(f"convoy-pool-{volume.uuid}", 0, (31 << 19) // 512)
    for call in (lambda: world.create("more"), lambda: service.create_snapshot("db", "late")):
        with pytest.raises(ExhaustedError, match=r"is full: .* blocks are free"):
            call()
    world.check()
    service.delete("db")
    world.create("more")


def test_a_failed_pool_says_so(world: World) -> None:
    world.start()
    pool = next(each for each in world.host.kernel.machine.instances.values() if hasattr(each, "metadata"))
    pool.metadata = replace(pool.metadata, needs_check=True)
    with pytest.raises(DamagedError, match="needs a check"):
        world.create("db")


def test_a_device_that_somebody_holds_is_not_deleted(world: World) -> None:
    service = world.start()
    volume = world.create("db")
    world.host.kernel.open(f"convoy-pool-{volume.uuid}")
    with pytest.raises(BusyError, match="is in use"):
        service.delete("db")
    world.check()
    world.host.kernel.close(f"convoy-pool-{volume.uuid}")
    service.delete("db")
    world.check()


def test_a_volume_whose_device_somebody_has_open_keeps_its_snapshots(world: World) -> None:
    world.start()
    volume = world.create("db")
    world.service.create_snapshot("db", "monday")
    world.host.kernel.open(f"convoy-pool-{volume.uuid}")
    with pytest.raises(BusyError, match="is in use"):
        world.service.delete("db")
    assert [each.name for each in world.catalogue.list_snapshots()] == ["monday"]
    world.check()
    world.host.kernel.close(f"convoy-pool-{volume.uuid}")
    world.service.delete("db")
    world.check()


def test_a_volume_whose_snapshot_cannot_be_deleted_is_there_to_be_used(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = world.start()
    world.create("db")
    service.create_snapshot("db", "monday")

    def fail(*_: object) -> None:
        raise KernelError("message", errno.EIO)

    with monkeypatch.context() as patched:
        patched.setattr(service.driver_of("devicemapper"), "delete_snapshot", fail)
        with pytest.raises(KernelError):
            service.delete("db")
    assert service.mount("db").mount_point
    service.umount("db")
    world.check()


def test_a_volume_that_is_mounted_by_hand_keeps_its_snapshots(world: World) -> None:
    world.start()
    volume = world.create("db")
    world.service.create_snapshot("db", "monday")
    world.host.mount(f"/dev/mapper/convoy-pool-{volume.uuid}", "/mnt", "ext4")
    for call in (world.service.delete, partial(preview_delete, world.service)):
        with pytest.raises(BusyError, match="volume db is mounted at /mnt"):
            call("db")
    assert [each.name for each in world.catalogue.list_snapshots()] == ["monday"]
    world.host.unmount("/mnt")
    world.service.delete("db")
    world.check()


def test_two_volumes_are_not_mounted_at_one_place(world: World) -> None:
    service = world.start()
    world.create("db")
    world.create("other")
    place = service.mount("db", str(world.folder / "mnt")).mount_point
    with pytest.raises(BusyError, match=f"is mounted at {place}"):
        service.mount("other", place)
    world.check()


def test_what_somebody_mounted_over_a_volume_is_not_unmounted(world: World) -> None:
    service = world.start()
    world.create("db")
    place = service.mount("db").mount_point
    over = Mount(2, 1, DeviceNumber(8, 1), "/", place, (), (), "ext4", "/dev/sdb", ())
    world.host.mounted.append(over)
    with pytest.raises(BusyError, match="/dev/sdb is mounted over it"):
        service.umount("db")
    assert over in world.host.mounted
    world.host.mounted.remove(over)
    service.umount("db")
    world.check()


def test_a_size_that_no_file_system_fits_in(world: World) -> None:
    world.start()
    with pytest.raises(UsageError, match="too small for ext4"):
        world.create("db", BLOCK)
    world.check()


def test_every_single_failing_call_leaves_the_old_state(tmp_path: Path) -> None:
    """Each device-mapper call of a creation fails once: the error comes out, nothing is left, and it works again."""
    number = 0
    while True:
        number += 1
        world = World(tmp_path / str(number))
        world.folder.mkdir()
        service = world.start()
        world.create("db")
        faulty = FaultyDeviceMapper(world.host.kernel, fail_calls({number: errno.EIO}))
        world.host._faulty = faulty
        try:
            service.create_snapshot("db", "monday")
            world.create("new")
        except DrystoneError:
            world.check()
            assert len(world.names()[0]) == 1
        else:
            assert number > 6
            world.catalogue.close()
            return
        world.host.revive()
        world.create("new")
        world.check()
        world.catalogue.close()


def test_backups_read_what_is_mapped_and_what_changed(world: World) -> None:
    service = world.start()
    volume = world.create("db")
    device = f"convoy-pool-{volume.uuid}"
    world.host.kernel.write(device, 0, 512)
    first = service.create_snapshot("db", "one")
    world.host.kernel.write(device, 1024, 128)
    second = service.create_snapshot("db", "two")
    driver = service.drivers["devicemapper"]
    with driver.read_snapshot(first, None) as source:
        assert (source.size, source.relative) == (1 << 20, False)
        assert source.extents()[:, 0].tolist() == [0, BLOCK, 2 * BLOCK, 3 * BLOCK]
    with driver.read_snapshot(second, first) as source:
        assert source.relative
        assert source.extents().tolist() == [[8 * BLOCK, BLOCK]]
        buffer = np.zeros(BLOCK, np.uint8)
        source.read_into(8 * BLOCK, buffer)
        assert buffer[0] == buffer[-1] != 0
        assert len(world.host.kernel.list_devices()) == 3
    world.check()


def test_what_a_killed_backup_left_is_cleared(world: World) -> None:
    service = world.start()
    world.create("db")
    snapshot = service.create_snapshot("db", "one")
    world.host.steps.clear()
    read_once(world, snapshot)
    for kill_at in range(1, len(world.host.steps) + 1):
        world.host.revive()
        world.host.kill_at = kill_at
        with pytest.raises(Killed):
            read_once(world, snapshot)
        world.restart()
        world.check()
        assert world.host.held_root() is None


def read_once(world: World, snapshot: Snapshot) -> None:
    """What a backup does with the driver."""
    with world.service.drivers["devicemapper"].read_snapshot(snapshot, None):
        world.host.step("read")


def test_damaged_metadata_is_not_activated(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.start()
    world.create("db")
    world.catalogue.close()
    world.host.revive(reboot=True)
    world.host.damage = "block 7: wrong checksum"
    with pytest.raises(DamagedError, match="block 7: wrong checksum; its pool is not activated") as damaged:
        world.start()
    assert "drystone thin repair" in damaged.value.hint
    assert world.host.kernel.list_devices() == []
    world.catalogue.close()
    world.host.damage = ""
    with monkeypatch.context() as patch:
        flagged = parse_superblock(world.host.read_first_block(METADATA))
        patch.setattr(adoption, "parse_superblock", lambda _: replace(flagged, flags=NEEDS_CHECK))
        with pytest.raises(DamagedError, match="metadata checked, and it is sound") as wanted:
            world.start()
    assert "--clear-needs-check-flag" in wanted.value.hint
    assert world.host.kernel.list_devices() == []
    world.catalogue.close()
    world.start()
    world.check()


def test_metadata_of_a_pool_that_runs_is_the_kernels_to_check(world: World) -> None:
    world.start()
    world.host.damage = "what is half written"
    world.restart()
    world.check()
