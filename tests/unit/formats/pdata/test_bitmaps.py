"""Space maps that an independent writer made, with things wrong in them."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np
import pytest

from drystone.base.errors import DamagedError
from drystone.formats.pdata.bitmaps import ENTRIES_A_BITMAP, UNKNOWN, SpaceMapKind, iter_counts, survey_counts
from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.checksum import BITMAP, BTREE_NODE, INDEX_BLOCK
from drystone.formats.pdata.memory import MemoryBlocks
from drystone.formats.pdata.spacemap import SpaceMapRoot
from drystone.formats.pdata.survey import Survey
from drystone.formats.thin.superblock import read_superblock
from drystone.testing.thin_metadata import seal_block, write_thin_metadata

DATA_BLOCKS = 3 * ENTRIES_A_BITMAP + 700
MANY = {dev_id: {0: 5, 1: 17_000 + dev_id, 2: 40_000} for dev_id in range(1, 8)}
IMAGE = write_thin_metadata(MANY, share=False, nr_data_blocks=DATA_BLOCKS, nr_blocks=600)
SUPERBLOCK = read_superblock(MemoryBlocks(IMAGE))
DATA, METADATA = SUPERBLOCK.data_space_map, SUPERBLOCK.metadata_space_map
DUE = {5: 7, 40_000: 7, **{17_000 + dev_id: 1 for dev_id in range(1, 8)}}


def get_pointer(block: int, place: int, most: int, size: int = 8) -> int:
    """A pointer in a node with `most` places."""
    return int(struct.unpack_from("<Q", IMAGE, block * BLOCK + 32 + 8 * most + size * place)[0])


BITMAPS = [get_pointer(DATA.bitmap_root, place, 168, 16) for place in range(4)]


def change(block: int, offset: int, form: str, value: int, salt: int, image: bytes = IMAGE) -> bytes:
    data = bytearray(image)
    struct.pack_into(form, data, block * BLOCK + offset, value)
    at = slice(block * BLOCK, (block + 1) * BLOCK)
    data[at] = seal_block(bytes(data[at]), salt)
    return bytes(data)


def survey(
    image: bytes, kind: SpaceMapKind = SpaceMapKind.DATA, root: SpaceMapRoot = DATA
) -> tuple[Survey, dict[int, int]]:
    """What a survey finds: block -> count where that is not 0."""
    surveyed = Survey(MemoryBlocks(image))
    found: dict[int, int] = {}
    for each in survey_counts(surveyed, kind, root):
        found.update((each.begin + place, int(each.counts[place])) for place in np.flatnonzero(each.counts).tolist())
    return surveyed, found


def lost(surveyed: Survey) -> list[tuple[int, int, int]]:
    return [(each.block, each.low, each.high) for each in surveyed.damages]


@pytest.mark.parametrize("batch", [1, 2, 16])
def test_all_counts_come_in_order(batch: int) -> None:
    due = 0
    found: dict[int, int] = {}
    for each in iter_counts(MemoryBlocks(IMAGE), SpaceMapKind.DATA, DATA, batch=batch):
        assert each.begin == due
        due += len(each)
        found.update((each.begin + place, int(each.counts[place])) for place in np.flatnonzero(each.counts).tolist())
        assert len(each.index) == -(-len(each) // ENTRIES_A_BITMAP)
    assert due == DATA_BLOCKS
    assert found == DUE


def test_the_metadata_space_map_counts_itself() -> None:
    surveyed, found = survey(IMAGE, SpaceMapKind.METADATA, METADATA)
    assert surveyed.damages == []
    assert len(found) == METADATA.nr_allocated
    own = np.flatnonzero(surveyed.counts.get_range(0, 600)).tolist()
    assert len(own) == 3
    assert [found[block] for block in own] == [1, 1, 1]


def test_the_blocks_of_the_data_space_map_are_counted() -> None:
    surveyed, found = survey(IMAGE)
    assert surveyed.damages == []
    assert found == DUE
    own = np.flatnonzero(surveyed.counts.get_range(0, 600)).tolist()
    assert sorted(own) == sorted([*BITMAPS, DATA.bitmap_root, DATA.ref_count_root])
    assert surveyed.counts.get_many(np.array(own)).tolist() == [1] * 6


def test_a_damaged_bitmap_loses_its_counts() -> None:
    data = bytearray(IMAGE)
    data[BITMAPS[1] * BLOCK + 2000] ^= 1
    surveyed, found = survey(bytes(data))
    assert lost(surveyed) == [(BITMAPS[1], ENTRIES_A_BITMAP, 2 * ENTRIES_A_BITMAP - 1)]
    assert found == {5: 7, 40_000: 7}
    with pytest.raises(DamagedError, match=f"block {BITMAPS[1]}: data space map: bitmap: checksum"):
        list(iter_counts(MemoryBlocks(data), SpaceMapKind.DATA, DATA))


def test_a_bitmap_elsewhere_is_told() -> None:
    surveyed, _ = survey(change(BITMAPS[3], 8, "<Q", 1, BITMAP))
    assert lost(surveyed) == [(BITMAPS[3], 3 * ENTRIES_A_BITMAP, DATA_BLOCKS - 1)]


@pytest.mark.parametrize("pointer", [0, 600, 1 << 50])
def test_a_pointer_to_nowhere(pointer: int) -> None:
    surveyed, found = survey(change(DATA.bitmap_root, 32 + 8 * 168 + 16, "<Q", pointer, BTREE_NODE))
    assert lost(surveyed) == [(DATA.bitmap_root, ENTRIES_A_BITMAP, 2 * ENTRIES_A_BITMAP - 1)]
    assert found == {5: 7, 40_000: 7}


def test_a_missing_bitmap() -> None:
    surveyed, _ = survey(change(DATA.bitmap_root, 16, "<I", 3, BTREE_NODE))
    assert lost(surveyed) == [(DATA.bitmap_root, 3 * ENTRIES_A_BITMAP, DATA_BLOCKS - 1)]
    assert [(each.expected, each.found) for each in surveyed.damages] == [(3, "none")]


def test_bitmaps_beyond_the_last_block_are_not_read() -> None:
    root = replace(DATA, nr_blocks=2 * ENTRIES_A_BITMAP, nr_allocated=8)
    surveyed = Survey(MemoryBlocks(IMAGE))
    batches = list(survey_counts(surveyed, SpaceMapKind.DATA, root))
    assert [(each.begin, len(each)) for each in batches] == [(0, 2 * ENTRIES_A_BITMAP)]
    assert surveyed.counts.get_many(np.array(BITMAPS)).tolist() == [1, 1, 0, 0]
    assert [each.what for each in surveyed.damages] == ["entry in the tree of counts"]


def test_a_damaged_index() -> None:
    for kind, root in ((SpaceMapKind.DATA, DATA), (SpaceMapKind.METADATA, METADATA)):
        data = bytearray(IMAGE)
        data[root.bitmap_root * BLOCK + 3000] ^= 1
        surveyed, found = survey(bytes(data), kind, root)
        assert lost(surveyed) == [(root.bitmap_root, 0, root.nr_blocks - 1)]
        assert found == {}


def test_an_index_block_elsewhere() -> None:
    surveyed, _ = survey(change(METADATA.bitmap_root, 8, "<Q", 9, INDEX_BLOCK), SpaceMapKind.METADATA, METADATA)
    assert [each.what for each in surveyed.damages] == ["index: location"]
    surveyed, _ = survey(IMAGE, SpaceMapKind.METADATA, replace(METADATA, bitmap_root=600))
    assert lost(surveyed) == [(600, 0, 599)]


def test_a_damaged_tree_of_counts_makes_many_unknown() -> None:
    data = bytearray(IMAGE)
    data[DATA.ref_count_root * BLOCK + 40] ^= 1
    surveyed, found = survey(bytes(data))
    assert lost(surveyed) == [(DATA.ref_count_root, 0, DATA_BLOCKS - 1)]
    assert found == DUE | {5: UNKNOWN, 40_000: UNKNOWN}


def test_a_count_that_is_missing_in_the_tree() -> None:
    surveyed, found = survey(change(DATA.ref_count_root, 16, "<I", 1, BTREE_NODE))
    assert lost(surveyed) == [(BITMAPS[2], 40_000, 40_000)]
    assert found == DUE | {40_000: UNKNOWN}


def test_a_count_in_the_tree_that_belongs_into_the_bitmap() -> None:
    surveyed, found = survey(change(DATA.ref_count_root, 32 + 8 * 336, "<I", 2, BTREE_NODE))
    assert [(each.what, each.found) for each in surveyed.damages] == [("count of block 5 in the tree of counts", 2)]
    assert found == DUE | {5: 2}


def test_a_count_in_the_tree_that_no_bitmap_refers_to() -> None:
    surveyed, found = survey(change(DATA.ref_count_root, 32, "<Q", 6, BTREE_NODE))
    assert [(each.what, each.found) for each in surveyed.damages] == [
        ("entry in the tree of counts", 7),
        ("count of block 5 in the tree of counts", "none"),
    ]
    assert found == DUE | {5: UNKNOWN}


@pytest.mark.parametrize("beyond", [0, 3])
def test_a_count_of_a_block_beyond_the_end(beyond: int) -> None:
    surveyed, _ = survey(change(DATA.ref_count_root, 32 + 8, "<Q", DATA_BLOCKS + beyond, BTREE_NODE))
    assert [(each.what, each.found) for each in surveyed.damages] == [
        ("count of block 40000 in the tree of counts", "none"),
        ("entry in the tree of counts", DATA_BLOCKS + beyond),
    ]


@pytest.mark.parametrize(
    ("offset", "value", "what"),
    [
        (8, 3, "number of free blocks in bitmap 0"),
        (12, 6, "place before which bitmap 0 has none free"),
    ],
)
def test_index_entries_that_do_not_fit(offset: int, value: int, what: str) -> None:
    surveyed, found = survey(change(DATA.bitmap_root, 32 + 8 * 168 + offset, "<I", value, BTREE_NODE))
    assert [(each.what, each.found, each.loses) for each in surveyed.damages] == [(what, value, False)]
    assert found == DUE


@pytest.mark.parametrize(
    ("nr_free", "none_free_before", "allocated_more", "hides"),
    [
        (None, None, 5, True),
        (None, None, -1, False),
        # Beyond nr_blocks the room that is left wraps round.
        (None, None, DATA_BLOCKS - 9, True),
        (None, None, DATA_BLOCKS - 8, False),
        # What the index hides is promised by the root, unless that counts as many in use.
        (ENTRIES_A_BITMAP - 2, None, 0, False),
        (ENTRIES_A_BITMAP - 2, None, 1, True),
        (None, 8, 6, False),
        (None, 8, 7, True),
        (ENTRIES_A_BITMAP - 2, 8, 6, False),
        (ENTRIES_A_BITMAP - 2, 8, 7, True),
        (ENTRIES_A_BITMAP - 20, 8, 18, False),
        (ENTRIES_A_BITMAP - 20, 8, 19, True),
        (0, None, ENTRIES_A_BITMAP - 2, False),
        (0, None, ENTRIES_A_BITMAP - 1, True),
        (None, 1 << 31, ENTRIES_A_BITMAP - 2, False),
        (None, 1 << 31, ENTRIES_A_BITMAP - 1, True),
    ],
)
def test_sums_hide_room_when_the_root_promises_no_more_than_is_found(
    nr_free: int | None, none_free_before: int | None, allocated_more: int, hides: bool
) -> None:
    """Bitmap 0 has one block in use, block 5."""
    image = IMAGE
    for offset, value in ((8, nr_free), (12, none_free_before)):
        if value is not None:
            image = change(DATA.bitmap_root, 32 + 8 * 168 + offset, "<I", value, BTREE_NODE, image)
    surveyed, _ = survey(image, root=replace(DATA, nr_allocated=9 + allocated_more))
    assert surveyed.damages
    assert {each.hides_room for each in surveyed.damages} == {hides}


def test_free_blocks_of_a_bitmap_that_are_not_there_hide_nothing() -> None:
    image = change(DATA.bitmap_root, 32 + 8 * 168 + 8, "<I", ENTRIES_A_BITMAP, BTREE_NODE)
    surveyed, _ = survey(image, root=replace(DATA, nr_allocated=100))
    assert [(each.expected, each.found, each.hides_room) for each in surveyed.damages] == [
        (ENTRIES_A_BITMAP - 1, ENTRIES_A_BITMAP, False),
        (9, 100, True),
    ]


def test_where_counts_are_lost_no_sum_is_taken_to_hide_room() -> None:
    data = bytearray(change(DATA.bitmap_root, 32 + 8 * 168 + 8, "<I", 3, BTREE_NODE))
    data[BITMAPS[1] * BLOCK + 2000] ^= 1
    surveyed, _ = survey(bytes(data), root=replace(DATA, nr_allocated=40_000))
    assert [(each.loses, each.hides_room) for each in surveyed.damages] == [(True, False), (False, False)]


def test_none_free_before_may_be_low() -> None:
    at = 32 + 8 * 168 + 16 + 12
    assert survey(change(DATA.bitmap_root, at, "<I", 0, BTREE_NODE))[0].damages == []


@pytest.mark.parametrize("free", [700, ENTRIES_A_BITMAP])
def test_the_last_bitmap_may_count_what_is_beyond_the_end_as_free(free: int) -> None:
    at = 32 + 8 * 168 + 3 * 16 + 8
    assert survey(change(DATA.bitmap_root, at, "<I", free, BTREE_NODE))[0].damages == []
    assert len(survey(change(DATA.bitmap_root, at, "<I", free - 1, BTREE_NODE))[0].damages) == 1


def test_a_place_in_use_beyond_the_last_block_is_told() -> None:
    """The kernel keeps the last bitmap when a pool grows: what is in use beyond its end is never free then."""
    surveyed, found = survey(change(BITMAPS[3], 16 + 700 // 4, "<B", 0b10, BITMAP))
    assert found == DUE
    assert [(each.what, each.expected, each.found, each.loses) for each in surveyed.damages] == [
        ("places in use of bitmap 3 beyond the last block", 0, 1, False)
    ]


def test_the_sum_of_the_root() -> None:
    surveyed, _ = survey(IMAGE, root=replace(DATA, nr_allocated=8))
    assert [(each.what, each.expected, each.found) for each in surveyed.damages] == [("number of blocks in use", 9, 8)]


def test_a_root_that_promises_much_allocates_little() -> None:
    surveyed, found = survey(IMAGE, root=replace(DATA, nr_blocks=1 << 60))
    assert found == DUE
    assert [each.high for each in surveyed.damages if each.loses][-1] == (1 << 60) - 1


def test_an_empty_space_map() -> None:
    image = write_thin_metadata({}, nr_data_blocks=0)
    root = read_superblock(MemoryBlocks(image)).data_space_map
    assert survey(image, root=root)[1] == {}
    assert list(iter_counts(MemoryBlocks(image), SpaceMapKind.DATA, root)) == []
