"""A power cut loses exactly what was not flushed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from drystone.base.errors import UnavailableError
from drystone.lab.disklog import FLUSH, WRITE, read_records
from drystone.lab.lab import Lab
from drystone.lab.python import Python
from drystone.lab.spec import DiskSpec

BLOCK = 4096
DISK = "/dev/lab/disk0"


SIDE = str(Path(__file__).parent / "guest_side.py")


def write_block(python: Python, number: int, letter: str, *, flush: bool) -> None:
    python.call(f"{SIDE}:write_block", DISK, number, letter, flush)


def read_letters(python: Python, count: int) -> object:
    return python.call(f"{SIDE}:read_letters", DISK, count)


def test_what_was_not_flushed_is_lost_and_the_rest_is_there(lab_factory: Callable[..., Lab]) -> None:
    lab = lab_factory(disks=[1 << 20, 32 << 20], memory=128 << 20)
    (guest,) = lab.guests
    script = "mkfs.ext4 -q /dev/lab/disk1 && mount -o commit=300 /dev/lab/disk1 /mnt && echo old > /mnt/file && sync"
    guest.run(["sh", "-c", script], timeout=60).check()
    with guest.python() as python:
        write_block(python, 0, "a", flush=True)
        write_block(python, 1, "b", flush=False)
        write_block(python, 2, "c", flush=True)
        python.call(f"{SIDE}:write_file", "/mnt/kept", "kept", True)
        python.call(f"{SIDE}:write_file", "/mnt/lost", "lost", False)
        python.call(f"{SIDE}:write_file", "/mnt/file", "new", False)
        write_block(python, 0, "A", flush=False)
        write_block(python, 3, "d", flush=False)
        assert read_letters(python, 4) == "Abcd"
        guest.kill()
        with pytest.raises(UnavailableError):
            read_letters(python, 4)
    assert lab.control.ask("status")["nodes"][0]["state"] == "down"
    guest.boot()
    with guest.python() as python:
        assert read_letters(python, 4) == "abc-"
    script = (
        "mount /dev/lab/disk1 /mnt && head -c 99 /mnt/kept && ls /mnt && umount /mnt && fsck.ext4 -fn /dev/lab/disk1"
    )
    found = guest.run(["sh", "-c", script], timeout=60).check().text.split()
    assert found[:4] == ["keptfile", "kept", "lost+found", "Pass"]


def test_a_disk_of_its_own_outlives_its_lab_and_has_a_log(lab_factory: Callable[..., Lab], tmp_path: Path) -> None:
    disk = DiskSpec(str(tmp_path / "disk"), 1 << 20, str(tmp_path / "log"))
    first = lab_factory(node_disks={"node1": [disk]}, memory=128 << 20)
    with first.guests[0].python() as python:
        write_block(python, 1, "x", flush=True)
        write_block(python, 2, "y", flush=False)
    first.close()
    assert Path(disk.path).read_bytes()[BLOCK : 3 * BLOCK] == b"x" * BLOCK + bytes(BLOCK)
    with Path(disk.log).open("rb") as log:
        records = [(each.kind, each.offset, each.data[:1]) for each in read_records(log)]
    assert [each for each in records if each[0] == WRITE] == [(WRITE, BLOCK, b"x"), (WRITE, 2 * BLOCK, b"y")]
    assert records.index((WRITE, BLOCK, b"x")) < records.index((FLUSH, 0, b""))
    second = lab_factory(node_disks={"node1": [disk]}, memory=128 << 20)
    with second.guests[0].python() as python:
        assert read_letters(python, 3) == "-x-"
