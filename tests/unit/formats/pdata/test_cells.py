from __future__ import annotations

import pytest

from drystone.formats.pdata.cells import cut_cells


@pytest.mark.parametrize(
    ("nr_blocks", "cells", "edges"),
    [(0, 4, [0]), (4, 0, [0]), (3, 100, [0, 1, 2, 3]), (10, 4, [0, 2, 5, 7, 10]), (1 << 40, 2, [0, 1 << 39, 1 << 40])],
)
def test_cells_are_as_equal_as_whole_blocks_allow(nr_blocks: int, cells: int, edges: list[int]) -> None:
    assert cut_cells(nr_blocks, cells).tolist() == edges
