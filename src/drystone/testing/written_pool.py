"""Thin metadata made by the writers of `formats.pdata`, for tests that hold them against others: tools, the kernel.

For tests of readers there is thin_metadata, which uses none of these writers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drystone.formats.pdata.allocator import Allocator
from drystone.formats.pdata.blocks import BLOCK, BlockDisk
from drystone.formats.pdata.btree_writer import LeafWriter, TreeWriter
from drystone.formats.pdata.checksum import THIN_SUPERBLOCK, seal_block
from drystone.formats.pdata.counts import ReferenceCounts
from drystone.formats.pdata.layout import POINTER
from drystone.formats.pdata.spacemap import pack_space_map_root
from drystone.formats.pdata.spacemap_writer import write_data_space_map, write_metadata_space_map
from drystone.formats.thin import layout

Numbers = NDArray[np.uint64]
_TIME = np.uint64(layout.TIME_BITS)


@dataclass(frozen=True, slots=True)
class Piece:
    """Neighbouring mappings: `length` blocks from `virtual` on are at the data blocks from `data` on.

    :ivar shared: the leaves of this piece are written once, for all devices that have it.
    """

    virtual: int
    data: int
    length: int
    shared: bool = False


def write_pool(
    disk: BlockDisk,
    devices: Mapping[int, Sequence[Piece]],
    *,
    nr_data_blocks: int,
    nr_metadata_blocks: int | None = None,
    data_block_size: int = 128,
    transaction_id: int = 0,
    time: int = 0,
) -> None:
    """Write a pool's metadata to `disk`, and flush it. Every mapping's time is 0.

    :param devices: id -> its pieces, ascending. :param nr_metadata_blocks: all of the disk by default.
    :param data_block_size: sectors. :param time: the superblock's, and every device's snapshotted time.
    """
    nr_blocks = disk.size // BLOCK if nr_metadata_blocks is None else nr_metadata_blocks
    allocator = Allocator(nr_blocks)
    data_counts = ReferenceCounts(nr_data_blocks)

    def refer(values: Numbers) -> None:
        data_counts.add(values >> _TIME)

    leaves = {}
    for piece in dict.fromkeys(piece for pieces in devices.values() for piece in pieces if piece.shared):
        shared = LeafWriter(disk, allocator, POINTER)
        shared.append(*_list_entries(piece))
        leaves[piece] = shared.finish()
    roots = []
    for pieces in devices.values():
        writer = TreeWriter(disk, allocator, POINTER, refer=refer)
        for piece in pieces:
            if piece.shared:
                writer.append_leaves(leaves[piece])
            else:
                writer.append(*_list_entries(piece))
        roots.append(writer.finish())
    ids = np.array(list(devices), dtype=np.uint64)
    details = np.zeros(len(ids), dtype=layout.DETAILS)
    details["mapped_blocks"] = [sum(piece.length for piece in pieces) for pieces in devices.values()]
    details["snapshotted_time"] = time
    trees = []
    for values in (np.array(roots, dtype=np.uint64), details):
        tree = TreeWriter(disk, allocator, values.dtype)
        tree.append(ids, values)
        trees.append(tree.finish())
    maps = write_data_space_map(disk, allocator, data_counts), write_metadata_space_map(disk, allocator)
    disk.flush()
    body = layout.SUPERBLOCK.pack(
        *(0, 0, 0, bytes(16), layout.MAGIC, 2, time, transaction_id, 0),
        *(pack_space_map_root(each) for each in maps),
        *(*trees, data_block_size, layout.METADATA_BLOCK_SECTORS, nr_blocks, 0, 0, 0),
    )
    sealed = np.frombuffer(seal_block(body.ljust(BLOCK, b"\0"), THIN_SUPERBLOCK), dtype=np.uint8)
    disk.write_blocks(np.zeros(1, dtype=np.uint64), sealed.reshape(1, BLOCK))
    disk.flush()


def _list_entries(piece: Piece) -> tuple[Numbers, Numbers]:
    places = np.arange(piece.length, dtype=np.uint64)
    return places + np.uint64(piece.virtual), (places + np.uint64(piece.data)) << _TIME
