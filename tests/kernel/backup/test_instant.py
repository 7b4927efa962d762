"""Instant restores on a real kernel: used at once, cut off in every way, and gone on with to the end."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from drystone.backup.repository import BackupRequest, create_repository
from drystone.backup.serving import detach, find_devices
from drystone.backup.tuning import Tuning
from drystone.kernel import loop
from drystone.kernel.blockdev import open_device
from drystone.kernel.dm.abc import TableLine
from drystone.kernel.dm.device_mapper import KernelDeviceMapper
from drystone.kernel.filelock import locked_folder
from drystone.kernel.mounts import mount, unmount
from drystone.store.folder import FolderStore
from drystone.testing.sources import MemorySource

pytestmark = pytest.mark.lab(memory="640M", disks=["16M", "8M"])

PF_MEMALLOC_NOIO = 0x80000
"""Linux 6.1 `include/linux/sched.h`."""

DISK, SMALL = "/dev/lab/disk0", "/dev/lab/disk1"
NAME = "fresh"
NODE = f"/dev/mapper/{NAME}"
VOLUME = "11111111-1111-4111-8111-111111111111"
CHUNK = 65536
SIZE = 16 << 20
RNG = random.Random(21)
IMAGE = b"".join(bytes(CHUNK) if each % 5 == 3 else RNG.randbytes(CHUNK) for each in range(SIZE // CHUNK))
DRYSTONE = [sys.executable, "-m", "drystone.cli.main", "backup", "restore", "--instant", "--name", NAME]


class Place:
    """A store, the state's folder, and the backup's URL."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        repository = create_repository(
            FolderStore(folder / "store"), tuning=Tuning(chunk_size=CHUNK, segment_slots=64, pack=1 << 20)
        )
        made = repository.create(MemorySource(IMAGE), BackupRequest(VOLUME, "x"))
        self.url = f"{folder / 'store'}?backup={made.backup}&volume={VOLUME}"

    def words(self, *more: str, target: str = DISK) -> list[str]:
        return [*DRYSTONE, "--state", str(self.state), *more, self.url, target]

    def run(self, *more: str, target: str = DISK) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.words(*more, target=target), capture_output=True, text=True, check=False)

    def begin(self) -> subprocess.Popen[str]:
        """Slowly: a megabyte a second; returns when the device is usable."""
        process = subprocess.Popen(self.words("--limit-rate", "1m"), stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == f"{NODE}\n"
        return process


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with open_device(DISK, write=True) as device:
        device.pwrite(0, random.Random(1).randbytes(SIZE))  # what was there before is not to be seen
    yield Place(tmp_path)
    with KernelDeviceMapper() as dm:
        for each in dm.list_devices():
            dm.remove(each.name)
    for left in find_devices(""):
        detach(left, lazy=True)


def table() -> list[TableLine]:
    with KernelDeviceMapper() as dm:
        return dm.table(NAME)


def check_whole(place: Place, image: bytes) -> None:
    """NAME and the disk hold the image, and nothing else is left."""
    (line,) = table()
    assert (line.target, line.length) == ("linear", SIZE // 512)
    for path in (NODE, DISK):
        with open_device(path) as device:
            assert device.pread(0, SIZE) == image
    assert list(place.state.iterdir()) == []
    assert find_devices("") == []
    assert [each for each in loop.list_loops() if str(place.state) in each.file] == []


def write(image: bytearray, offset: int, data: bytes) -> None:
    """Write through NAME, and into our picture of it."""
    with open_device(NODE, write=True) as device:
        device.pwrite(offset, data)
        device.flush()
    image[offset : offset + len(data)] = data


def test_it_is_used_while_it_is_restored(place: Place) -> None:
    image = bytearray(IMAGE)
    with place.begin() as process:
        with open_device(NODE) as device:
            assert device.size == SIZE
            for at in (SIZE - 4096, 7 * CHUNK + 512, 3 * CHUNK):
                assert device.pread(at, 4096) == IMAGE[at : at + 4096]
        for task in Path(f"/proc/{process.pid}/task").iterdir():
            flags = int((task / "stat").read_text().rpartition(")")[2].split()[6])
            assert flags & PF_MEMALLOC_NOIO, "a thread may wait for the disk that it serves"
        write(image, SIZE - 3 * CHUNK + 4096, b"new" * 4096)
        assert [each.target for each in table()] == ["clone"]
        assert process.wait(120) == 0
    check_whole(place, bytes(image))


def test_a_killed_one_is_gone_on_with(place: Place) -> None:
    image = bytearray(IMAGE)
    with place.begin() as process:
        write(image, SIZE - 9000, b"before the kill" * 100)
        process.kill()
    with open_device(NODE) as device:
        assert device.pread(SIZE - 9000, 1500) == b"before the kill" * 100
    done = place.run("--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["whole"] is True
    check_whole(place, bytes(image))
    again = place.run()
    assert again.returncode != 0  # the disk is part of NAME by now
    assert [each.target for each in table()] == ["linear"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_no_device_that_nobody_uses(place: Place, number: signal.Signals) -> None:
    image = bytearray(IMAGE)
    with place.begin() as process:
        write(image, 8 << 20, b"kept")
        process.send_signal(number)
        assert process.wait(60) == 128 + number
    with KernelDeviceMapper() as dm:
        assert dm.list_devices() == []
    assert find_devices("") == []
    assert not Path(NODE).exists()
    assert sorted(each.name for each in place.state.iterdir()) == [f"{NAME}.clone", f"{NAME}.json"]
    assert place.run().returncode == 0
    check_whole(place, bytes(image))


def test_a_signal_leaves_a_device_that_is_used(place: Place) -> None:
    image = bytearray(IMAGE)
    with place.begin() as process, open_device(NODE) as device:
        write(image, SIZE - CHUNK, b"there" * 100)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert [each.target for each in table()] == ["clone"]
        assert device.pread(SIZE - CHUNK, CHUNK) == image[SIZE - CHUNK :]
        assert place.run().returncode == 0
        assert device.pread(0, SIZE) == image
    check_whole(place, bytes(image))


def test_the_device_that_it_reads_from_is_not_unmounted_under_it(place: Place) -> None:
    with place.begin() as process:
        (source,) = find_devices(place.url)
        for what in (place.url, source.path):
            words = [*DRYSTONE[:4], "unmount", what]
            refused = subprocess.run(words, capture_output=True, text=True, check=False)
            assert refused.returncode == 5, refused.stderr
        assert process.wait(120) == 0
    check_whole(place, IMAGE)


def test_another_disk_by_the_same_name_is_refused(place: Place, tmp_path: Path) -> None:
    link, other = tmp_path / "disk", tmp_path / "other"
    link.symlink_to(DISK)
    other.write_bytes(b"kept" * (SIZE // 4))
    slowly = place.words("--limit-rate", "1m", target=str(link))
    with subprocess.Popen(slowly, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"{NODE}\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    link.unlink()
    with loop.hold(str(other)) as held:
        link.symlink_to(held.path)
        refused = place.run(target=str(link))
        assert refused.returncode == 11
        assert "is not the disk that it was" in refused.stderr
        link.unlink()
    assert other.read_bytes() == b"kept" * (SIZE // 4)
    link.symlink_to(DISK)
    assert place.run(target=str(link)).returncode == 0
    check_whole(place, IMAGE)


def test_two_do_not_begin_at_once(place: Place) -> None:
    place.state.mkdir()
    with locked_folder(place.state, "it"):
        refused = place.run()
    assert refused.returncode == 5
    assert "in which a restore begins" in refused.stderr
    assert list(place.state.iterdir()) == []


def test_one_that_was_cut_off_before_it_had_a_table_is_gone_on_with(place: Place) -> None:
    with KernelDeviceMapper() as dm:
        dm.create(NAME, f"DRYSTONE-CLONE-{NAME}")
    done = place.run()
    assert done.returncode == 0, done.stderr
    check_whole(place, IMAGE)


def test_what_does_not_fit_is_refused_and_nothing_is_changed(place: Place, tmp_path: Path) -> None:
    assert place.run(target=SMALL).returncode == 11
    assert place.run(target=str(tmp_path / "nothing")).returncode == 3
    folder = tmp_path / "mounted"
    folder.mkdir()
    subprocess.run(["mkfs.ext4", "-q", "-F", DISK], check=True)
    mount(DISK, str(folder), "ext4")
    assert place.run().returncode == 5
    unmount(str(folder))
    with KernelDeviceMapper() as dm:
        dm.create(NAME)
        assert place.run().returncode == 4
        dm.remove(NAME)
        assert dm.list_devices() == []
    assert find_devices("") == []
    assert list(place.state.iterdir()) == []


def test_another_restore_under_the_same_name_is_refused(place: Place) -> None:
    with place.begin() as process:
        process.send_signal(signal.SIGINT)
        process.wait(60)
    other = place.url.replace(str(place.state.parent), f"{place.state.parent}/.")
    words = [each if each != place.url else other for each in place.words()]
    refused = subprocess.run(words, capture_output=True, text=True, check=False)
    assert refused.returncode == 11
    assert "is under way" in refused.stderr
    assert place.run().returncode == 0
    check_whole(place, IMAGE)
