"""Direct writes through a descriptor that goes through the page cache."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import numpy as np
import pytest

from drystone.kernel.blockdev import BLOCK, aligned_buffer
from drystone.kernel.direct import read_directly, write_directly


def test_what_is_aligned_is_written_and_the_rest_is_left_to_the_caller(tmp_path: Path) -> None:
    path = tmp_path / "file"
    buffer = aligned_buffer(2 * BLOCK)
    buffer[:] = np.arange(2 * BLOCK) % 251
    handle = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        flags = fcntl.fcntl(handle, fcntl.F_GETFL)
        written = write_directly(handle, buffer.data)
        assert written in {0, 2 * BLOCK}, "0 where the file system has no O_DIRECT"
        os.write(handle, buffer.data[written:])
        assert write_directly(handle, buffer.data[:100]) == 0
        os.write(handle, b"tail")
        assert write_directly(handle, buffer.data) == 0, "the place is not aligned any more"
        assert fcntl.fcntl(handle, fcntl.F_GETFL) == flags
    finally:
        os.close(handle)
    assert path.read_bytes() == bytes(buffer) + b"tail"


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize(
    ("offset", "length"), [(0, 3 * BLOCK), (1, 2 * BLOCK), (BLOCK, BLOCK), (5000, 9000), (3 * BLOCK, 10), (20_000, 10)]
)
def test_any_range_is_read(tmp_path: Path, offset: int, length: int, *, cached: bool) -> None:
    content = np.random.default_rng(0).bytes(3 * BLOCK + 10)
    path = tmp_path / "file"
    path.write_bytes(content)
    handle = os.open(path, os.O_RDONLY)
    try:
        if not cached:
            os.fsync(handle)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        found = read_directly(handle, offset, length)
    finally:
        os.close(handle)
    wanted = content[offset : offset + length]
    assert found == wanted or (not cached and found == b""), "nothing where the file system has no O_DIRECT"


def test_what_is_half_in_the_cache_is_read_from_both(tmp_path: Path) -> None:
    content = np.random.default_rng(1).bytes(64 * BLOCK)
    path = tmp_path / "file"
    path.write_bytes(content)
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        changed = os.urandom(BLOCK)
        os.pwrite(handle, changed, 0)  # not on the disk yet
        os.pwrite(handle, changed, 40 * BLOCK)
        found = read_directly(handle, 0, 64 * BLOCK)
    finally:
        os.close(handle)
    whole = changed + content[BLOCK : 40 * BLOCK] + changed + content[41 * BLOCK :]
    assert found == whole or whole.startswith(found)
