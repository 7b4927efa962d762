from __future__ import annotations

import numpy as np

from drystone.formats.pdata.bitmaps import UNKNOWN, CountBatch
from drystone.formats.pdata.counts import ReferenceCounts
from drystone.formats.pdata.wrong_counts import WrongCounts, iter_wrong_counts


def stored(begin: int, *counts: int) -> CountBatch:
    return CountBatch(begin, np.array(counts, dtype=np.uint32), np.zeros(0))


def counted(*counts: int) -> ReferenceCounts:
    found = ReferenceCounts(len(counts))
    found.add(np.repeat(np.arange(len(counts), dtype=np.uint64), counts))
    return found


def test_neighbours_with_one_fault_are_one_run() -> None:
    batches = [stored(0, 1, 1, 0, 0), stored(4, 2, 2, 5)]
    wrong = list(iter_wrong_counts(batches, counted(1, 0, 1, 1, 2, 1, 4)))
    assert wrong == [
        WrongCounts(1, 2, due=0, stored=1),
        WrongCounts(2, 4, due=1, stored=0),
        WrongCounts(5, 6, due=1, stored=2),
        WrongCounts(6, 7, due=4, stored=5),
    ]


def test_neighbours_that_are_off_otherwise_are_runs_of_their_own() -> None:
    assert list(iter_wrong_counts([stored(7, 1, 1, 2)], counted(*[0] * 7, 2, 3, 3))) == [
        WrongCounts(7, 8, due=2, stored=1),
        WrongCounts(8, 9, due=3, stored=1),
        WrongCounts(9, 10, due=3, stored=2),
    ]


def test_lost_counts_are_not_compared() -> None:
    assert list(iter_wrong_counts([stored(0, UNKNOWN, 1)], counted(3, 1))) == []


def test_with_references_missed_only_low_counts_are_told() -> None:
    wrong = list(iter_wrong_counts([stored(0, 2, 0, 1, 3)], counted(1, 1, 0, 3), partial=True))
    assert wrong == [WrongCounts(1, 2, due=1, stored=0)]


def test_blocks_that_do_not_exist_are_not_compared() -> None:
    batches = [stored(0, 1, 0), stored(2, 1, 1), stored(4, 1)]
    assert list(iter_wrong_counts(batches, counted(1, 0, 1))) == []
