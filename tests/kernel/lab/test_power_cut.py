"""A power cut loses exactly what was not flushed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from drystone.base.errors import UnavailableError
from drystone.lab.disklog import FLUSH, WRITE, read_records
from drystone.lab.lab import Lab
from drystone.lab.spec import DiskSpec

BLOCK = 4096
DISK = "/dev/lab/disk0"


def write_block(number: int, letter: str, flush: bool) -> None:
    """Runs in the guest: past its page cache, so that only the disk's own cache is in question."""
    import mmap

    handle = os.open(DISK, os.O_WRONLY | os.O_DIRECT)
    buffer = mmap.mmap(-1, BLOCK)
    buffer.write(letter.encode() * BLOCK)
    os.pwrite(handle, buffer, number * BLOCK)
    if flush:
        os.fsync(handle)
    os.close(handle)


def read_letters(count: int) -> str:
    """Runs in the guest."""
    with Path(DISK).open("rb") as disk:
        return "".join(chr(disk.read(BLOCK)[0] or ord("-")) for _ in range(count))


def test_what_was_not_flushed_is_lost_and_the_rest_is_there(lab_factory: Callable[..., Lab]) -> None:
    lab = lab_factory(disks=[1 << 20], memory=128 << 20)
    (guest,) = lab.guests
    with guest.python() as python:
        python.call(write_block, 0, "a", True)
        python.call(write_block, 1, "b", False)
        python.call(write_block, 2, "c", True)
        python.call(write_block, 0, "A", False)
        python.call(write_block, 3, "d", False)
        assert python.call(read_letters, 4) == "Abcd"
        guest.kill()
        with pytest.raises(UnavailableError):
            python.call(read_letters, 4)
    assert lab.control.ask("status")["nodes"][0]["state"] == "down"
    guest.boot()
    with guest.python() as python:
        assert python.call(read_letters, 4) == "abc-"


def test_a_disk_of_its_own_outlives_its_lab_and_has_a_log(lab_factory: Callable[..., Lab], tmp_path: Path) -> None:
    disk = DiskSpec(str(tmp_path / "disk"), 1 << 20, str(tmp_path / "log"))
    first = lab_factory(node_disks={"node1": [disk]}, memory=128 << 20)
    with first.guests[0].python() as python:
        python.call(write_block, 1, "x", True)
        python.call(write_block, 2, "y", False)
    first.close()
    assert Path(disk.path).read_bytes()[BLOCK : 3 * BLOCK] == b"x" * BLOCK + bytes(BLOCK)
    with Path(disk.log).open("rb") as log:
        records = [(each.kind, each.offset, each.data[:1]) for each in read_records(log)]
    assert [each for each in records if each[0] == WRITE] == [(WRITE, BLOCK, b"x"), (WRITE, 2 * BLOCK, b"y")]
    assert records.index((WRITE, BLOCK, b"x")) < records.index((FLUSH, 0, b""))
    second = lab_factory(node_disks={"node1": [disk]}, memory=128 << 20)
    with second.guests[0].python() as python:
        assert python.call(read_letters, 3) == "-x-"


def test_a_file_system_keeps_what_was_synced(lab_factory: Callable[..., Lab]) -> None:
    lab = lab_factory(disks=[32 << 20], memory=128 << 20)
    (guest,) = lab.guests
    script = f"mkfs.ext4 -q {DISK}; mount {DISK} /mnt; echo kept > /mnt/a; sync; echo lost > /mnt/b; echo done"
    assert guest.run(["sh", "-c", script], timeout=60).text == "done\n"
    guest.kill()
    guest.boot()
    found = guest.run(["sh", "-c", f"mount {DISK} /mnt && ls /mnt && cat /mnt/a"], timeout=60).check().text.split()
    assert found == ["a", "lost+found", "kept"]
