"""Memory: what the docstrings promise of it, held against three times the metadata and ten times the data."""

from __future__ import annotations

import tracemalloc
from collections import deque
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from drystone.formats.pdata import readahead
from drystone.formats.pdata.bitmaps import SpaceMapKind, iter_counts
from drystone.formats.pdata.blocks import BLOCK, BlockReader
from drystone.formats.pdata.memory import MemoryDisk
from drystone.formats.pdata.survey import Survey
from drystone.formats.thin.check import check_metadata
from drystone.formats.thin.delta import iter_changed
from drystone.formats.thin.devices import read_mapping_roots
from drystone.formats.thin.dump import Choice, dump
from drystone.formats.thin.ls import list_devices
from drystone.formats.thin.mappings import MAPPINGS
from drystone.formats.thin.pack import iter_packed
from drystone.formats.thin.repair import write_salvage
from drystone.formats.thin.salvage import find_salvage
from drystone.formats.thin.superblock import read_superblock
from drystone.testing.written_pool import Piece, write_pool

METADATA_BLOCKS = 20_000
DATA_BLOCKS = 4_000_000
LEAVES = 2000
"""Of each of the two devices: one megabyte as entries, eight as blocks."""

_MIB = 1 << 20


@cache
def make_pool(leaves: int, data_blocks: int) -> MemoryDisk:
    """Two devices that share no leaf, and differ in every block but a few."""
    disk = MemoryDisk(METADATA_BLOCKS * BLOCK)
    devices = {dev_id: [Piece(0, 100 * dev_id, leaves * 252)] for dev_id in (1, 2)}
    write_pool(disk, devices, nr_data_blocks=data_blocks)
    return disk


class AtOnce:
    """In the place of the threads that read ahead: what is asked for has been read, so all that may be there is."""

    def __init__(self, reader: BlockReader) -> None:
        self._reader = reader

    def start(self, numbers: NDArray[np.uint64]) -> readahead._Read:
        read = readahead._Read(numbers)
        read.run(self._reader)
        return read

    def close(self) -> None:
        pass


@pytest.fixture
def furthest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have reading be as far ahead as it can be at every moment: how far threads are differs from run to run."""
    monkeypatch.setattr(readahead, "_Threads", AtOnce)


def measure(work: Callable[[MemoryDisk], object], disk: MemoryDisk) -> int:
    """Bytes that `work` had at most, the disk's own aside."""
    tracemalloc.start()
    try:
        work(disk)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def drain(batches: Iterator[object]) -> None:
    deque(batches, maxlen=0)


def survey(disk: MemoryDisk) -> None:
    roots = read_mapping_roots(disk, read_superblock(disk))
    drain(Survey(disk).visit_trees(MAPPINGS, roots.values()))


def count(disk: MemoryDisk) -> None:
    drain(iter_counts(disk, SpaceMapKind.DATA, read_superblock(disk).data_space_map))


def repair(disk: MemoryDisk) -> None:
    write_salvage(disk, find_salvage(disk), OUTPUT)


def list_all(disk: MemoryDisk) -> None:
    superblock = read_superblock(disk)
    list_devices(disk, superblock, superblock.data_space_map.nr_blocks, count=True, highest=True)


OUTPUT = MemoryDisk(METADATA_BLOCKS * BLOCK)

WORKS: dict[str, Callable[[MemoryDisk], object]] = {
    "survey": survey,
    "counts": count,
    "check": check_metadata,
    "repair": repair,
    "dump": lambda disk: drain(dump(disk, read_superblock(disk), Choice())),
    "delta": lambda disk: drain(iter_changed(disk, read_superblock(disk), 1, 2)),
    "ls": list_all,
    "pack": lambda disk: drain(iter_packed(disk, [])),
}

A_DATA_BLOCK = {"check": 1, "repair": 1, "ls": 1}
"""Bytes for each data block there is; 0 for the others."""


@pytest.mark.parametrize("name", WORKS)
def test_three_times_the_metadata_takes_no_more_than_its_pointers(name: str) -> None:
    """What is kept of each block is in arrays over the whole device, which is as large in both."""
    few, many = (measure(WORKS[name], make_pool(LEAVES * times, DATA_BLOCKS)) for times in (1, 3))
    more = 4 * LEAVES + 100
    # 8000 leaves more are 32 MB as blocks. Threads make a batch or two more or less of it.
    assert many - few < 64 * more + 8 * _MIB


@pytest.mark.parametrize("name", WORKS)
def test_ten_times_the_data_takes_a_byte_a_block_or_nothing(name: str) -> None:
    few, many = (measure(WORKS[name], make_pool(LEAVES, DATA_BLOCKS * times)) for times in (1, 10))
    # 36 million counts are 144 MB as numbers of four bytes.
    assert many - few < A_DATA_BLOCK.get(name, 0) * 9 * DATA_BLOCKS + 8 * _MIB


@pytest.mark.parametrize(
    ("name", "due"), [("survey", 29), ("check", 29), ("repair", 62), ("dump", 26), ("ls", 26), ("delta", 0)]
)
@pytest.mark.usefixtures("furthest")
def test_what_is_kept_of_each_metadata_block(name: str, due: int) -> None:
    """Arrays take memory where they are touched; here they count as a whole, so that their bytes a block are seen."""
    small = make_pool(LEAVES, DATA_BLOCKS)
    large = MemoryDisk(20 * METADATA_BLOCKS * BLOCK)
    large.data[:METADATA_BLOCKS] = small.data
    few, many = (measure(WORKS[name], disk) for disk in (small, large))
    assert (many - few) / (19 * METADATA_BLOCKS) == pytest.approx(due, abs=0.1)
