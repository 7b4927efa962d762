"""What a survey remembers of blocks."""

from __future__ import annotations

import numpy as np

from drystone.formats.pdata.visits import Lineage, Visits, sum_up


def numbers(*values: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    return np.array(values, dtype=np.uint64)


def test_the_first_of_equal_blocks_is_new() -> None:
    visits = Visits(10)
    kind = visits.number_kind("tree")
    assert visits.number_kind("other") == kind + 1
    assert visits.number_kind("tree") == kind
    assert visits.find_new(numbers(3, 1, 3)).tolist() == [True, True, False]
    visits.mark(numbers(1), kind, 2)
    assert visits.find_new(numbers(3, 1, 3)).tolist() == [True, False, False]
    assert (visits.kinds[1], visits.heights[1]) == (kind, 2)


def test_what_is_below_is_summed_up_from_the_lowest_level() -> None:
    visits = Visits(10)
    visits.entries[[5, 6, 7]] = [10, 20, 30]
    visits.lasts[[5, 6, 7]] = [100, 200, 300]
    visits.torn[6] = True
    low = Lineage(numbers(3, 4), np.array([2, 2]), numbers(5, 6, 5, 7))
    high = Lineage(numbers(1, 2), np.array([2, 0]), numbers(3, 4))
    sum_up(visits, {2: [high], 1: [low]})
    assert visits.entries[[1, 2, 3, 4]].tolist() == [70, 0, 30, 40]
    assert visits.lasts[[1, 3, 4]].tolist() == [300, 200, 300]
    assert visits.torn[[1, 2, 3, 4]].tolist() == [True, False, True, False]


def test_no_number_of_kinds_is_too_many() -> None:
    visits = Visits(1)
    numbers_of_kinds = [visits.number_kind(f"writeset {era}") for era in range(70_000)]
    assert numbers_of_kinds[:3] == [1, 2, 3]
    assert max(numbers_of_kinds) == np.iinfo(visits.kinds.dtype).max
    assert len(visits.names) == max(numbers_of_kinds)
