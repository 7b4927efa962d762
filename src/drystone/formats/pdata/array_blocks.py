"""Array blocks by themselves, and what is wrong with one; for the strict reader of ranges and for surveys alike.

Source: persistent-data/dm-array.c of Linux 6.1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from drystone.formats.pdata import native
from drystone.formats.pdata.btree import Fault
from drystone.formats.pdata.layout import count_array_entries, make_array_dtype


def view_array_blocks(blocks: NDArray[np.uint8], value: np.dtype[Any]) -> NDArray[Any]:
    """Blocks, shape (n, 4096), as n records of layout.make_array_dtype, without a copy and without a check."""
    records: NDArray[Any] = blocks.view(make_array_dtype(value)).reshape(-1)
    return records


def find_array_faults(
    blocks: NDArray[np.uint8], value: np.dtype[Any], numbers: NDArray[np.uint64], sizes: NDArray[np.int64] | None
) -> list[Fault]:
    """What is wrong with array blocks: the first fault of each block that has any.

    :param numbers: the metadata blocks that they were read from. :param sizes: how many entries each must have; None:
        as many as fit, or fewer.
    """
    if sizes is None:
        records = view_array_blocks(blocks, value)
        sizes = np.minimum(records["nr_entries"], count_array_entries(value.itemsize)).astype(np.int64)
    whole, places = np.ascontiguousarray(blocks), np.ascontiguousarray(numbers)
    found = native.find_array_faults(whole, places, np.ascontiguousarray(sizes), value.itemsize)
    return [Fault(*each) for each in found]
