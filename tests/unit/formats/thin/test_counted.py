from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from drystone.formats.pdata.bitmaps import UNKNOWN, CountBatch, SpaceMapKind
from drystone.formats.pdata.counts import ReferenceCounts
from drystone.formats.thin.counted import MOST_FINDINGS, WrongCounts, iter_wrong_counts, list_count_findings
from drystone.formats.thin.findings import Severity


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


def test_lost_counts_are_not_compared() -> None:
    assert list(iter_wrong_counts([stored(0, UNKNOWN, 1)], counted(3, 1))) == []


def test_with_references_missed_only_low_counts_are_told() -> None:
    wrong = list(iter_wrong_counts([stored(0, 2, 0, 1)], counted(1, 1, 0), partial=True))
    assert wrong == [WrongCounts(1, 2, due=1, stored=0)]


def test_more_than_can_be_told_is_summed_up_by_the_worst() -> None:
    def many() -> Iterator[WrongCounts]:
        for place in range(MOST_FINDINGS + 7):
            yield WrongCounts(2 * place, 2 * place + 1, 0, 1)
        yield WrongCounts(0, 3, 1, 0)

    findings = list_count_findings(SpaceMapKind.DATA, many())
    assert len(findings) == MOST_FINDINGS + 1
    assert findings[-1].severity is Severity.FATAL
    assert "10 more data blocks in 8 runs" in findings[-1].describe()
