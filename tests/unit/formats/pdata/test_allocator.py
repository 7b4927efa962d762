"""Blocks one after the other, until there are none left."""

from __future__ import annotations

import pytest

from drystone.base.errors import ExhaustedError
from drystone.formats.pdata.allocator import Allocator
from drystone.formats.pdata.blocks import MOST_BLOCKS


def test_blocks_are_handed_out_in_order_and_counted() -> None:
    allocator = Allocator(10)
    assert allocator.allocate(3).tolist() == [1, 2, 3]
    assert allocator.allocate(2, referred=False).tolist() == [4, 5]
    assert allocator.allocate(0).tolist() == []
    assert allocator.counts.get_range(0, 10).tolist() == [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
    assert allocator.next == 6


def test_a_full_device_is_told_and_nothing_is_taken() -> None:
    allocator = Allocator(4)
    with pytest.raises(ExhaustedError, match="does not fit 4 blocks"):
        allocator.allocate(4)
    assert allocator.allocate(3).tolist() == [1, 2, 3]
    with pytest.raises(ExhaustedError):
        allocator.allocate(1)


def test_no_more_than_a_metadata_space_map_can_hold() -> None:
    assert Allocator(1 << 40).nr_blocks == MOST_BLOCKS
    assert Allocator(0).nr_blocks == 0
