"""Blocks told by their salts."""

from __future__ import annotations

import pytest

from drystone.formats.pdata.checksum import BTREE_NODE, THIN_SUPERBLOCK
from drystone.formats.pdata.memory import MemoryBlocks
from drystone.formats.pdata.scan import count_kinds, scan_blocks
from drystone.testing.thin_metadata import write_thin_metadata

IMAGE = write_thin_metadata({1: {0: 5, 1: 6}}, nr_blocks=20)


@pytest.mark.parametrize("batch", [1, 7, 256])
def test_all_blocks_come_in_order(batch: int) -> None:
    batches = list(scan_blocks(MemoryBlocks(IMAGE), batch=batch))
    assert b"".join(each.blocks.tobytes() for each in batches) == IMAGE
    assert [each.begin for each in batches] == list(range(0, 20, batch))
    salts = [salt for each in batches for salt in each.salts.tolist()]
    assert salts[0] == THIN_SUPERBLOCK
    assert salts.count(BTREE_NODE) == 6


def test_kinds_are_counted_and_damaged_blocks_are_none() -> None:
    assert count_kinds(MemoryBlocks(IMAGE)) == {
        "thin superblock": 1,
        "btree node": 6,
        "space map bitmap": 2,
        "space map index": 1,
    }
    assert count_kinds(MemoryBlocks(IMAGE[:100] + b"\x07" + IMAGE[101:])).get("thin superblock") is None
    assert count_kinds(MemoryBlocks(b"")) == {}
