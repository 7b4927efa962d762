"""A device in so many cells: in which era each part of it was last written. Memory: one step of iter_eras."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drystone.formats.era.eras import iter_eras
from drystone.formats.era.superblock import Superblock
from drystone.formats.pdata.blocks import BlockReader
from drystone.formats.pdata.cells import cut_cells


@dataclass(frozen=True, slots=True)
class EraCells:
    """A device in cells of as equal size as whole blocks allow; cell i is blocks edges[i] to edges[i + 1] - 1.

    :ivar current_era: as the superblock says. :ivar edges: uint64, one more than there are cells.
    :ivar newest: uint32 a cell: the era in which a block of it was written last; 0 for never.
    :ivar written: uint64 a cell: blocks of it that were ever written.
    """

    nr_blocks: int
    current_era: int
    edges: NDArray[np.uint64]
    newest: NDArray[np.uint32]
    written: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.newest)


def draw_device(reader: BlockReader, superblock: Superblock, cells: int) -> EraCells:
    """The device in at most `cells` cells of at least one block each.

    :raises DamagedError: at the first damaged block.
    """
    edges = cut_cells(superblock.nr_blocks, cells)
    newest = np.zeros(len(edges) - 1, dtype=np.uint32)
    written = np.zeros(len(edges) - 1, dtype=np.uint64)
    for batch in iter_eras(reader, superblock):
        if not len(batch):
            continue
        begin, end = batch.begin, batch.begin + len(batch)
        first = int(np.searchsorted(edges, begin, side="right")) - 1
        last = int(np.searchsorted(edges, end, side="left"))
        begins = np.maximum(edges[first:last], np.uint64(begin)).astype(np.int64) - begin
        np.maximum(newest[first:last], np.maximum.reduceat(batch.eras, begins), out=newest[first:last])
        written[first:last] += np.add.reduceat(batch.eras > 0, begins, dtype=np.uint64)
    return EraCells(superblock.nr_blocks, superblock.current_era, edges, newest, written)
