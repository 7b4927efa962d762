from __future__ import annotations

import numpy as np
import pytest

from drystone.base.errors import DamagedError
from drystone.formats.pdata.memory import MemoryBlocks
from drystone.formats.thin.picture import PoolCells, draw_pool
from drystone.formats.thin.superblock import read_superblock
from drystone.testing.thin_metadata import BlockMap, write_thin_metadata


def draw(devices: dict[int, BlockMap], nr_blocks: int, cells: int) -> PoolCells:
    reader = MemoryBlocks(write_thin_metadata(devices, nr_data_blocks=nr_blocks))
    return draw_pool(reader, read_superblock(reader), nr_blocks, cells)


def test_cells_count_mapped_shared_and_fragments() -> None:
    cells = draw({1: {0: 0, 1: 1, 2: 2, 3: 10}, 2: {0: 0, 1: 1, 2: 11}}, 16, 4)
    assert cells.edges.tolist() == [0, 4, 8, 12, 16]
    assert cells.mapped.tolist() == [3, 0, 2, 0]
    assert cells.shared.tolist() == [2, 0, 0, 0]
    assert cells.fragments.tolist() == [1, 0, 2, 0]


def test_a_run_goes_on_over_leaves() -> None:
    cells = draw({1: {block: block + 5 for block in range(252 * 300)}}, 252 * 300 + 5, 3)
    assert cells.fragments.tolist() == [1, 0, 0]
    assert cells.mapped.sum() == 252 * 300


def test_a_hole_in_the_device_begins_a_run() -> None:
    assert draw({1: {0: 0, 5: 1}}, 2, 1).fragments.tolist() == [2]


@pytest.mark.parametrize("seed", range(5))
def test_it_counts_as_plain_python_does(seed: int) -> None:
    random = np.random.default_rng(seed)
    devices: dict[int, BlockMap] = {
        dev_id: dict(zip(random.permutation(3000)[:400].tolist(), random.permutation(900)[:400].tolist(), strict=True))
        for dev_id in range(4)
    }
    cells = draw(devices, 1000, 7)
    owners = [{data for data in blocks.values() if isinstance(data, int)} for blocks in devices.values()]
    begins = {
        data
        for blocks in devices.values()
        for virtual, data in blocks.items()
        if isinstance(data, int) and blocks.get(virtual - 1) != data - 1
    }
    for cell in range(7):
        blocks = range(int(cells.edges[cell]), int(cells.edges[cell + 1]))
        counts = [sum(block in own for own in owners) for block in blocks]
        assert cells.mapped[cell] == sum(count > 0 for count in counts)
        assert cells.shared[cell] == sum(count > 1 for count in counts)
        assert cells.fragments[cell] == sum(block in begins for block in blocks)


def test_an_empty_pool_has_cells_and_an_empty_device_has_none() -> None:
    assert draw({}, 8, 4).mapped.tolist() == [0, 0, 0, 0]
    assert draw({}, 0, 4).edges.tolist() == [0]


def test_a_mapping_beyond_the_device_is_damage() -> None:
    reader = MemoryBlocks(write_thin_metadata({1: {0: 100}}))
    with pytest.raises(DamagedError, match="data block of device 1 is 100, expected below 50"):
        draw_pool(reader, read_superblock(reader), 50, 4)


def test_a_superblock_that_promises_much_allocates_nothing() -> None:
    reader = MemoryBlocks(write_thin_metadata({1: {0: 100}}))
    with pytest.raises(DamagedError, match="number of data blocks"):
        draw_pool(reader, read_superblock(reader), 1 << 60, 4)
