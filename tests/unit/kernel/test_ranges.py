from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from drystone.base.errors import KernelError, NotFoundError, UsageError
from drystone.kernel.ranges import open_ranges


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 10_000])
def test_any_range_is_read_to_the_very_end(tmp_path: Path, size: int) -> None:
    data = bytes(position * 7 % 251 for position in range(size))
    path = tmp_path / "disk"
    path.write_bytes(data)
    with open_ranges(str(path)) as device:
        assert (device.path, device.size) == (str(path), size)
        edges = sorted({min(edge, size) for edge in (0, 1, 511, 4095, 4096, 4097, 8191, 8192, 9999, 10_000)})
        for begin in edges:
            for end in edges:
                if begin <= end:
                    assert device.read(begin, end - begin) == data[begin:end]


def test_a_file_that_has_become_shorter(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(bytes(5000))
    with open_ranges(str(path)) as device:
        os.truncate(path, 4500)
        for offset, length in ((4400, 600), (4096, 904)):
            with pytest.raises(KernelError) as caught:
                device.read(offset, length)
            assert caught.value.errno == errno.EIO


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        open_ranges(str(tmp_path / "nothing"))
    with pytest.raises(UsageError):
        open_ranges(str(tmp_path))


def test_nothing_stays_open(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(bytes(5000))
    folder = Path("/proc/self/fd")
    before = sum(1 for _ in folder.iterdir())
    with open_ranges(str(path)) as device:
        assert device.read(4990, 10) == bytes(10)
        assert sum(1 for _ in folder.iterdir()) == before + 1
    device.close()
    assert sum(1 for _ in folder.iterdir()) == before
