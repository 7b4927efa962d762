"""Backups as block devices of a real kernel: read, mounted with a journal that is not empty, damaged, taken down."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drystone.backup.repository import BackupRequest, Repository, create_repository
from drystone.backup.serving import attached, detach, find_devices, mount_device
from drystone.backup.source import DeviceSource
from drystone.backup.tuning import Tuning
from drystone.base.errors import BusyError, DrystoneError, NotFoundError, UnsupportedError, UsageError
from drystone.kernel import nbd
from drystone.kernel.blockdev import device_number, open_device
from drystone.kernel.genetlink import GenericNetlink
from drystone.kernel.mounts import mount, mounts_of, unmount
from drystone.store.folder import FolderStore
from drystone.testing.sources import MemorySource

pytestmark = pytest.mark.lab(memory="384M", disks=["24M"])

DISK = "/dev/lab/disk0"
VOLUME = "11111111-1111-4111-8111-111111111111"
TUNING = Tuning(chunk_size=65536, segment_slots=64, pack=1 << 20)
DRYSTONE = [sys.executable, "-m", "drystone.cli.main", "backup"]


def nothing() -> None:
    pass


def fail(error: DrystoneError) -> None:
    raise AssertionError(error)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return create_repository(FolderStore(tmp_path / "store"), tuning=TUNING)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "mounted"
    made.mkdir()
    return made


@pytest.fixture
def url(tmp_path: Path, folder: Path, repository: Repository) -> str:
    """A backup of an ext4 that was in use: its journal is not empty."""
    subprocess.run(["mkfs.ext4", "-q", "-F", DISK], check=True)
    mount(DISK, str(folder), "ext4")
    (folder / "file").write_text("kept\n" * 1000)
    os.sync()
    with DeviceSource(DISK) as source:
        made = repository.create(source, BackupRequest(VOLUME, "disk"))
    unmount(str(folder))
    return f"{tmp_path / 'store'}?backup={made.backup}&volume={VOLUME}"


@pytest.fixture(autouse=True)
def left() -> Iterator[None]:
    yield
    assert find_devices("") == []


def wait_until(there: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not there():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("size", [1 << 20, 700_001])
def test_a_device_has_the_bytes_and_lets_nobody_write(repository: Repository, size: int) -> None:
    data = random.Random(size).randbytes(size)
    made = repository.create(MemorySource(data), BackupRequest(VOLUME, "x"))
    over = threading.Event()
    with (
        repository.image(VOLUME, made.backup) as image,
        attached(image, "it", failed=fail, ended=over.set) as device,
    ):
        assert find_devices("it") == [device] == find_devices("")
        assert nbd.is_connected(device)
        with open_device(device.path) as opened:
            assert opened.pread(0, opened.size) == data.ljust(-(-size // 512) * 512, b"\0")
        with pytest.raises(DrystoneError), open_device(device.path, write=True) as opened:
            opened.pwrite(0, b"x")
        assert not over.is_set()
    assert over.wait(120)
    assert not nbd.is_connected(device)
    nbd.disconnect(device)


def test_a_file_system_that_was_in_use_is_mounted_and_goes_with_its_device(
    folder: Path, repository: Repository, url: str
) -> None:
    backup = url.partition("?backup=")[2][:36]
    over = threading.Event()
    with (
        repository.image(VOLUME, backup) as image,
        attached(image, url, failed=fail, ended=over.set) as device,
    ):
        mount_device(device, folder)
        assert (folder / "file").read_text() == "kept\n" * 1000
        with pytest.raises(BusyError, match="something is mounted"):
            mount_device(device, folder)
        with (folder / "file").open(), pytest.raises(BusyError):
            detach(device)
        assert not over.is_set()
        detach(device)
        assert over.wait(120)
    with (
        repository.image(VOLUME, backup) as image,
        attached(image, url, failed=fail, ended=nothing) as device,
    ):
        mount_device(device, folder)
        number = device_number(device.path)
    assert mounts_of(number) == []


def test_damage_is_an_error_of_its_reader_and_is_told(tmp_path: Path, repository: Repository) -> None:
    data = random.Random(3).randbytes(1 << 20)
    made = repository.create(MemorySource(data), BackupRequest(VOLUME, "x"))
    pack = max((tmp_path / "store").rglob("packs/*/*"), key=lambda path: path.stat().st_size)
    stored = bytearray(pack.read_bytes())
    stored[len(stored) // 2] ^= 1
    pack.write_bytes(stored)
    told: list[DrystoneError] = []
    with (
        repository.image(VOLUME, made.backup) as image,
        attached(image, "it", failed=told.append, ended=nothing) as device,
        open_device(device.path) as opened,
    ):
        assert opened.pread(0, 65536) == data[:65536]
        with pytest.raises(DrystoneError):
            opened.pread(0, 1 << 20)
        assert {each.code for each in told} == {"damaged"}
        assert opened.pread((1 << 20) - 65536, 65536) == data[-65536:]


def test_what_cannot_be_is_refused(repository: Repository, folder: Path) -> None:
    made = repository.create(MemorySource(b""), BackupRequest(VOLUME, "x"))
    with (
        repository.image(VOLUME, made.backup) as image,
        pytest.raises(UsageError, match="no bytes"),
        attached(image, "it", failed=fail, ended=nothing),
    ):
        pass
    made = repository.create(MemorySource(bytes(65536)), BackupRequest(VOLUME, "x"))
    with (
        repository.image(VOLUME, made.backup) as image,
        attached(image, "it", failed=fail, ended=nothing) as device,
        pytest.raises(UsageError, match="no file system"),
    ):
        mount_device(device, folder)
    with pytest.raises(UnsupportedError), GenericNetlink("no_such"):
        pass
    for path in ("/dev/sda", "/dev/nbd", "/dev/nbdx", "/dev/nbd1p1"):
        with pytest.raises(NotFoundError):
            nbd.parse_path(path)
    assert nbd.parse_path("/dev/nbd12").index == 12


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*DRYSTONE, *words], capture_output=True, text=True, check=False)


def test_the_command_in_the_background_until_it_is_unmounted(folder: Path, url: str) -> None:
    done = run("mount", "--background", "--at", str(folder), url)
    assert (done.returncode, done.stdout) == (0, f"{folder}\n")
    assert (folder / "file").read_text() == "kept\n" * 1000
    with (folder / "file").open():
        busy = run("unmount", str(folder))
        assert (busy.returncode, busy.stderr.splitlines()[0]) == (5, f"drystone: {folder} is in use")
    (device,) = find_devices(url)
    done = run("unmount", url)
    assert (done.returncode, done.stdout) == (0, f"{device.path}\n")
    assert run("unmount", url).returncode == 3
    assert run("unmount", DISK).returncode == 13
    missing = run("mount", "--background", url.replace("backup=", "backup=0"))
    assert missing.returncode == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_takes_the_command_in_the_foreground_down(folder: Path, url: str, number: signal.Signals) -> None:
    with subprocess.Popen([*DRYSTONE, "mount", url], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        path = process.stdout.readline().strip()
        assert [each.path for each in find_devices(url)] == [path]
        mount(path, str(folder), "ext4", read_only=True, options="noload")
        process.send_signal(number)
        assert process.wait(60) == 0
    assert find_devices("") == []
    assert list(folder.iterdir()) == []


def test_a_killed_command_leaves_a_device_that_can_be_ended(url: str) -> None:
    with subprocess.Popen([*DRYSTONE, "mount", url], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        path = process.stdout.readline().strip()
        process.kill()
    with open_device(path) as opened, pytest.raises(DrystoneError):
        opened.pread(12 << 20, 4096)
    assert run("unmount", path).returncode == 0
    wait_until(lambda: not find_devices(""))
