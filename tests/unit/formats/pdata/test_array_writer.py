"""Arrays and bitsets written and read back."""

from __future__ import annotations

import numpy as np
import pytest

from drystone.formats.pdata.allocator import Allocator
from drystone.formats.pdata.array import ArrayKind, survey_array
from drystone.formats.pdata.array_writer import ArrayWriter, BitsetWriter
from drystone.formats.pdata.bitset import survey_bits
from drystone.formats.pdata.memory import MemoryDisk
from drystone.formats.pdata.survey import Survey

KIND = ArrayKind("era array", np.dtype("<u4"))
BLOCKS = 1000


@pytest.mark.parametrize("length", [0, 1, 1017, 1018, 1019, 5000, 1018 * 300])
@pytest.mark.parametrize("piece", [700, 100_000])
def test_arrays_of_all_sizes(length: int, piece: int) -> None:
    disk, allocator = MemoryDisk(BLOCKS * 4096), Allocator(BLOCKS)
    values = np.random.default_rng(length).integers(0, 1 << 32, length, dtype=np.uint32)
    writer = ArrayWriter(disk, allocator, KIND.value)
    for begin in range(0, length, piece):
        writer.append(values[begin : begin + piece])
    assert writer.length == length
    root = writer.finish()
    survey = Survey(disk)
    survey.count_block(0, "superblock")
    found = [batch.values for batch in survey_array(survey, KIND, root, length)]
    assert survey.damages == []
    assert np.array_equal(np.concatenate([values[:0], *found]), values)
    assert np.array_equal(survey.counts.get_range(0, BLOCKS), allocator.counts.get_range(0, BLOCKS))


@pytest.mark.parametrize("nr_bits", [0, 1, 63, 64, 65, 32576, 32577, 1_000_000])
@pytest.mark.parametrize("piece", [997, 100_000])
def test_bitsets_of_all_sizes(nr_bits: int, piece: int) -> None:
    disk, allocator = MemoryDisk(BLOCKS * 4096), Allocator(BLOCKS)
    bits = np.random.default_rng(nr_bits).random(nr_bits) < 0.5
    writer = BitsetWriter(disk, allocator)
    for begin in range(0, nr_bits, piece):
        writer.append(bits[begin : begin + piece])
    assert writer.nr_bits == nr_bits
    root = writer.finish()
    survey = Survey(disk)
    survey.count_block(0, "superblock")
    found = [batch.bits for batch in survey_bits(survey, "writeset", root, nr_bits)]
    assert survey.damages == []
    assert np.array_equal(np.concatenate([bits[:0], *found]), bits)
    assert np.array_equal(survey.counts.get_range(0, BLOCKS), allocator.counts.get_range(0, BLOCKS))
