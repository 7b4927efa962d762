from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from drystone.base.errors import DamagedError, ExhaustedError
from drystone.formats.era.check import check_metadata
from drystone.formats.era.dump import format_xml
from drystone.formats.era.eras import EraBatch
from drystone.formats.era.parts import Bits, Head, Part, WritesetHead, iter_parts
from drystone.formats.era.restore import write_parts
from drystone.formats.era.superblock import read_superblock
from drystone.formats.pdata.memory import MemoryBlocks, MemoryDisk
from drystone.testing.era_metadata import write_era_metadata


class Recorded(MemoryDisk):
    """Which blocks were written, and where flushes were (-1)."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.order: list[int] = []

    def write_blocks(self, numbers: NDArray[np.uint64], blocks: NDArray[np.uint8]) -> None:
        self.order += numbers.tolist()
        super().write_blocks(numbers, blocks)

    def flush(self) -> None:
        self.order.append(-1)


def make_reader(size: int = 5000) -> MemoryBlocks:
    random = np.random.default_rng(size)
    bits = {era: set(np.flatnonzero(random.random(size) < 0.3).tolist()) for era in (30, 31)}
    return MemoryBlocks(
        write_era_metadata(random.integers(0, 30, size).tolist(), bits, current={0, size - 1}, current_era=32)
    )


def dump(reader: MemoryBlocks | MemoryDisk) -> bytes:
    return b"".join(format_xml(iter_parts(reader, read_superblock(reader))))


def make_parts(*more: Part, nr_blocks: int = 3) -> Iterator[Part]:
    yield Head(128, nr_blocks, 5)
    yield from more


ERAS = EraBatch(0, np.array([1, 2, 0], dtype=np.uint32))


def test_what_is_restored_is_the_same_and_sound() -> None:
    reader, disk = make_reader(), MemoryDisk(1 << 20)
    superblock = write_parts(disk, iter_parts(reader, read_superblock(reader)))
    assert superblock == read_superblock(disk)
    assert (superblock.current_root, superblock.metadata_snap, superblock.flags) == (0, 0, 0)
    assert check_metadata(disk).is_sound()
    assert dump(disk) == dump(reader)


def test_the_superblock_is_written_last_and_the_old_one_goes_first() -> None:
    reader, disk = make_reader(), Recorded(1 << 20)
    write_parts(disk, iter_parts(reader, read_superblock(reader)))
    assert disk.order[:2] == [0, -1]
    assert disk.order[-3:] == [-1, 0, -1]
    assert 0 not in disk.order[2:-3]


def test_a_disk_that_is_too_small_holds_nothing() -> None:
    reader, disk = make_reader(), MemoryDisk(8 * 4096)
    disk.data[0] = 1
    with pytest.raises(ExhaustedError):
        write_parts(disk, iter_parts(reader, read_superblock(reader)))
    assert not disk.data[0].any()


def test_parts_that_fail_at_once_change_nothing() -> None:
    disk = MemoryDisk(1 << 20)
    disk.data[:] = 7
    with pytest.raises(DamagedError, match="no era metadata"):
        write_parts(disk, [])
    with pytest.raises(DamagedError, match="a writeset has era 6"):
        write_parts(disk, make_parts(WritesetHead(6, 3)))
    assert (disk.data == 7).all()


@pytest.mark.parametrize("size", [1, 12, (1 << 32) - 1])
def test_a_block_size_that_there_is_not_changes_nothing(size: int) -> None:
    disk = Recorded(1 << 20)
    with pytest.raises(DamagedError, match=f"the data block size is {size}, expected a multiple of 8 sectors"):
        write_parts(disk, [Head(size, 3, 5), ERAS])
    assert disk.order == []


def test_writesets_in_any_order_but_each_once() -> None:
    bits = Bits(0, np.array([True, False, True]))
    disk = MemoryDisk(1 << 20)
    write_parts(disk, make_parts(ERAS, WritesetHead(4, 3), bits, WritesetHead(2, 3), bits))
    assert check_metadata(disk).is_sound()
    assert [part.era for part in iter_parts(disk, read_superblock(disk)) if isinstance(part, WritesetHead)] == [2, 4]
    with pytest.raises(DamagedError, match="two writesets of era 4"):
        write_parts(disk, make_parts(ERAS, WritesetHead(4, 3), bits, WritesetHead(4, 3), bits))


def test_eras_above_the_current_one_and_too_few() -> None:
    with pytest.raises(DamagedError, match="a block has era 9, which is above the current one, 5"):
        write_parts(MemoryDisk(1 << 20), make_parts(EraBatch(0, np.array([1, 9, 0], dtype=np.uint32))))
    with pytest.raises(DamagedError, match="has 3 blocks, the superblock 4"):
        write_parts(MemoryDisk(1 << 20), make_parts(ERAS, nr_blocks=4))
