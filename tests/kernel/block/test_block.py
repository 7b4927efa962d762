"""Loop devices, direct access, mounts and file systems on real devices."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from drystone.base.errors import (
    BusyError,
    DamagedError,
    DrystoneError,
    KernelError,
    NotFoundError,
    RefusedError,
    UsageError,
)
from drystone.kernel import filesystems, loop, mounts, sysfs
from drystone.kernel.blockdev import BLOCK, device_number, device_path, open_device, size_of
from drystone.kernel.pages import PAGE, open_pages

SIZE = 64 << 20


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "disk"
    with path.open("wb") as handle:
        handle.truncate(SIZE)
    return path


@pytest.fixture
def disk(file: Path) -> Iterator[loop.Loop]:
    found = loop.attach(str(file))
    yield found
    loop.detach(found.path)


@pytest.fixture
def mount_point(tmp_path: Path) -> Iterator[str]:
    path = tmp_path / "mnt"
    path.mkdir()
    yield str(path)
    while mounts.mount_at(str(path)) is not None:
        mounts.unmount(str(path))


def test_a_loop_device_is_as_long_as_its_file(file: Path) -> None:
    found = loop.attach(str(file))
    assert found.file == str(file)
    assert (found.read_only, found.autoclear, found.offset, found.size_limit) == (False, False, 0, 0)
    assert found in loop.list_loops()
    assert loop.find_by_file(str(file)) == [found]
    assert device_number(found.path) == found.number
    assert device_path(found.number) == found.path
    assert size_of(found.path) == SIZE
    os.truncate(file, 2 * SIZE)
    assert size_of(found.path) == SIZE
    loop.set_capacity(found.path)
    assert size_of(found.path) == 2 * SIZE
    loop.detach(found.path)
    assert found not in loop.list_loops()
    with pytest.raises(NotFoundError):
        loop.detach(found.path)
    with pytest.raises(NotFoundError):
        loop.set_capacity(found.path)


def test_a_file_is_found_by_all_its_names(file: Path, disk: loop.Loop) -> None:
    other = file.with_name("other")
    other.hardlink_to(file)
    assert loop.find_by_file(str(other)) == [disk]
    file.unlink()
    assert loop.find_by_file(str(other))[0].number == disk.number


@pytest.mark.parametrize("block_size", [512, 4096])
def test_parts_read_only_and_blocks(file: Path, block_size: int) -> None:
    found = loop.attach(str(file), read_only=True, offset=4096, size_limit=8192, block_size=block_size)
    try:
        limits = sysfs.read_limits(found.number)
        assert (found.read_only, found.offset, found.size_limit) == (True, 4096, 8192)
        assert (limits.size, limits.read_only, limits.logical_block) == (8192, True, block_size)
        with pytest.raises(KernelError):
            open_device(found.path, write=True).pwrite(0, bytes(BLOCK))
        with pytest.raises(KernelError) as refused:
            open_pages(found.path, write=True)
        assert refused.value.errno in {errno.EROFS, errno.EACCES}
        with open_pages(found.path) as device:
            assert device.read(1, 1) == bytes(PAGE)
    finally:
        loop.detach(found.path)


def test_a_held_loop_device_goes_with_its_holder(file: Path) -> None:
    with loop.hold(str(file)) as found:
        assert found.autoclear
        assert loop.find_by_file(str(file)) == [found]
    assert loop.find_by_file(str(file)) == []


def test_autoclear_waits_for_the_last_close(file: Path, disk: loop.Loop) -> None:
    with open_device(disk.path):
        loop.set_autoclear(disk.path)
        assert loop.find_by_file(str(file))[0].autoclear
    assert loop.find_by_file(str(file)) == []
    assert loop.attach(str(file)).path == disk.path


def test_many_at_once_get_a_device_each(tmp_path: Path) -> None:
    made: list[loop.Loop] = []
    for number in range(12):
        path = tmp_path / str(number)
        path.write_bytes(bytes(BLOCK))
        made.append(loop.attach(str(path)))
    assert len({each.number for each in made}) == 12
    for each in made:
        loop.detach(each.path)


_RACER = """
import sys
from drystone.kernel import loop
print("ready", flush=True)
sys.stdin.readline()
print(*[loop.attach(sys.argv[1]).path for _ in range(8)])
"""


def test_processes_that_race_for_devices_get_one_each(file: Path) -> None:
    racers = [
        subprocess.Popen([sys.executable, "-c", _RACER, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    for each in racers:
        assert each.stdout is not None
        assert each.stdout.readline() == b"ready\n"
    found: list[str] = []
    for each in racers:
        assert each.stdin is not None
        each.stdin.write(b"\n")
        each.stdin.flush()
    for each in racers:
        out, _ = each.communicate(timeout=60)
        assert each.returncode == 0
        found += out.decode().split()
    assert len(found) == len(set(found)) == 24
    assert sorted(found) == sorted(each.path for each in loop.find_by_file(str(file)))
    for path in found:
        loop.detach(path)


@pytest.mark.parametrize("direct", [True, False])
def test_any_range_is_read_and_written(file: Path, disk: loop.Loop, direct: bool) -> None:
    content = np.random.default_rng(3).integers(0, 256, 1 << 20, dtype=np.uint8).tobytes()
    with open_device(disk.path, write=True, direct=direct) as device:
        assert (device.size, device.direct, device.number) == (SIZE, direct, disk.number)
        assert device.unit == (512 if direct else 1)
        device.pwrite(1000, content)
        device.flush()
        assert device.pread(1000, len(content)) == content
        assert device.pread(999, 3) == b"\0" + content[:2]
        device.pwrite(1001, b"!")
        assert device.pread(1000, 3) == content[:1] + b"!" + content[2:3]
        device.flush()
        assert device.pread(SIZE - 1, 1) == b"\0"
        with pytest.raises(UsageError):
            device.pread(SIZE, 1)
    assert file.read_bytes()[1000 : 1000 + 3] == content[:1] + b"!" + content[2:3]


def test_discard_and_zeros(file: Path, disk: loop.Loop) -> None:
    assert sysfs.read_limits(disk.number).discard_largest > 0
    with open_device(disk.path, write=True) as device:
        device.pwrite(0, b"x" * (1 << 20))
        device.flush()
        device.zero_out(4096, 8192)
        assert device.pread(4096, 8192) == bytes(8192)
        device.zero_out(100, 20)
        assert device.pread(99, 22) == b"x" + bytes(20) + b"x"
        assert file.stat().st_blocks * 512 > 900_000
        device.discard(0, 1 << 20)
        assert device.pread(0, 1 << 20) == bytes(1 << 20)
        assert file.stat().st_blocks * 512 < 100_000


def test_blocks_of_a_device(disk: loop.Loop) -> None:
    with open_device(disk.path, write=True) as device:
        for each in range(10):
            device.pwrite(each * BLOCK, bytes([each]) * BLOCK)
        device.flush()
        blocks = device.read_blocks(np.array([7, 2, 3, 2], dtype=np.uint64))
    assert blocks[:, 0].tolist() == [7, 2, 3, 2]


def test_an_exclusive_opener_and_a_mount_keep_each_other_out(disk: loop.Loop, mount_point: str) -> None:
    filesystems.make("ext4", disk.path)
    with open_device(disk.path, exclusive=True):
        with pytest.raises(BusyError):
            open_device(disk.path, exclusive=True)
        with pytest.raises(BusyError):
            mounts.mount(disk.path, mount_point, "ext4")
    mounts.mount(disk.path, mount_point, "ext4")
    with pytest.raises(BusyError, match="in use"):
        open_device(disk.path, exclusive=True)


def test_mount_and_unmount(disk: loop.Loop, mount_point: str) -> None:
    filesystems.make("ext4", disk.path, label="a label")
    assert mounts.mounts_of(disk.number) == []
    mounts.mount(disk.path, mount_point, "ext4", options="defaults,noatime,nosuid,errors=continue")
    (found,) = mounts.mounts_of(disk.number)
    assert (found.target, found.kind, found.source, found.root) == (mount_point, "ext4", disk.path, "/")
    assert {"noatime", "nosuid", "rw"} <= set(found.options)
    assert "errors=continue" in found.super_options or "rw" in found.super_options
    assert mounts.mount_at(mount_point) == found
    with pytest.raises(BusyError):
        mounts.mount(disk.path, mount_point, "ext4")
    with (Path(mount_point) / "file").open("w"):
        with pytest.raises(BusyError) as caught:
            mounts.unmount(mount_point)
        assert caught.value.facts["errno"] == 16
    mounts.unmount(mount_point)
    assert mounts.mount_at(mount_point) is None
    with pytest.raises(NotFoundError):
        mounts.unmount(mount_point)
    mounts.mount(disk.path, mount_point, "ext4", read_only=True)
    assert "ro" in mounts.mounts_of(disk.number)[0].options


def test_what_cannot_be_mounted_says_why(disk: loop.Loop, mount_point: str) -> None:
    with pytest.raises(KernelError) as caught:
        mounts.mount(disk.path, mount_point, "ext4")
    assert caught.value.errno == 22
    assert "EXT4-fs" in caught.value.hint
    with pytest.raises(KernelError) as caught:
        mounts.mount(disk.path, mount_point, "nosuchfs")
    assert caught.value.facts["errno_name"] == "ENODEV"
    with pytest.raises(NotFoundError, match="nonexistent"):
        mounts.mount(disk.path, "/nonexistent", "ext4")
    with pytest.raises(NotFoundError, match="/dev/nonexistent"):
        mounts.mount("/dev/nonexistent", mount_point, "ext4")


def test_ext4_is_made_found_checked_and_grown(file: Path, disk: loop.Loop) -> None:
    assert filesystems.probe(disk.path) is None
    filesystems.make("ext4", disk.path, label="a label")
    found = filesystems.probe(disk.path)
    assert found is not None
    assert (found.kind, found.label, found.usage) == ("ext4", "a label", "filesystem")
    with pytest.raises(RefusedError, match="there is ext4"):
        filesystems.make("ext4", disk.path)
    filesystems.check("ext4", disk.path)
    os.truncate(file, 2 * SIZE)
    loop.set_capacity(disk.path)
    filesystems.grow("ext4", disk.path)
    filesystems.check("ext4", disk.path)
    with open_device(disk.path, write=True) as device:
        device.zero_out(8192, 64 << 10)
        device.flush()
    with pytest.raises(DamagedError) as caught:
        filesystems.check("ext4", disk.path)
    assert caught.value.facts["program"] == "e2fsck"
    filesystems.make("ext4", disk.path, force=True)


def test_a_plain_file_can_hold_a_file_system_too(file: Path) -> None:
    assert filesystems.probe(str(file)) is None
    filesystems.make("ext4", str(file), label="x")
    found = filesystems.probe(str(file))
    assert found is not None
    assert (found.kind, found.label) == ("ext4", "x")
    filesystems.check("ext4", str(file))


def test_xfs_is_made_mounted_and_grown(tmp_path: Path, mount_point: str) -> None:
    file = tmp_path / "large"
    with file.open("wb") as handle:
        handle.truncate(320 << 20)
    with loop.hold(str(file)) as disk:
        filesystems.make("xfs", disk.path, label="large")
        filesystems.check("xfs", disk.path)
        mounts.mount(disk.path, mount_point, "xfs")
        before = os.statvfs(mount_point).f_blocks
        os.truncate(file, 400 << 20)
        loop.set_capacity(disk.path)
        filesystems.grow("xfs", disk.path, mount_point)
        assert os.statvfs(mount_point).f_blocks > before
        with pytest.raises(UsageError, match="mounted"):
            filesystems.grow("xfs", disk.path)
        mounts.unmount(mount_point)


def test_programs_that_fail_tell_their_last_line(disk: loop.Loop) -> None:
    with pytest.raises(DrystoneError, match=r"mkfs\.xfs on .* failed: ") as caught:
        filesystems.make("xfs", disk.path)
    assert caught.value.facts["status"] == 1
    with pytest.raises(UsageError, match="ext4, xfs"):
        filesystems.make("btrfs", disk.path)
    with pytest.raises(NotFoundError):
        filesystems.probe("/dev/nonexistent")
