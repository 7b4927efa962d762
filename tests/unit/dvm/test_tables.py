from __future__ import annotations

import pytest

from drystone.dvm.state import Line
from drystone.dvm.tables import same_table


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (Line(0, 8, "linear", "7:0 0"), Line(0, 8, "linear", "7:0 0"), True),
        (Line(0, 8, "linear", "7:0 0"), Line(0, 8, "linear", "7:0 8"), False),
        (Line(0, 8, "linear", "7:0 0"), Line(0, 16, "linear", "7:0 0"), False),
        (Line(0, 8, "thin-pool", "{m} {d} 128 0"), Line(0, 8, "thin-pool", "{m} {d} 128 0 0"), True),
        (
            Line(0, 8, "thin-pool", "{m} {d} 128 0 2 skip_block_zeroing read_only"),
            Line(0, 8, "thin-pool", "{m} {d} 128 0 2 read_only skip_block_zeroing"),
            True,
        ),
        (Line(0, 8, "thin-pool", "{m} {d} 128 0"), Line(0, 8, "thin-pool", "{m} {d} 128 0 1 read_only"), False),
        (Line(0, 8, "linear", "nonsense"), Line(0, 8, "linear", "other nonsense"), False),
        (Line(0, 8, "unheard-of", "a b"), Line(0, 8, "unheard-of", "a b"), True),
    ],
)
def test_tables_are_the_same_when_they_mean_the_same(left: Line, right: Line, same: bool) -> None:
    assert same_table((left,), (right,)) is same
    assert not same_table((left,), ())
