"""Where the bytes of a btree node are. No other file knows an offset.

Little-endian and packed. Source: persistent-data/dm-btree-internal.h of Linux 6.1.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from drystone.formats.pdata.blocks import BLOCK

INTERNAL = 1
LEAF = 2
"""The two kinds of node, as its flags tell them; a node has one of the two."""

_HEADER = [
    ("csum", "<u4"),
    ("flags", "<u4"),
    ("blocknr", "<u8"),
    ("nr_entries", "<u4"),
    ("max_entries", "<u4"),
    ("value_size", "<u4"),
    ("padding", "<u4"),
]
_HEADER_SIZE = 32
_KEY_SIZE = 8

POINTER = np.dtype("<u8")
"""The value of an internal node: the block number of a child."""


def count_max_entries(value_size: int) -> int:
    """How many entries fit a node with values of `value_size` bytes: a multiple of 3, as the kernel reckons it."""
    return 3 * ((BLOCK - _HEADER_SIZE) // (_KEY_SIZE + value_size) // 3)


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
            "offsets": [*(fields[name][1] for name in names), _HEADER_SIZE, _HEADER_SIZE + _KEY_SIZE * most],
            "itemsize": BLOCK,
        }
    )
