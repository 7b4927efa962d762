from __future__ import annotations

import numpy as np
import pytest

from drystone.base.errors import DamagedError
from drystone.formats.era.superblock import read_held_superblock, read_superblock
from drystone.formats.era.writesets import Writeset, get_bits, get_current, iter_archived, read_writesets
from drystone.formats.pdata.memory import MemoryBlocks
from drystone.testing.era_metadata import Held, write_era_metadata


def test_archived_ones_the_oldest_first_then_the_current_one() -> None:
    reader = MemoryBlocks(write_era_metadata([0] * 9, {7: {1}, 3: {2}}, current={4}, current_era=8, nr_bits={3: 5}))
    found = read_writesets(reader, read_superblock(reader))
    assert [(each.era, each.nr_bits, each.current) for each in found] == [(3, 5, False), (7, 9, False), (8, 9, True)]
    assert [each.name for each in found[1:]] == ["writeset of era 7", "current writeset of era 8"]


def test_more_than_fit_a_node() -> None:
    reader = MemoryBlocks(write_era_metadata([0], {era: {0} for era in range(1, 500)}, current_era=500))
    assert [each.era for each in iter_archived(reader, read_superblock(reader))] == list(range(1, 500))


def test_no_current_one_after_a_suspend_nor_in_a_snapshot() -> None:
    image = write_era_metadata([0], {1: {0}}, current_era=1, held=Held([0], {}, 1, current_root=3))
    reader = MemoryBlocks(image)
    assert get_current(read_superblock(reader)) is None
    assert get_current(read_held_superblock(reader)) is None
    assert read_writesets(reader, read_held_superblock(reader)) == []


def test_an_era_of_more_than_32_bits() -> None:
    reader = MemoryBlocks(write_era_metadata([0], {1 << 32: {0}}, current_era=1))
    with pytest.raises(DamagedError, match="era in the writeset tree is 4294967296, expected at most 4294967295"):
        list(iter_archived(reader, read_superblock(reader)))


@pytest.mark.parametrize("count", [0, 1, 64, 65, 200])
def test_bits(count: int) -> None:
    words = np.array([1, 1 << 63], dtype=np.uint64)
    assert np.flatnonzero(get_bits(words, count)).tolist() == [bit for bit in (0, 127) if bit < count]
    assert len(get_bits(words, count)) == count


def test_a_name_for_messages() -> None:
    assert Writeset(3, 5, 7).name == "writeset of era 3"
