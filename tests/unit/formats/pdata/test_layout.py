from __future__ import annotations

import numpy as np
import pytest

from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.layout import (
    BITMAP_BLOCK,
    ENTRIES_A_BITMAP,
    INDEX_RECORD,
    count_array_entries,
    count_max_entries,
    make_array_dtype,
    make_node_dtype,
)


@pytest.mark.parametrize(("value_size", "entries"), [(4, 336), (8, 252), (12, 201), (16, 168), (24, 126)])
def test_entries_of_a_node(value_size: int, entries: int) -> None:
    assert count_max_entries(value_size) == entries


@pytest.mark.parametrize("value", ["<u4", "<u8", "V12", "V24"])
def test_a_node_is_one_block_with_values_behind_all_keys(value: str) -> None:
    kind = np.dtype(value)
    node = make_node_dtype(kind)
    assert node.itemsize == BLOCK
    assert node.fields is not None
    assert node.fields["keys"][1] == 32
    assert node.fields["values"][1] == 32 + 8 * count_max_entries(kind.itemsize)


@pytest.mark.parametrize(("value", "entries"), [("<u4", 1018), ("<u8", 509)])
def test_an_array_block(value: str, entries: int) -> None:
    block = make_array_dtype(np.dtype(value))
    assert block.itemsize == BLOCK
    assert block.fields is not None
    assert (block.fields["blocknr"][1], block.fields["values"][1]) == (16, 24)
    assert block["values"].shape == (entries,)
    assert count_array_entries(np.dtype(value).itemsize) == entries


def test_blocks_of_space_maps() -> None:
    assert BITMAP_BLOCK.itemsize == INDEX_RECORD.itemsize == BLOCK
    assert BITMAP_BLOCK["bits"].shape == (ENTRIES_A_BITMAP // 4,)
    assert INDEX_RECORD.fields is not None
    assert INDEX_RECORD.fields["entries"][1] == 16
