from __future__ import annotations

import numpy as np
import pytest

from drystone.formats.era.picture import EraCells, draw_device
from drystone.formats.era.superblock import read_superblock
from drystone.formats.pdata.memory import MemoryBlocks
from drystone.testing.era_metadata import write_era_metadata


def draw(data: bytes, cells: int) -> EraCells:
    reader = MemoryBlocks(data)
    return draw_device(reader, read_superblock(reader), cells)


def test_cells_have_the_youngest_era_of_array_and_writesets() -> None:
    cells = draw(write_era_metadata([1, 2, 0, 0, 3, 0, 0, 0], {4: {0}, 5: {5}}, current={7}, current_era=6), 4)
    assert cells.edges.tolist() == [0, 2, 4, 6, 8]
    assert cells.newest.tolist() == [4, 0, 5, 6]
    assert cells.written.tolist() == [2, 0, 2, 1]
    assert (cells.nr_blocks, cells.current_era) == (8, 6)


@pytest.mark.parametrize("cells", [1, 3, 7, 1000])
def test_cells_across_the_steps_of_reading(cells: int) -> None:
    nr_blocks = 600_000
    random = np.random.default_rng(cells)
    eras = np.zeros(nr_blocks, dtype=np.int64)
    eras[random.integers(0, nr_blocks, 5000)] = random.integers(1, 9, 5000)
    drawn = draw(write_era_metadata(eras.tolist(), current_era=9), cells)
    for cell in range(0, cells, max(cells // 20, 1)):
        part = eras[int(drawn.edges[cell]) : int(drawn.edges[cell + 1])]
        assert drawn.newest[cell] == part.max()
        assert drawn.written[cell] == np.count_nonzero(part)


def test_a_device_smaller_than_the_picture_has_a_cell_a_block() -> None:
    assert draw(write_era_metadata([1, 0, 2]), 100).newest.tolist() == [1, 0, 2]
