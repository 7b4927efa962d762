"""Plain devices as sources, and targets that are not clean, on a real kernel."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from drystone.backup.repository import BackupRequest, create_repository
from drystone.backup.source import DeviceSource
from drystone.backup.tuning import Tuning
from drystone.base.errors import BusyError, ExhaustedError
from drystone.kernel.blockdev import open_device
from drystone.kernel.mounts import mount, unmount
from drystone.store.folder import FolderStore
from drystone.testing.repositories import sweep

pytestmark = pytest.mark.lab(memory="256M", disks=["16M", "16M"])

DISK, OTHER = "/dev/lab/disk0", "/dev/lab/disk1"
VOLUME = "11111111-1111-4111-8111-111111111111"
TUNING = Tuning(chunk_size=65536, segment_slots=64, pack=1 << 20)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "mounted"
    made.mkdir()
    return made


def test_a_device_that_is_mounted_for_writing_is_told(folder: Path) -> None:
    subprocess.run(["mkfs.ext4", "-q", "-F", DISK], check=True)
    for read_only in (False, True):
        mount(DISK, str(folder), "ext4", read_only=read_only)
        with DeviceSource(DISK) as source:
            warnings = source.warnings()
        unmount(str(folder))
        assert len(warnings) == (0 if read_only else 1)
        assert all(f"{DISK} is mounted for writing at {folder}" in each for each in warnings)


def test_a_dirty_device_becomes_the_image_and_a_mounted_one_is_left_alone(tmp_path: Path, folder: Path) -> None:
    rng = random.Random(3)
    with open_device(DISK, write=True) as device:
        size = device.size
        device.zero_out(0, size)
        for offset in (0, 3 << 20, size - 4096):
            device.pwrite(offset, rng.randbytes(4096))
        image = device.pread(0, size)
    with open_device(OTHER, write=True) as device:
        device.pwrite(0, rng.randbytes(size))
        device.flush()
    repository = create_repository(FolderStore(tmp_path / "store"), tuning=TUNING)
    with DeviceSource(DISK) as source:
        backup = repository.create(source, BackupRequest(VOLUME, "disk")).backup
    repository.restore(VOLUME, backup, OTHER)
    with open_device(OTHER) as device:
        assert device.pread(0, size) == image
    subprocess.run(["mkfs.ext4", "-q", "-F", OTHER], check=True)
    mount(OTHER, str(folder), "ext4")
    (folder / "file").write_text("kept")
    with pytest.raises(BusyError):
        repository.restore(VOLUME, backup, OTHER)
    assert (folder / "file").read_text() == "kept"
    unmount(str(folder))


def test_a_full_disk_is_told_and_nothing_is_left(tmp_path: Path, folder: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(random.Random(4).randbytes(3 << 20))
    mount("none", str(folder), "tmpfs", options="size=2m")
    repository = create_repository(FolderStore(tmp_path / "store"), tuning=TUNING)
    full = create_repository(FolderStore(folder / "store"), tuning=TUNING)
    with DeviceSource(image) as source:
        backup = repository.create(source, BackupRequest(VOLUME, "image")).backup
        with pytest.raises(ExhaustedError):
            full.create(source, BackupRequest(VOLUME, "image"))
    assert full.list() == []
    assert sweep(full) == (0, 0)
    with pytest.raises(ExhaustedError, match="restore"):
        repository.restore(VOLUME, backup, str(folder / "restored"))
    assert [each.name for each in folder.iterdir()] == ["store"]
    unmount(str(folder))
