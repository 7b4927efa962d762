"""What devices map alone, and up to where: the mappings of a pool counted.

A block is exclusive to a device when no other device that was counted maps its data block, through whichever leaf. So
all leaves are read: those of one device alone are read twice, those that several devices have once. Memory: a byte for
each data block that is mapped (a page of 4096 at a time), and what `sharing` holds.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from drystone.base.errors import ExhaustedError
from drystone.formats.pdata.blocks import BlockReader
from drystone.formats.pdata.damage import describe_damage
from drystone.formats.thin.leaves import Leaves, Trees, iter_leaves
from drystone.formats.thin.mappings import get_data_blocks
from drystone.formats.thin.sharing import Sharing


def find_highest(reader: BlockReader, trees: Trees, root: int) -> int | None:
    """The last block that the tree of mappings at `root` maps; None when it maps none.

    :raises DamagedError: at the first damaged block that is read.
    """
    last = trees.get_leaves(root)[-1:]
    return next((int(entries.keys[-1]) for entries in iter_leaves(reader, last) if len(entries.keys)), None)


def count_exclusive(reader: BlockReader, trees: Trees, roots: dict[int, int], nr_data_blocks: int) -> dict[int, int]:
    """Device id -> blocks that it alone maps.

    :param roots: device id -> root of its mappings. :param nr_data_blocks: blocks of the data device.
    :raises DamagedError: at the first damaged block that is read.
    """
    sharing = Sharing(reader)
    sharing.add_all(trees, roots.values())
    users = _Users(nr_data_blocks)
    for root in dict.fromkeys(roots.values()):
        leaves = trees.get_leaves(root)
        for data in _iter_data(reader, leaves[sharing.take_new(leaves)], nr_data_blocks):
            users.add_many(data)
    alone = {dev_id: _leave_alone(trees.get_leaves(root), sharing) for dev_id, root in roots.items()}
    for leaves in alone.values():
        for data in _iter_data(reader, leaves, nr_data_blocks):
            users.add_one(data)
    return {
        dev_id: sum(users.count_ones(data) for data in _iter_data(reader, leaves, nr_data_blocks))
        for dev_id, leaves in alone.items()
    }


def _leave_alone(leaves: Leaves, sharing: Sharing) -> Leaves:
    """Those that no other device has."""
    return leaves[~sharing.shared[leaves.edges.blocks]]


def _iter_data(reader: BlockReader, leaves: Leaves, limit: int) -> Iterator[NDArray[np.uint64]]:
    """The data blocks of leaves, a batch of leaves at a time.

    :raises DamagedError: one that is not below `limit`, or a damaged leaf.
    """
    for entries in iter_leaves(reader, leaves):
        data = get_data_blocks(entries.values)
        if len(data) and int(data.max()) >= limit:
            wild = int(np.flatnonzero(data >= np.uint64(limit))[0])
            holder = int(np.searchsorted(np.cumsum(entries.counts), wild, side="right"))
            raise describe_damage(
                int(entries.leaves.edges.blocks[holder]), "data block", expected=f"below {limit}", found=int(data[wild])
            )
        yield data


class _Users:
    """How many devices map each data block: none, one, or several.

    :raises ExhaustedError: there is no address space for a byte a block.
    """

    def __init__(self, nr_data_blocks: int) -> None:
        try:
            self._counts = np.zeros(nr_data_blocks, dtype=np.uint8)
        except (MemoryError, ValueError) as error:
            raise ExhaustedError(f"no memory to count the users of {nr_data_blocks} data blocks") from error

    def add_many(self, data: NDArray[np.uint64]) -> None:
        """Several devices map these blocks."""
        self._counts[data] = 2

    def add_one(self, data: NDArray[np.uint64]) -> None:
        """One device maps these blocks, each of them once."""
        self._counts[data] = np.minimum(self._counts[data], 1) + 1

    def count_ones(self, data: NDArray[np.uint64]) -> int:
        """How many of these blocks have one user."""
        return int(np.count_nonzero(self._counts[data] == 1))
