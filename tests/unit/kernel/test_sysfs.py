"""What /sys says, in a folder of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from drystone.base.errors import NotFoundError
from drystone.kernel import sysfs
from drystone.kernel.dm.abc import DeviceNumber
from drystone.kernel.loop import Loop, list_loops

DISK = DeviceNumber(7, 3)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """loop3 with one partition and one holder, and dm-5 without."""
    files = {
        "block/loop3/dev": "7:3\n",
        "block/loop3/size": "2048\n",
        "block/loop3/ro": "1\n",
        "block/loop3/diskseq": "42\n",
        "block/loop3/uevent": "MAJOR=7\nDEVNAME=loop3\n",
        "block/loop3/queue/logical_block_size": "4096\n",
        "block/loop3/queue/physical_block_size": "8192\n",
        "block/loop3/queue/discard_granularity": "4096\n",
        "block/loop3/queue/discard_max_bytes": "65536\n",
        "block/loop3/loop/backing_file": "/srv/a file\n",
        "block/loop3/loop/offset": "512\n",
        "block/loop3/loop/sizelimit": "0\n",
        "block/loop3/loop/autoclear": "1\n",
        "block/loop3/loop/dio": "0\n",
        "block/loop3/holders/dm-5/dev": "253:5\n",
        "block/loop3/loop3p1/dev": "259:0\n",
        "block/loop3/loop3p1/size": "8\n",
        "block/loop0/dev": "7:0\n",
        "block/dm-5/dev": "253:5\n",
        "block/dm-5/dm/name": "a name\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    numbers = tmp_path / "dev" / "block"
    numbers.mkdir(parents=True)
    for number, place in {"7:3": "loop3", "259:0": "loop3/loop3p1", "253:5": "dm-5"}.items():
        (numbers / number).symlink_to(f"../../block/{place}")
    return tmp_path


def test_limits_of_a_disk(tree: Path) -> None:
    limits = sysfs.read_limits(DISK, str(tree))
    assert limits == sysfs.Limits(2048 * 512, True, 4096, 8192, 4096, 65536)


def test_a_partition_has_its_disks_limits(tree: Path) -> None:
    limits = sysfs.read_limits(DeviceNumber(259, 0), str(tree))
    assert (limits.size, limits.logical_block, limits.read_only) == (4096, 4096, False)


def test_the_number_since_boot(tree: Path) -> None:
    assert sysfs.read_sequence(DISK, str(tree)) == 42
    assert sysfs.read_sequence(DeviceNumber(253, 5), str(tree)) == 0


def test_holders(tree: Path) -> None:
    assert sysfs.holders(DISK, str(tree)) == [DeviceNumber(253, 5)]
    assert sysfs.holders(DeviceNumber(253, 5), str(tree)) == []


def test_names(tree: Path) -> None:
    assert sysfs.kernel_name(DISK, str(tree)) == "loop3"
    assert sysfs.kernel_name(DeviceNumber(253, 5), str(tree)) == "dm-5"
    assert sysfs.mapper_name(DeviceNumber(253, 5), str(tree)) == "a name"
    assert sysfs.mapper_name(DISK, str(tree)) is None


def test_no_such_device(tree: Path) -> None:
    with pytest.raises(NotFoundError):
        sysfs.read_limits(DeviceNumber(9, 9), str(tree))


def test_loops_that_are_set_up(tree: Path) -> None:
    assert list_loops(str(tree)) == [
        Loop("/dev/loop3", DISK, "/srv/a file", 512, 0, read_only=True, direct_io=False, autoclear=True)
    ]
    assert list_loops(str(tree / "missing")) == []
