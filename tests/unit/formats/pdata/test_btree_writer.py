"""Trees written and read back, their nodes' fill, and leaves shared between trees."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from drystone.base.errors import ExhaustedError, MismatchError
from drystone.formats.pdata.allocator import Allocator
from drystone.formats.pdata.btree import BATCH, TreeKind, measure_height
from drystone.formats.pdata.btree_writer import LeafWriter, Leaves, TreeWriter, join_leaves
from drystone.formats.pdata.memory import MemoryDisk
from drystone.formats.pdata.survey import Survey

POINTER = np.dtype("<u8")
KIND = TreeKind("tree", POINTER)
BLOCKS = 2000


class Bench:
    """A disk, an allocator, and what leaves refer to."""

    def __init__(self, blocks: int = BLOCKS) -> None:
        self.disk = MemoryDisk(blocks * 4096)
        self.allocator = Allocator(blocks)
        self.referred: list[int] = []

    def refer(self, values: NDArray[np.uint64]) -> None:
        self.referred.extend(values.tolist())

    def make_tree(self) -> TreeWriter:
        return TreeWriter(self.disk, self.allocator, POINTER, refer=self.refer)

    def make_leaves(self, begin: int, end: int) -> Leaves:
        writer = LeafWriter(self.disk, self.allocator, POINTER)
        writer.append(keys(begin, end), keys(begin, end) * np.uint64(10))
        return writer.finish()

    def check(self, *roots: int) -> Survey:
        """That the trees are sound, well filled, and counted as they are, and so is what they refer to."""
        survey = Survey(self.disk)
        survey.count_block(0, "superblock")
        values = [value for _, values in survey.visit_trees(KIND, roots) for value in values.tolist()]
        assert sorted(values) == sorted(self.referred)
        assert survey.damages == []
        assert survey.remarks == []
        assert np.array_equal(survey.counts.get_range(0, BLOCKS), self.allocator.counts.get_range(0, BLOCKS))
        return survey


def keys(begin: int, end: int) -> NDArray[np.uint64]:
    return np.arange(begin, end, dtype=np.uint64)


def read(bench: Bench, root: int) -> list[int]:
    """All keys; every value is ten times its key."""
    found: list[int] = []
    for found_keys, values in Survey(bench.disk, strict=True).iter_entries(KIND, root):
        assert np.array_equal(values, found_keys * np.uint64(10))
        found.extend(found_keys.tolist())
    return found


@pytest.mark.parametrize(
    ("entries", "height"),
    [(0, 0), (1, 0), (252, 0), (253, 1), (504, 1), (252 * 252, 1), (252 * 252 + 1, 2), (252 * (BATCH + 5) + 7, 2)],
)
def test_trees_of_all_sizes(entries: int, height: int) -> None:
    bench = Bench()
    writer = bench.make_tree()
    for begin in range(0, entries, 1000):
        here = keys(begin, min(begin + 1000, entries))
        writer.append(here, here * np.uint64(10))
    root = writer.finish()
    assert read(bench, root) == list(range(entries))
    assert measure_height(bench.disk, KIND, root) == height
    assert bench.referred == [10 * key for key in range(entries)]
    bench.check(root)


def test_unused_places_are_zero_and_every_block_is_written() -> None:
    bench = Bench()
    writer = bench.make_tree()
    writer.append(keys(0, 300), keys(0, 300))
    writer.finish()
    assert not bench.disk.data[1, 32 + 8 * 150 : 32 + 8 * 252].any()
    assert bench.disk.data[1:4].any(axis=1).tolist() == [True] * 3
    assert not bench.disk.data[4:].any()


def test_keys_that_do_not_ascend_are_refused() -> None:
    bench = Bench()
    writer = bench.make_tree()
    writer.append(keys(5, 8), keys(5, 8) * np.uint64(10))
    for wrong in ([7], [9, 9], [10, 9]):
        numbers = np.array(wrong, dtype=np.uint64)
        with pytest.raises(MismatchError, match="do not ascend"):
            writer.append(numbers, numbers)
    writer.append(keys(0, 0), keys(0, 0))
    assert read(bench, writer.finish()) == [5, 6, 7]


def test_the_largest_key() -> None:
    bench = Bench()
    writer = bench.make_tree()
    last = np.array([(1 << 64) - 1], dtype=np.uint64)
    writer.append(last, last * np.uint64(10))
    with pytest.raises(MismatchError):
        writer.append(last, last)
    assert read(bench, writer.finish()) == [(1 << 64) - 1]


def test_a_full_disk_is_told() -> None:
    bench = Bench(blocks=3)
    writer = bench.make_tree()
    writer.append(keys(0, 600), keys(0, 600))
    with pytest.raises(ExhaustedError):
        writer.finish()


@pytest.mark.parametrize("before", [0, 1, 83, 84, 251, 600])
@pytest.mark.parametrize("shared", [1, 83, 84, 252, 253, 2000])
@pytest.mark.parametrize("after", [0, 1, 83, 84, 600])
def test_leaves_are_shared_between_trees(before: int, shared: int, after: int) -> None:
    bench = Bench()
    leaves = bench.make_leaves(1000, 1000 + shared)
    assert bench.allocator.counts.count_used() == 1
    roots = []
    for _ in range(2):
        writer = bench.make_tree()
        writer.append(keys(0, before), keys(0, before) * np.uint64(10))
        writer.append_leaves(leaves)
        writer.append(keys(5000, 5000 + after), keys(5000, 5000 + after) * np.uint64(10))
        roots.append(writer.finish())
    due = [*range(before), *range(1000, 1000 + shared), *range(5000, 5000 + after)]
    assert [read(bench, root) for root in roots] == [due, due]
    bench.check(*roots)
    counts = bench.allocator.counts.get_many(leaves.blocks)
    assert counts.max() <= 2
    if shared == 2000:
        assert np.count_nonzero(counts == 2) >= len(leaves) - 2


@pytest.mark.parametrize(("shared", "copied"), [(252, 0), (83, 83)])
def test_leaves_whose_writer_refers_are_not_read_for_that(shared: int, copied: int) -> None:
    """But a leaf that a tree copies is referred to by its copy as well."""
    bench = Bench()
    writer = LeafWriter(bench.disk, bench.allocator, POINTER, refer=bench.refer)
    writer.append(keys(0, shared), keys(0, shared) * np.uint64(10))
    leaves = writer.finish()
    assert len(bench.referred) == shared
    root = 0
    for taker in range(2):
        tree = bench.make_tree()
        tree.append_leaves(leaves)
        root = tree.finish()
        assert len(bench.referred) == shared + (taker + 1) * copied
    assert read(bench, root) == list(range(shared))
    assert bench.allocator.counts.get(int(leaves.blocks[0])) == (0 if copied else 2)


def test_several_shared_pieces_in_one_tree() -> None:
    bench = Bench()
    pieces = [bench.make_leaves(begin, begin + size) for begin, size in ((0, 600), (1000, 10), (2000, 90), (3000, 600))]
    writer = bench.make_tree()
    for piece, own in zip(pieces, (1, 0, 5, 84), strict=True):
        writer.append_leaves(piece[:1])
        writer.append_leaves(piece[1:])
        last = int(piece.lasts[-1]) + 1
        writer.append(keys(last, last + own), keys(last, last + own) * np.uint64(10))
    with pytest.raises(MismatchError):
        writer.append_leaves(pieces[0])
    root = writer.finish()
    assert read(bench, root) == [*range(601), *range(1000, 1010), *range(2000, 2095), *range(3000, 3684)]
    bench.check(root)


def test_a_tree_of_one_shared_leaf_is_that_leaf() -> None:
    bench = Bench()
    leaves = bench.make_leaves(0, 100)
    roots = []
    for _ in range(3):
        writer = bench.make_tree()
        writer.append_leaves(leaves)
        roots.append(writer.finish())
    assert roots == leaves.blocks.tolist() * 3
    assert bench.allocator.counts.get(roots[0]) == 3


def test_leaves_that_overlap_are_refused() -> None:
    bench = Bench()
    one, two = bench.make_leaves(0, 100), bench.make_leaves(99, 200)
    with pytest.raises(MismatchError, match="overlap"):
        bench.make_tree().append_leaves(join_leaves([one, two]))
    writer = bench.make_tree()
    writer.append_leaves(one)
    with pytest.raises(MismatchError, match="ascend"):
        writer.append_leaves(two)


def test_no_entries_make_no_leaves() -> None:
    bench = Bench()
    leaves = bench.make_leaves(0, 0)
    assert len(leaves) == 0
    writer = bench.make_tree()
    writer.append_leaves(leaves)
    root = writer.finish()
    assert read(bench, root) == []
    bench.check(root)


def test_many_leaves_in_bounded_pieces() -> None:
    bench = Bench()
    size = 252 * (BATCH + 40)
    leaves = bench.make_leaves(0, size)
    assert int(leaves.counts.sum()) == size
    assert int(leaves.counts.min()) >= 126
    assert leaves.lasts.tolist() == [*(leaves.firsts[1:] - np.uint64(1)).tolist(), size - 1]
