"""What is written is read back, whatever the entries, their batches, and what trees share; counts agree throughout."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from drystone.formats.pdata.allocator import Allocator
from drystone.formats.pdata.array import ArrayKind, survey_array
from drystone.formats.pdata.array_writer import ArrayWriter, BitsetWriter
from drystone.formats.pdata.bitmaps import SpaceMapKind, survey_counts
from drystone.formats.pdata.bitset import survey_bits
from drystone.formats.pdata.btree import TreeKind, iter_entries
from drystone.formats.pdata.btree_writer import LeafWriter, Leaves, TreeWriter
from drystone.formats.pdata.counts import ReferenceCounts
from drystone.formats.pdata.memory import MemoryDisk
from drystone.formats.pdata.spacemap_writer import write_data_space_map, write_metadata_space_map
from drystone.formats.pdata.survey import Survey

BLOCKS = 1000
Numbers = NDArray[np.uint64]


def cut(length: int, places: list[int]) -> list[slice]:
    """A range cut into pieces at some places, in order."""
    ends = sorted({0, length, *(place % (length + 1) for place in places)})
    return [slice(begin, end) for begin, end in pairwise(ends)]


def assert_counted(survey: Survey, allocator: Allocator) -> None:
    """No damage, and every block that was written is referred to as often as it was counted."""
    survey.count_block(0, "superblock")
    assert survey.damages == []
    assert np.array_equal(survey.counts.get_range(0, BLOCKS), allocator.counts.get_range(0, BLOCKS))


@given(
    value_size=st.sampled_from([4, 8, 12, 16, 24]),
    steps=st.lists(st.integers(1, 1 << 50), max_size=40),
    repeat=st.integers(1, 60),
    cuts=st.lists(st.integers(0, 10_000), max_size=6),
)
@settings(max_examples=150, deadline=None)
def test_a_tree_is_read_as_it_was_written(value_size: int, steps: list[int], repeat: int, cuts: list[int]) -> None:
    keys = np.cumsum(np.tile(np.array(steps, dtype=np.uint64), repeat), dtype=np.uint64)
    kind = TreeKind("tree", np.dtype(f"V{value_size}"))
    random = np.random.default_rng(len(keys))
    values = random.integers(0, 256, len(keys) * value_size, dtype=np.uint8).view(kind.value)
    disk, allocator = MemoryDisk(BLOCKS * 4096), Allocator(BLOCKS)
    writer = TreeWriter(disk, allocator, kind.value)
    for piece in cut(len(keys), cuts):
        writer.append(keys[piece], values[piece])
    root = writer.finish()
    survey = Survey(disk)
    found = list(survey.visit_tree(kind, root))
    assert np.array_equal(np.concatenate([keys[:0], *(each for each, _ in found)]), keys)
    assert b"".join(each.tobytes() for _, each in found) == values.tobytes()
    assert survey.remarks == []
    assert survey.count_entries(root) == len(keys)
    assert_counted(survey, allocator)
    strict = list(iter_entries(disk, kind, root))
    assert b"".join(each.tobytes() for _, each in strict) == values.tobytes()


@given(
    pieces=st.lists(st.tuples(st.sampled_from([0, 1, 50, 83, 84, 85, 167, 252, 253, 700]), st.booleans()), max_size=8),
    takers=st.lists(st.lists(st.booleans(), min_size=8, max_size=8), min_size=1, max_size=3),
)
@settings(max_examples=200, deadline=None)
def test_trees_that_share_leaves(pieces: list[tuple[int, bool]], takers: list[list[bool]]) -> None:
    """Each piece of keys is written once to be shared, or by each tree for itself; each tree takes some of them."""
    disk, allocator = MemoryDisk(BLOCKS * 4096), Allocator(BLOCKS)
    kind = TreeKind("tree", np.dtype("<u8"))
    references: Counter[int] = Counter()
    shared: dict[int, Leaves] = {}
    for place, (size, is_shared) in enumerate(pieces):
        if is_shared:
            leaves = LeafWriter(disk, allocator, kind.value)
            keys = make_keys(place, size)
            leaves.append(keys, keys)
            shared[place] = leaves.finish()
    roots, due = [], []
    for taken in takers:
        writer = TreeWriter(disk, allocator, kind.value, refer=lambda values: references.update(values.tolist()))
        expected: list[int] = []
        for place, (size, is_shared) in enumerate(pieces):
            if not taken[place]:
                continue
            keys = make_keys(place, size)
            expected.extend(keys.tolist())
            if is_shared:
                writer.append_leaves(shared[place])
            else:
                writer.append(keys, keys)
        roots.append(writer.finish())
        due.append(expected)
    survey = Survey(disk)
    counted: Counter[int] = Counter()
    for _, values in survey.visit_trees(kind, roots):
        counted.update(values.tolist())
    assert survey.remarks == []
    assert_counted(survey, allocator)
    assert [survey.count_entries(root) for root in roots] == [len(expected) for expected in due]
    for root, expected in zip(roots, due, strict=True):
        assert [key for keys, _ in survey.iter_entries(kind, root) for key in keys.tolist()] == expected
    assert counted == references


def make_keys(place: int, size: int) -> Numbers:
    return np.arange(place * 1000, place * 1000 + size, dtype=np.uint64)


@given(
    value=st.sampled_from(["<u4", "<u8"]),
    length=st.integers(0, 6000),
    cuts=st.lists(st.integers(0, 10_000), max_size=6),
)
@settings(max_examples=100, deadline=None)
def test_an_array_is_read_as_it_was_written(value: str, length: int, cuts: list[int]) -> None:
    kind = ArrayKind("array", np.dtype(value))
    values = np.random.default_rng(length).integers(0, 1 << 32, length).astype(kind.value)
    disk, allocator = MemoryDisk(BLOCKS * 4096), Allocator(BLOCKS)
    writer = ArrayWriter(disk, allocator, kind.value)
    for piece in cut(length, cuts):
        writer.append(values[piece])
    root = writer.finish()
    survey = Survey(disk)
    found = [batch.values for batch in survey_array(survey, kind, root, length)]
    assert np.array_equal(np.concatenate([values[:0], *found]), values)
    assert_counted(survey, allocator)


@given(length=st.integers(0, 200_000), cuts=st.lists(st.integers(0, 300_000), max_size=6))
@settings(max_examples=60, deadline=None)
def test_a_bitset_is_read_as_it_was_written(length: int, cuts: list[int]) -> None:
    bits = np.random.default_rng(length).random(length) < 0.3
    disk, allocator = MemoryDisk(BLOCKS * 4096), Allocator(BLOCKS)
    writer = BitsetWriter(disk, allocator)
    for piece in cut(length, cuts):
        writer.append(bits[piece])
    root = writer.finish()
    survey = Survey(disk)
    found = [batch.bits for batch in survey_bits(survey, "bitset", root, length)]
    assert np.array_equal(np.concatenate([bits[:0], *found]), bits)
    assert_counted(survey, allocator)


@given(
    nr_blocks=st.integers(1, 50_000),
    ranges=st.lists(st.tuples(st.integers(0, 50_000), st.integers(1, 5000), st.integers(1, 300)), max_size=6),
)
@settings(max_examples=60, deadline=None)
def test_space_maps_are_read_as_they_were_written(nr_blocks: int, ranges: list[tuple[int, int, int]]) -> None:
    counts = ReferenceCounts(nr_blocks)
    due = np.zeros(nr_blocks, dtype=np.uint32)
    for begin, length, times in ranges:
        here = np.arange(min(begin, nr_blocks), min(begin + length, nr_blocks), dtype=np.uint64)
        for _ in range(times):
            counts.add(here)
        due[here] += np.uint32(times)
    assert np.array_equal(counts.get_range(0, nr_blocks), due)
    disk, allocator = MemoryDisk(BLOCKS * 4096), Allocator(BLOCKS)
    data = write_data_space_map(disk, allocator, counts)
    metadata = write_metadata_space_map(disk, allocator)
    survey = Survey(disk)
    stored = [batch.counts for batch in survey_counts(survey, SpaceMapKind.DATA, data)]
    assert np.array_equal(np.concatenate(stored), due)
    for batch in survey_counts(survey, SpaceMapKind.METADATA, metadata):
        assert np.array_equal(batch.counts, allocator.counts.get_range(batch.begin, batch.begin + len(batch)))
    assert_counted(survey, allocator)


@given(
    batches=st.lists(st.tuples(st.integers(0, 999), st.integers(1, 300), st.integers(1, 5), st.booleans()), max_size=20)
)
@settings(max_examples=200, deadline=None)
def test_counts_are_those_of_a_dictionary(batches: list[tuple[int, int, int, bool]]) -> None:
    counts = ReferenceCounts(1_000_000)
    due: Counter[int] = Counter()
    for begin, length, times, far in batches:
        numbers = np.repeat(np.arange(begin, begin + length, dtype=np.uint64), times)
        if far:
            numbers = np.concatenate((numbers, np.full(90, 999_999, dtype=np.uint64)))
        counts.add(numbers)
        due.update(numbers.tolist())
    assert counts.count_used() == len(due)
    assert {block: counts.get(block) for block in due} == due
