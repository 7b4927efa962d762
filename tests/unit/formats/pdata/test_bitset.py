"""Bitsets that an independent writer made."""

from __future__ import annotations

import numpy as np
import pytest

from drystone.base.errors import DamagedError
from drystone.formats.era.superblock import read_superblock
from drystone.formats.pdata.bitset import iter_bits, pack_bits, survey_bits, unpack_bits
from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.memory import MemoryBlocks
from drystone.formats.pdata.survey import Survey
from drystone.testing.era_metadata import write_era_metadata

PER_BLOCK = 509 * 64
LENGTH = 2 * PER_BLOCK + 100
SET = {0, 1, 63, 64, 1000, PER_BLOCK - 1, PER_BLOCK, LENGTH - 1}
IMAGE = write_era_metadata([0] * LENGTH, {}, current=SET, current_era=1)
ROOT = read_superblock(MemoryBlocks(IMAGE)).current_root


@pytest.mark.parametrize("batch", [1, 2, 16])
def test_bits_come_in_order(batch: int) -> None:
    found: list[bool] = []
    for each in iter_bits(MemoryBlocks(IMAGE), "writeset", ROOT, LENGTH, batch=batch):
        assert each.begin == len(found)
        found.extend(each.bits.tolist())
    assert len(found) == LENGTH
    assert {place for place, bit in enumerate(found) if bit} == SET


def test_another_length_is_refused() -> None:
    for length in (LENGTH + 64, LENGTH - 2000, PER_BLOCK):
        with pytest.raises(DamagedError, match="writeset"):
            list(iter_bits(MemoryBlocks(IMAGE), "writeset", ROOT, length))


def test_a_damaged_block_loses_its_bits() -> None:
    reader = MemoryBlocks(IMAGE)
    surveyed = Survey(reader)
    begins = [each.begin for each in survey_bits(surveyed, "writeset", ROOT, LENGTH, owner=1)]
    assert begins == [0]
    last = int(np.flatnonzero(surveyed.counts.get_range(0, len(IMAGE) // BLOCK))[-2])
    data = bytearray(IMAGE)
    data[last * BLOCK + 30] ^= 4
    again = Survey(MemoryBlocks(data))
    sizes = [(each.begin, len(each)) for each in survey_bits(again, "writeset", ROOT, LENGTH, owner=1)]
    (damage,) = again.damages
    assert (damage.block, damage.owner, damage.tree) == (last, 1, "writeset")
    assert (damage.low, damage.high) == (2 * PER_BLOCK, LENGTH - 1)
    assert sizes == [(0, 2 * PER_BLOCK)]


@pytest.mark.parametrize("nr_bits", [0, 1, 63, 64, 65, 1000])
def test_words_and_back(nr_bits: int) -> None:
    bits = np.random.default_rng(nr_bits).random(nr_bits) < 0.5
    words = pack_bits(bits)
    assert len(words) == -(-nr_bits // 64)
    assert unpack_bits(words, nr_bits).tolist() == bits.tolist()
    for place in np.flatnonzero(bits).tolist():
        assert int(words[place // 64]) >> place % 64 & 1
