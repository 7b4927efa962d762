from __future__ import annotations

import numpy as np
import pytest

from drystone.formats.pdata.btree import Edges
from drystone.formats.pdata.memory import MemoryBlocks
from drystone.formats.thin.leaves import Leaves
from drystone.formats.thin.sharing import Sharing

READER = MemoryBlocks(bytes(4096 * 20))


def make(*blocks: int) -> Leaves:
    numbers = np.array(blocks, dtype=np.uint64)
    return Leaves(Edges(numbers, numbers, numbers), np.zeros(len(blocks), dtype=np.bool_))


def find_runs(*trees: tuple[int, ...]) -> list[list[tuple[int, ...]]]:
    """Of each tree its leaves, cut into runs."""
    sharing = Sharing(READER)
    for blocks in trees:
        sharing.add(make(*blocks))
    cut = []
    for blocks in trees:
        begins = np.flatnonzero(sharing.find_breaks(np.array(blocks, dtype=np.uint64))).tolist()
        cut.append([blocks[begin:end] for begin, end in zip(begins, [*begins[1:], len(blocks)], strict=True)])
    return cut


@pytest.mark.parametrize(
    ("trees", "runs"),
    [
        ([(1, 2, 3)], [[(1, 2, 3)]]),
        ([(1, 2, 3), (1, 2, 3)], [[(1, 2, 3)], [(1, 2, 3)]]),
        ([(1, 2, 3), (1, 9, 3)], [[(1,), (2,), (3,)], [(1,), (9,), (3,)]]),
        ([(1, 2, 3, 4), (2, 3)], [[(1,), (2, 3), (4,)], [(2, 3)]]),
        ([(1, 2), (1,), (2,)], [[(1,), (2,)], [(1,)], [(2,)]]),
        ([(1, 2), (1,)], [[(1,), (2,)], [(1,)]]),
        ([(5, 3, 1), (5, 3, 2)], [[(5, 3), (1,)], [(5, 3), (2,)]]),
    ],
)
def test_runs_always_stand_together(trees: list[tuple[int, ...]], runs: list[list[tuple[int, ...]]]) -> None:
    assert find_runs(*trees) == runs


def test_what_is_shared() -> None:
    sharing = Sharing(READER)
    sharing.add(make(1, 2, 3))
    sharing.add(make(2, 4))
    sharing.add(make(6), times=2)
    assert np.flatnonzero(sharing.shared).tolist() == [2, 6]


def test_each_shared_leaf_is_taken_once() -> None:
    sharing = Sharing(READER)
    trees = [make(1, 2, 3), make(3, 2), make(4)]
    for leaves in trees:
        sharing.add(leaves)
    assert [sharing.take_new(leaves).tolist() for leaves in trees] == [[False, True, True], [False, False], [False]]
