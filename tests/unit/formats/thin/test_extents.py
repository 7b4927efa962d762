from __future__ import annotations

import numpy as np
import pytest

from drystone.base.errors import DamagedError
from drystone.formats.thin.extents import iter_runs, join_ranges, merge_blocks, to_bytes
from drystone.formats.thin.mappings import MappingBatch


def blocks(*numbers: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    return np.array(numbers, dtype=np.uint64)


@pytest.mark.parametrize(
    ("numbers", "ranges"),
    [
        ((), []),
        ((7,), [[7, 1]]),
        ((1, 2, 3), [[1, 3]]),
        ((1, 2, 4, 9, 10), [[1, 2], [4, 1], [9, 2]]),
        (((1 << 64) - 2, (1 << 64) - 1), [[(1 << 64) - 2, 2]]),
    ],
)
def test_merge_blocks(numbers: tuple[int, ...], ranges: list[list[int]]) -> None:
    merged = merge_blocks(blocks(*numbers))
    assert merged.tolist() == ranges
    assert merged.shape == (len(ranges), 2)
    assert merged.dtype == np.uint64


def test_ranges_that_touch_across_batches_are_one() -> None:
    batches = [merge_blocks(blocks(*each)) for each in ((1, 2), (), (3,), (4, 6), (7, 9), (11,))]
    joined = np.concatenate(list(join_ranges(batches)))
    assert joined.tolist() == [[1, 4], [6, 2], [9, 1], [11, 1]]


def test_no_ranges() -> None:
    assert list(join_ranges([])) == []


def test_to_bytes() -> None:
    assert to_bytes(merge_blocks(blocks(1, 2)), 65536).tolist() == [[65536, 131072]]


@pytest.mark.parametrize("block", [1 << 47, (1 << 64) - 1])
def test_no_device_has_such_a_block(block: int) -> None:
    assert to_bytes(merge_blocks(blocks((1 << 47) - 2)), 65536).tolist() == [[(1 << 63) - 131072, 65536]]
    with pytest.raises(DamagedError, match=str(block)):
        to_bytes(merge_blocks(blocks(1, block)), 65536)


def batch(*mappings: tuple[int, int, int]) -> MappingBatch:
    virtual, data, time = zip(*mappings, strict=True)
    return MappingBatch(blocks(*virtual), blocks(*data), np.array(time, dtype=np.uint32))


def test_a_run_ends_where_virtual_data_or_time_does() -> None:
    batches = [
        batch((0, 10, 0), (1, 11, 0), (2, 50, 0)),
        batch((3, 51, 0), (4, 52, 1)),
        batch((6, 54, 1)),
        batch((7, 55, 1), (8, 56, 1)),
    ]
    found = [
        row
        for runs in iter_runs(batches)
        for row in zip(runs.virtual.tolist(), runs.data.tolist(), runs.length.tolist(), runs.time.tolist(), strict=True)
    ]
    assert found == [(0, 10, 2, 0), (2, 50, 2, 0), (4, 52, 1, 1), (6, 54, 3, 1)]


def test_no_runs() -> None:
    assert list(iter_runs([])) == []
