"""Mappings of one thin device: which data block holds which of its blocks, and since when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drystone.formats.pdata.blocks import BlockReader
from drystone.formats.pdata.btree import BATCH, TreeKind, iter_entries
from drystone.formats.thin import layout
from drystone.formats.thin.devices import find_mapping_root
from drystone.formats.thin.superblock import Superblock

MAPPINGS = TreeKind("mapping tree", np.dtype("<u8"))
"""Virtual block -> data_block << 24 | time. Blocks here are pool blocks of superblock.data_block_size sectors."""


@dataclass(frozen=True, slots=True)
class MappingBatch:
    """Some mappings in ascending order of the virtual block; arrays of one length, at least 1."""

    virtual: NDArray[np.uint64]
    """Block of the thin device."""
    data: NDArray[np.uint64]
    """Block of the data device."""
    time: NDArray[np.uint32]
    """The superblock's time when it was mapped."""

    def __len__(self) -> int:
        return len(self.virtual)


def get_data_blocks(values: NDArray[Any]) -> NDArray[np.uint64]:
    """The data blocks of leaf values."""
    return values >> np.uint64(layout.TIME_BITS)


def get_times(values: NDArray[Any]) -> NDArray[np.uint32]:
    """The times of leaf values."""
    return (values & np.uint64((1 << layout.TIME_BITS) - 1)).astype(np.uint32)


def iter_mappings(
    reader: BlockReader, superblock: Superblock, dev_id: int, *, batch: int = BATCH
) -> Iterator[MappingBatch]:
    """All mappings of device `dev_id`, ascending, out of at most `batch` leaves (252 mappings each) at a time.

    :raises NotFoundError: there is no such device. :raises DamagedError: at the first damaged node; what was given
        out before it is sound.
    """
    root = find_mapping_root(reader, superblock, dev_id)
    for keys, values in iter_entries(reader, MAPPINGS, root, batch=batch):
        yield MappingBatch(keys, get_data_blocks(values), get_times(values))
