from __future__ import annotations

from collections.abc import Iterator

from drystone.formats.pdata.bitmaps import SpaceMapKind
from drystone.formats.pdata.wrong_counts import WrongCounts
from drystone.formats.thin.counted import MOST_FINDINGS, list_count_findings
from drystone.formats.thin.findings import Severity


def test_more_than_can_be_told_is_summed_up_by_the_worst() -> None:
    def many() -> Iterator[WrongCounts]:
        for place in range(MOST_FINDINGS + 7):
            yield WrongCounts(2 * place, 2 * place + 1, 0, 1)
        yield WrongCounts(0, 3, 1, 0)

    findings = list_count_findings(SpaceMapKind.DATA, many())
    assert len(findings) == MOST_FINDINGS + 1
    assert findings[-1].severity is Severity.FATAL
    assert "10 more data blocks in 8 runs" in findings[-1].describe()
