"""A pool in so many cells: how much of each part of its data device is mapped, shared and fragmented.

Cost: every device's mappings are read; one byte a data block for the time of it, whatever the number of cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drystone.formats.pdata.blocks import BlockReader, count_blocks
from drystone.formats.pdata.cells import cut_cells
from drystone.formats.pdata.damage import describe_damage
from drystone.formats.pdata.layout import ENTRIES_A_BITMAP
from drystone.formats.thin.devices import read_mapping_roots
from drystone.formats.thin.mappings import iter_mappings
from drystone.formats.thin.superblock import Superblock

_MAPPED = 1
_SHARED = 2
_BEGINS = 4


@dataclass(frozen=True, slots=True)
class PoolCells:
    """A data device in cells of as equal size as whole blocks allow; cell i is blocks edges[i] to edges[i + 1] - 1.

    :ivar edges: uint64, one more than there are cells. The other arrays are uint64 with one number a cell:
    :ivar mapped: data blocks that some thin device maps. :ivar shared: those that two or more devices map.
    :ivar fragments: those where a run begins: some device maps the block before elsewhere, or not at all.
    """

    nr_blocks: int
    edges: NDArray[np.uint64]
    mapped: NDArray[np.uint64]
    shared: NDArray[np.uint64]
    fragments: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.mapped)


def draw_pool(reader: BlockReader, superblock: Superblock, nr_blocks: int, cells: int) -> PoolCells:
    """The pool's data device in at most `cells` cells.

    :param nr_blocks: data blocks there are: the live superblock's number, as a metadata snapshot's is 0.
    :raises DamagedError: a damaged node, a mapping beyond the data device, or more data blocks than can be counted.
    """
    most = count_blocks(reader) * ENTRIES_A_BITMAP
    if nr_blocks > most:
        raise describe_damage(0, "number of data blocks", expected=f"at most {most}", found=nr_blocks)
    marks = np.zeros(nr_blocks, dtype=np.uint8)
    for dev_id in read_mapping_roots(reader, superblock):
        _mark_device(reader, superblock, dev_id, marks)
    edges = cut_cells(nr_blocks, cells)
    sums = [_sum_cells(marks, mark, edges) for mark in (_MAPPED, _SHARED, _BEGINS)]
    return PoolCells(nr_blocks, edges, *sums)


def _mark_device(reader: BlockReader, superblock: Superblock, dev_id: int, marks: NDArray[np.uint8]) -> None:
    last: tuple[int, int] | None = None
    own = np.zeros(0, dtype=np.uint8)
    for batch in iter_mappings(reader, superblock, dev_id):
        most = int(batch.data.max())
        if most >= len(marks):
            where = f"data block of device {dev_id}"
            raise describe_damage(superblock.data_mapping_root, where, expected=f"below {len(marks)}", found=most)
        virtual, data = batch.virtual, batch.data
        begins = np.ones(len(batch), dtype=np.bool_)
        begins[1:] = (virtual[1:] - virtual[:-1] != 1) | (data[1:] - data[:-1] != 1)
        begins[0] = last != (int(virtual[0]), int(data[0]))
        last = int(virtual[-1]) + 1, int(data[-1]) + 1
        own = marks[data]
        own |= np.where(own & _MAPPED, _SHARED, _MAPPED).astype(np.uint8)
        own |= np.where(begins, _BEGINS, 0).astype(np.uint8)
        marks[data] = own


def _sum_cells(marks: NDArray[np.uint8], mark: int, edges: NDArray[np.uint64]) -> NDArray[np.uint64]:
    sums = np.zeros(len(edges) - 1, dtype=np.uint64)
    for cell in range(len(sums)):
        sums[cell] = np.count_nonzero(marks[int(edges[cell]) : int(edges[cell + 1])] & mark)
    return sums
