from __future__ import annotations

import pytest

from drystone.formats.thin.surveyed_devices import list_outside


@pytest.mark.parametrize(
    ("ranges", "due"),
    [
        ([], [0, 1, 5, 9]),
        ([(1, 5)], [0, 9]),
        ([(6, 8), (0, 0)], [1, 5, 9]),
        ([(0, 9), (2, 3)], []),
        ([(1, 0)], [0, 1, 5, 9]),
    ],
)
def test_numbers_outside_of_ranges(ranges: list[tuple[int, int]], due: list[int]) -> None:
    assert list_outside([0, 1, 5, 9], ranges) == due
