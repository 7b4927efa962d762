"""Where the bytes of btree nodes, array blocks and space maps are, as numpy records.

No other file knows an offset but geometry.py, which has the same without numpy.

Little-endian and packed. Source: dm-btree-internal.h, dm-array.c, dm-space-map-common.h of persistent-data, Linux 6.1.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.geometry import (
    ARRAY_HEADER_SIZE,
    ENTRIES_A_BITMAP,
    INTERNAL,
    KEY_SIZE,
    LEAF,
    MOST_BITMAPS,
    RAW_COUNTS,
    WORD_BITS,
    count_array_entries,
    count_max_entries,
)
from drystone.formats.pdata.geometry import NODE_HEADER as _NODE_HEADER

__all__ = [
    "BITMAP_BLOCK",
    "COUNT",
    "ENTRIES_A_BITMAP",
    "INDEX_ENTRY",
    "INDEX_RECORD",
    "INTERNAL",
    "LEAF",
    "MOST_BITMAPS",
    "POINTER",
    "RAW_COUNTS",
    "WORD",
    "WORD_BITS",
    "count_array_entries",
    "count_max_entries",
    "make_array_dtype",
    "make_node_dtype",
]

_HEADER = [
    ("csum", "<u4"),
    ("flags", "<u4"),
    ("blocknr", "<u8"),
    ("nr_entries", "<u4"),
    ("max_entries", "<u4"),
    ("value_size", "<u4"),
    ("padding", "<u4"),
]
_HEADER_SIZE = _NODE_HEADER.size

POINTER = np.dtype("<u8")
"""The value of an internal node: the block number of a child."""


@cache
def make_node_dtype(value: np.dtype[Any]) -> np.dtype[Any]:
    """One block as a record: the header's fields, `keys` and `values`, both of max_entries places.

    Places from nr_entries on hold undefined bytes in nodes that the kernel wrote.
    """
    most = count_max_entries(value.itemsize)
    fields = np.dtype(_HEADER).fields
    assert fields is not None
    names = [name for name, _ in _HEADER]
    return np.dtype(
        {
            "names": [*names, "keys", "values"],
            "formats": [*(kind for _, kind in _HEADER), (np.dtype("<u8"), (most,)), (value, (most,))],
            "offsets": [*(fields[name][1] for name in names), _HEADER_SIZE, _HEADER_SIZE + KEY_SIZE * most],
            "itemsize": BLOCK,
        }
    )


_ARRAY_HEADER = [
    ("csum", "<u4"),
    ("max_entries", "<u4"),
    ("nr_entries", "<u4"),
    ("value_size", "<u4"),
    ("blocknr", "<u8"),
]

INDEX_ENTRY = np.dtype([("blocknr", "<u8"), ("nr_free", "<u4"), ("none_free_before", "<u4")])
"""Where a bitmap is, how many of its entries are 0, and an entry before which none is 0."""

BITMAP_BLOCK = np.dtype([("csum", "<u4"), ("not_used", "<u4"), ("blocknr", "<u8"), ("bits", "u1", (4080,))])
"""A bitmap: entry i is bits 2 * (i % 4) and the next of byte i // 4."""

INDEX_RECORD = np.dtype(
    {
        "names": ["csum", "padding", "blocknr", "entries"],
        "formats": ["<u4", "<u4", "<u8", (INDEX_ENTRY, (MOST_BITMAPS,))],
        "offsets": [0, 4, 8, 16],
        "itemsize": BLOCK,
    }
)
"""The index of a metadata space map."""

WORD = np.dtype("<u8")
"""An entry of a bitset, which is an array of words."""

COUNT = np.dtype("<u4")
"""A value in the btree of reference counts."""


@cache
def make_array_dtype(value: np.dtype[Any]) -> np.dtype[Any]:
    """An array block as a record: the header's fields, and `values` with max_entries places."""
    header = np.dtype(_ARRAY_HEADER)
    fields = header.fields
    assert fields is not None
    names = [name for name, _ in _ARRAY_HEADER]
    return np.dtype(
        {
            "names": [*names, "values"],
            "formats": [*(kind for _, kind in _ARRAY_HEADER), (value, (count_array_entries(value.itemsize),))],
            "offsets": [*(fields[name][1] for name in names), ARRAY_HEADER_SIZE],
            "itemsize": BLOCK,
        }
    )
