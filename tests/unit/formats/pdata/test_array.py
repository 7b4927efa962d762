"""Arrays that an independent writer made, with blocks damaged."""

from __future__ import annotations

import struct
import time

import numpy as np
import pytest

from drystone.base.errors import DamagedError
from drystone.formats.era.superblock import read_superblock
from drystone.formats.pdata.allocator import Allocator
from drystone.formats.pdata.array import ArrayKind, iter_array, survey_array
from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.btree_writer import TreeWriter
from drystone.formats.pdata.checksum import ARRAY_BLOCK, BTREE_NODE
from drystone.formats.pdata.layout import POINTER
from drystone.formats.pdata.memory import MemoryBlocks, MemoryDisk
from drystone.formats.pdata.survey import Survey
from drystone.testing.era_metadata import Held, write_era_metadata
from drystone.testing.thin_metadata import seal_block

ERAS = ArrayKind("era array", np.dtype("<u4"))
PER_BLOCK = 1018
LENGTH = 3500
VALUES = [number % 97 for number in range(LENGTH)]
IMAGE = write_era_metadata(VALUES, {}, current_era=100)
ROOT = read_superblock(MemoryBlocks(IMAGE)).era_array_root


def find_blocks() -> list[int]:
    """Where the four array blocks are."""
    at = ROOT * BLOCK + 32 + 8 * 252
    return list(struct.unpack_from("<4Q", IMAGE, at))


def change(block: int, offset: int, form: str, value: int, salt: int = ARRAY_BLOCK) -> MemoryBlocks:
    """The image with a field of a block changed and the checksum put right."""
    data = bytearray(IMAGE)
    struct.pack_into(form, data, block * BLOCK + offset, value)
    at = slice(block * BLOCK, (block + 1) * BLOCK)
    data[at] = seal_block(bytes(data[at]), salt)
    return MemoryBlocks(data)


def read(reader: MemoryBlocks, length: int = LENGTH, batch: int = 256) -> list[int]:
    found: list[int] = []
    for each in iter_array(reader, ERAS, ROOT, length, batch=batch):
        assert each.begin == len(found)
        found.extend(each.values.tolist())
    return found


def survey(reader: MemoryBlocks, length: int = LENGTH) -> tuple[Survey, dict[int, int]]:
    """What a survey finds: index -> value."""
    surveyed = Survey(reader)
    found: dict[int, int] = {}
    for each in survey_array(surveyed, ERAS, ROOT, length):
        found.update(zip(range(each.begin, each.begin + len(each)), each.values.tolist(), strict=True))
    return surveyed, found


@pytest.mark.parametrize("batch", [1, 3, 256])
def test_entries_come_in_order(batch: int) -> None:
    assert read(MemoryBlocks(IMAGE), batch=batch) == VALUES


def test_an_empty_array() -> None:
    image = write_era_metadata([], {})
    root = read_superblock(MemoryBlocks(image)).era_array_root
    assert list(iter_array(MemoryBlocks(image), ERAS, root, 0)) == []
    with pytest.raises(DamagedError, match="index of an array block is none, expected 0"):
        list(iter_array(MemoryBlocks(image), ERAS, root, 1))


@pytest.mark.parametrize(
    ("offset", "form", "value", "what"),
    [
        (4, "<I", 1017, "max entries"),
        (8, "<I", 1017, "number of entries"),
        (12, "<I", 8, "value size"),
        (16, "<Q", 99, "location"),
    ],
)
def test_a_wrong_block_is_named_and_the_rest_is_read(offset: int, form: str, value: int, what: str) -> None:
    second = find_blocks()[1]
    reader = change(second, offset, form, value)
    with pytest.raises(DamagedError, match=f"block {second}: era array: {what} is {value}"):
        read(reader)
    surveyed, found = survey(reader)
    (damage,) = surveyed.damages
    assert (damage.block, damage.low, damage.high) == (second, PER_BLOCK, 2 * PER_BLOCK - 1)
    assert found == {place: value for place, value in enumerate(VALUES) if not PER_BLOCK <= place < 2 * PER_BLOCK}


def test_a_wrong_checksum_is_named() -> None:
    last = find_blocks()[3]
    data = bytearray(IMAGE)
    data[last * BLOCK + 100] ^= 1
    surveyed, found = survey(MemoryBlocks(data))
    assert [(each.block, each.what, each.low, each.high) for each in surveyed.damages] == [
        (last, "checksum", 3 * PER_BLOCK, LENGTH - 1)
    ]
    assert len(found) == 3 * PER_BLOCK


@pytest.mark.parametrize("pointer", [0, 1 << 40])
def test_a_wild_pointer_is_named(pointer: int) -> None:
    surveyed, found = survey(change(ROOT, 32 + 8 * 252 + 16, "<Q", pointer, BTREE_NODE))
    (damage,) = surveyed.damages
    assert (damage.block, damage.found, damage.low, damage.high) == (ROOT, pointer, 2 * PER_BLOCK, 3 * PER_BLOCK - 1)
    assert len(found) == LENGTH - PER_BLOCK


def test_a_missing_block_is_named() -> None:
    surveyed, found = survey(change(ROOT, 16, "<I", 3, BTREE_NODE))
    (damage,) = surveyed.damages
    assert (damage.block, damage.expected, damage.found) == (ROOT, 3, "none")
    assert (damage.low, damage.high) == (3 * PER_BLOCK, LENGTH - 1)
    assert len(found) == 3 * PER_BLOCK


def test_a_gap_between_blocks_is_named() -> None:
    """The third index is 3 instead of 2: 2 is missing, and so is what the fourth, now out of order, held."""
    reader = change(ROOT, 32 + 8 * 2, "<Q", 3, BTREE_NODE)
    data = bytearray(reader.read_blocks(np.arange(len(IMAGE) // BLOCK, dtype=np.uint64)).tobytes())
    struct.pack_into("<Q", data, ROOT * BLOCK + 32 + 8 * 3, 4)
    at = slice(ROOT * BLOCK, (ROOT + 1) * BLOCK)
    data[at] = seal_block(bytes(data[at]), BTREE_NODE)
    surveyed, found = survey(MemoryBlocks(data))
    assert [(each.what, each.expected, each.found) for each in surveyed.damages] == [
        ("index of an array block", 2, 3),
        ("index of an array block", "below 4", 4),
        ("number of entries", LENGTH - 3 * PER_BLOCK, PER_BLOCK),
    ]
    assert sorted(found) == list(range(2 * PER_BLOCK))


def test_a_damaged_tree_loses_all_once() -> None:
    data = bytearray(IMAGE)
    data[ROOT * BLOCK + 50] ^= 1
    surveyed, found = survey(MemoryBlocks(data))
    assert found == {}
    assert [(each.block, each.low, each.high) for each in surveyed.damages] == [(ROOT, 0, LENGTH - 1)]


@pytest.mark.parametrize("length", [LENGTH - 1, LENGTH + 1, PER_BLOCK, 2 * LENGTH])
def test_another_length_is_refused(length: int) -> None:
    with pytest.raises(DamagedError):
        read(MemoryBlocks(IMAGE), length)


def test_what_a_snapshot_shares_is_counted_twice_and_read_once() -> None:
    image = write_era_metadata(VALUES, {}, current_era=9, held=Held([*VALUES[:-1], 5], {}, 8))
    reader = MemoryBlocks(image)
    live = read_superblock(reader)
    held = read_superblock(reader, location=live.metadata_snap)
    surveyed = Survey(reader)
    entries = [
        sum(len(each) for each in survey_array(surveyed, ERAS, each.era_array_root, LENGTH)) for each in (live, held)
    ]
    assert entries == [LENGTH, LENGTH - 3 * PER_BLOCK]
    assert surveyed.damages == []
    counts = surveyed.counts.get_range(0, len(image) // BLOCK)
    assert sorted(counts[counts > 0].tolist()) == [1, 1, 1, 1, 2, 2, 2]
    again = sum(len(each) for each in survey_array(surveyed, ERAS, held.era_array_root, LENGTH, count=False))
    assert again == LENGTH


def test_many_gaps_take_no_time_by_one_another() -> None:
    disk, gaps = MemoryDisk(4 << 20), 30_000
    tree = TreeWriter(disk, Allocator(1024), POINTER)
    tree.append(np.arange(gaps, dtype=np.uint64) * np.uint64(2) + np.uint64(1), np.full(gaps, 3, dtype=np.uint64))
    surveyed = Survey(disk)
    begun = time.process_time()
    assert sum(len(each) for each in survey_array(surveyed, ERAS, tree.finish(), 2 * gaps * PER_BLOCK)) == 0
    assert surveyed.nr_damages >= gaps
    assert time.process_time() - begun < 20


def test_a_shared_block_is_held_against_both_lengths() -> None:
    surveyed = Survey(MemoryBlocks(IMAGE))
    assert sum(len(each) for each in survey_array(surveyed, ERAS, ROOT, LENGTH)) == LENGTH
    assert list(survey_array(surveyed, ERAS, ROOT, LENGTH - 3)) == []
    assert [(each.block, each.what, each.expected, each.found) for each in surveyed.damages] == [
        (find_blocks()[3], "number of entries", LENGTH - 3 * PER_BLOCK - 3, LENGTH - 3 * PER_BLOCK)
    ]
