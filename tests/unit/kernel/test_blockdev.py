"""Plain files as block devices. Real devices: tests/kernel."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from drystone.base.errors import BusyError, KernelError, NotFoundError, UsageError
from drystone.kernel.blockdev import BLOCK, BlockDevice, aligned_buffer, device_number, open_device, size_of

SIZE = 10 * BLOCK + 100


@pytest.fixture
def content() -> bytes:
    return np.random.default_rng(7).integers(0, 256, SIZE, dtype=np.uint8).tobytes()


@pytest.fixture
def path(tmp_path: Path, content: bytes) -> str:
    file = tmp_path / "file"
    file.write_bytes(content)
    return str(file)


@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize(
    ("offset", "length"),
    [(0, SIZE), (0, 0), (1, 1), (4095, 2), (BLOCK, BLOCK), (SIZE - 1, 1), (10 * BLOCK, 100), (777, 3 * BLOCK)],
)
def test_any_range_is_read(path: str, content: bytes, offset: int, length: int, direct: bool) -> None:
    with open_device(path, direct=direct) as device:
        assert device.size == SIZE
        assert device.pread(offset, length) == content[offset : offset + length]
        buffer = bytearray(length)
        device.read_into(offset, buffer)
        assert bytes(buffer) == content[offset : offset + length]


def test_an_aligned_buffer_is_filled_in_place(path: str, content: bytes) -> None:
    buffer = aligned_buffer(2 * BLOCK)
    assert buffer.ctypes.data % BLOCK == 0
    with open_device(path) as device:
        device.read_into(BLOCK, buffer)
    assert buffer.tobytes() == content[BLOCK : 3 * BLOCK]


@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize(
    ("offset", "length"), [(0, BLOCK), (1, 1), (4095, 2), (100, 3 * BLOCK), (SIZE - 50, 50), (0, SIZE), (5, 0)]
)
def test_any_range_is_written_and_nothing_else(
    path: str, content: bytes, offset: int, length: int, direct: bool
) -> None:
    data = bytes(each ^ 0xFF for each in content[offset : offset + length])
    with open_device(path, write=True, direct=direct) as device:
        device.pwrite(offset, data)
        device.flush()
    assert Path(path).read_bytes() == content[:offset] + data + content[offset + length :]


@pytest.mark.parametrize(("offset", "length"), [(0, BLOCK), (100, 5000), (SIZE - 100, 100), (3, 0)])
def test_zeros(path: str, content: bytes, offset: int, length: int) -> None:
    with open_device(path, write=True) as device:
        device.zero_out(offset, length)
    assert Path(path).read_bytes() == content[:offset] + bytes(length) + content[offset + length :]


@pytest.mark.parametrize(("offset", "length"), [(-1, 1), (0, SIZE + 1), (SIZE, 1), (0, -1)])
def test_ranges_outside_are_refused(path: str, offset: int, length: int) -> None:
    with open_device(path) as device, pytest.raises(UsageError, match="not within"):
        device.pread(offset, length)


def test_blocks_come_in_the_order_asked(path: str, content: bytes) -> None:
    numbers = np.array([9, 0, 3, 4, 5, 0, 9], dtype=np.uint64)
    with open_device(path) as device:
        blocks = device.read_blocks(numbers)
        assert blocks.shape == (7, BLOCK)
        assert blocks.flags.c_contiguous
        for number, block in zip(numbers.tolist(), blocks, strict=True):
            assert block.tobytes() == content[number * BLOCK : (number + 1) * BLOCK]
        assert device.read_blocks(np.array([], dtype=np.uint64)).shape == (0, BLOCK)
        assert device.read_bytes(numbers.tolist()) == blocks.tobytes()
        assert device.read_bytes(range(2, 7)) == content[2 * BLOCK : 7 * BLOCK]
        assert len(device.read_bytes([])) == 0
        with pytest.raises(UsageError, match="block 10"):
            device.read_blocks(np.array([10], dtype=np.uint64))
        with pytest.raises(UsageError, match="block 10"):
            device.read_bytes([0, 10, 3])


@pytest.mark.parametrize("direct", [True, False])
def test_blocks_are_written_to_their_places(path: str, content: bytes, *, direct: bool) -> None:
    numbers = np.array([9, 3, 4, 5, 0], dtype=np.uint64)
    blocks = np.random.default_rng(8).integers(0, 256, (5, BLOCK), dtype=np.uint8)
    with open_device(path, write=True, direct=direct) as device:
        device.write_blocks(numbers, blocks)
        device.write_blocks(numbers[:0], blocks[:0])
        device.flush()
        assert np.array_equal(device.read_blocks(numbers), blocks)
        with pytest.raises(UsageError, match="block 10"):
            device.write_blocks(np.array([0, 10], dtype=np.uint64), blocks[:2])
    due = bytearray(content)
    for number, block in zip(numbers.tolist(), blocks, strict=True):
        due[number * BLOCK : (number + 1) * BLOCK] = block.tobytes()
    assert Path(path).read_bytes() == bytes(due)


class Counting(BlockDevice):
    """A device that counts its reads."""

    reads = 0

    def read_into(self, offset: int, buffer: object) -> None:
        self.reads += 1
        super().read_into(offset, buffer)  # type: ignore[arg-type]


def test_neighbours_are_read_together(path: str) -> None:
    with open_device(path) as inner:
        device = Counting(
            inner.handle, path, size=SIZE, writable=False, direct=inner.direct, unit=inner.unit, number=None
        )
        device.read_blocks(np.array([5, 3, 4, 8], dtype=np.uint64))
        assert device.reads == 2


def test_a_write_to_what_is_open_for_reading_keeps_errno(path: str) -> None:
    with open_device(path) as device, pytest.raises(KernelError) as caught:
        device.pwrite(0, bytes(BLOCK))
    assert caught.value.facts["errno_name"] == "EBADF"
    assert caught.value.facts["offset"] == 0


def test_an_exclusive_file_has_many_readers_or_one_writer(path: str) -> None:
    with open_device(path, exclusive=True):
        open_device(path, exclusive=True).close()
        with pytest.raises(BusyError):
            open_device(path, write=True, exclusive=True)
    with open_device(path, write=True, exclusive=True):
        for write in (False, True):
            with pytest.raises(BusyError):
                open_device(path, write=write, exclusive=True)
    open_device(path, write=True, exclusive=True).close()


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        open_device(str(tmp_path / "missing"))
    with pytest.raises(UsageError):
        open_device(str(tmp_path))
    with pytest.raises(UsageError):
        open_device("/dev/null")


def test_sizes_and_numbers_of_paths(path: str, tmp_path: Path) -> None:
    assert size_of(path) == SIZE
    with pytest.raises(UsageError):
        device_number(path)
    with pytest.raises(NotFoundError):
        size_of(str(tmp_path / "missing"))
    with pytest.raises(UsageError):
        size_of("/dev/null")


def test_what_is_in_the_page_cache_and_not_on_the_disk_is_read_too(tmp_path: Path) -> None:
    content = bytearray(np.random.default_rng(3).bytes(64 * BLOCK + 100))
    path = tmp_path / "half"
    path.write_bytes(content)
    with path.open("r+b", buffering=0) as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        for offset in (0, 30 * BLOCK, 64 * BLOCK):
            content[offset : offset + 10] = b"0123456789"
            os.pwrite(file.fileno(), b"0123456789", offset)
        with open_device(str(path)) as device:
            for offset, length in (
                (0, 64 * BLOCK),
                (0, len(content)),
                (29 * BLOCK, 3 * BLOCK),
                (BLOCK + 1, 40 * BLOCK),
            ):
                buffer = aligned_buffer(length)
                device.read_into(offset, buffer)
                assert bytes(buffer) == content[offset : offset + length]
