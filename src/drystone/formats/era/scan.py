"""Every block of a device looked at for what may be a part of era metadata, whatever refers to it.

Two passes: the first tells the kinds of blocks, the second reads the leaves that point to array blocks. Memory: some
45 bytes for each metadata block, and what MOST_CONFLICTS and MOST_WRITESETS allow.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drystone.base.errors import DamagedError
from drystone.formats.era import layout
from drystone.formats.era.eras import ERA
from drystone.formats.era.superblock import Superblock, parse_superblock
from drystone.formats.era.writeset_tree import TREE
from drystone.formats.pdata.blocks import BlockReader, count_blocks
from drystone.formats.pdata.btree import MOST_LEVELS
from drystone.formats.pdata.checksum import ARRAY_BLOCK, BTREE_NODE, ERA_SUPERBLOCK, SALTS
from drystone.formats.pdata.layout import (
    INTERNAL,
    LEAF,
    POINTER,
    WORD,
    count_array_entries,
    make_array_dtype,
    make_node_dtype,
)
from drystone.formats.pdata.scan import ScanBatch, scan_blocks

MOST_CONFLICTS = 100_000
"""Array blocks of which two trees say that they are at different places of the array."""


MOST_WRITESETS = 200_000
"""Entries of writeset trees, of whatever version. When there are more that is a doubt, and all blocks count as written:
then the entries do not matter."""


@dataclass(slots=True)
class Finds:
    """What lies on a device.

    :ivar known: of each block whether its checksum is that of a block of persistent-data.
    :ivar value_sizes: of each block: bytes of a value if it is an array block, else 0.
    :ivar nr_entries: of each array block: entries in it.
    :ivar indices: of each block of eras: its number in the array as a tree has it; -1 when no tree has it.
    :ivar conflicts: (number in the array, block) where another tree has another number; at most MOST_CONFLICTS.
    :ivar writesets: era -> (bits, root) of each entry of a leaf of a writeset tree.
    :ivar bitsets: roots of bitsets that no other node refers to.
    :ivar superblocks: those of metadata snapshots.
    :ivar doubt: why parts may be missing: a block that cannot be told, or a pointer to nothing; "" when there is none.
    :ivar newest: the highest era in a block of eras. :ivar nr_blocks: data blocks of the longest era array;
        where its last block cannot be read, as many as it may have.
    """

    known: NDArray[np.bool_]
    value_sizes: NDArray[np.uint8]
    nr_entries: NDArray[np.uint16]
    indices: NDArray[np.int64]
    conflicts: set[tuple[int, int]] = field(default_factory=set)
    writesets: dict[int, set[tuple[int, int]]] = field(default_factory=dict)
    bitsets: set[int] = field(default_factory=set)
    superblocks: list[Superblock] = field(default_factory=list)
    doubt: str = ""
    newest: int = 0
    nr_blocks: int = 0


def find_all(reader: BlockReader) -> Finds:
    """Read the whole device twice.

    :raises OSError: the device failed.
    """
    limit = count_blocks(reader)
    finds = Finds(
        np.zeros(limit, dtype=np.bool_),
        np.zeros(limit, dtype=np.uint8),
        np.zeros(limit, dtype=np.uint16),
        np.full(limit, -1, dtype=np.int64),
    )
    for batch in scan_blocks(reader):
        _note_known(finds, batch)
        _note_arrays(finds, batch)
        _note_superblocks(finds, batch)
        _note_writesets(finds, batch)
    for nr_bits, root in sorted(entry for entries in finds.writesets.values() for entry in entries):
        _doubt_pointers(finds, np.array([root], dtype=np.uint64), f"a writeset of {nr_bits} bits")
    referred = np.zeros(limit, dtype=np.bool_)
    below = np.zeros(limit, dtype=np.int64)
    for batch in scan_blocks(reader):
        _note_leaves(finds, batch, referred, below)
    _find_roots(finds, referred, below)
    return finds


def _note_known(finds: Finds, batch: ScanBatch) -> None:
    """Which blocks are blocks of persistent-data by their checksums; the others must be all zeros."""
    known = np.isin(batch.salts, np.array(list(SALTS.values()), dtype=np.uint32))
    finds.known[batch.begin : batch.begin + len(batch)] = known
    strange = np.flatnonzero(~known & batch.blocks.any(axis=1)) + batch.begin
    strange = strange[strange > 0]
    if len(strange) and not finds.doubt:
        finds.doubt = f"block {strange[0]} cannot be read" + (f", nor {len(strange) - 1} more" * (len(strange) > 1))


def _doubt_pointers(finds: Finds, pointers: NDArray[np.uint64], whose: str) -> None:
    """A pointer to what is no block of persistent-data."""
    inside = pointers[pointers < np.uint64(len(finds.known))]
    missing = inside[~finds.known[inside]]
    if len(missing) and not finds.doubt:
        finds.doubt = f"block {missing[0]}, of {whose}, cannot be read"


def _note_arrays(finds: Finds, batch: ScanBatch) -> None:
    for value in (ERA, WORD):
        records: NDArray[Any] = batch.blocks.view(make_array_dtype(value)).reshape(-1)
        sound = (batch.salts == ARRAY_BLOCK) & (records["value_size"] == value.itemsize)
        sound &= records["blocknr"] == np.arange(batch.begin, batch.begin + len(batch), dtype=np.uint64)
        sound &= records["nr_entries"] <= records["values"].shape[1]
        if value == ERA and sound.any():
            used = np.arange(records["values"].shape[1]) < records["nr_entries"][sound][:, None]
            finds.newest = max(finds.newest, int(records["values"][sound][used].max(initial=0)))
        finds.value_sizes[batch.begin : batch.begin + len(batch)][sound] = value.itemsize
        finds.nr_entries[batch.begin : batch.begin + len(batch)][sound] = records["nr_entries"][sound]


def _note_superblocks(finds: Finds, batch: ScanBatch) -> None:
    for place in np.flatnonzero(batch.salts == ERA_SUPERBLOCK).tolist():
        try:
            superblock = parse_superblock(batch.blocks[place].tobytes(), location=batch.begin + place)
        except DamagedError:
            continue
        if not superblock.live:
            finds.superblocks.append(superblock)


def _note_writesets(finds: Finds, batch: ScanBatch) -> None:
    total = sum(map(len, finds.writesets.values()))
    for node in _list_nodes(batch, TREE.value, LEAF)[0]:
        count = int(node["nr_entries"])
        for era, (nr_bits, root) in zip(node["keys"][:count].tolist(), node["values"][:count].tolist(), strict=True):
            if era <= layout.LARGEST_ERA and 0 < root < len(finds.value_sizes):
                if total >= MOST_WRITESETS:
                    finds.doubt = finds.doubt or f"there are more than {MOST_WRITESETS} entries of writeset trees"
                    finds.newest = max(finds.newest, era)
                    continue
                versions = finds.writesets.setdefault(era, set())
                total += (nr_bits, root) not in versions
                versions.add((nr_bits, root))


def _note_leaves(finds: Finds, batch: ScanBatch, referred: NDArray[np.bool_], below: NDArray[np.int64]) -> None:
    """Where array blocks are in their arrays, and the first child of each internal node."""
    limit = len(referred)
    for node, block in zip(*_list_nodes(batch, POINTER, INTERNAL), strict=True):
        count = int(node["nr_entries"])
        children = node["values"][:count]
        _doubt_pointers(finds, children, f"node {block}")
        children = children[children < np.uint64(limit)]
        referred[children] = True
        below[block] = int(children[0]) if len(children) else 0
    for node, block in zip(*_list_nodes(batch, POINTER, LEAF), strict=True):
        count = int(node["nr_entries"])
        keys, pointers = node["keys"][:count], node["values"][:count]
        _doubt_pointers(finds, pointers, f"node {block}")
        inside = pointers < np.uint64(limit)
        keys, pointers = keys[inside], pointers[inside]
        sizes = finds.value_sizes[pointers]
        if (sizes == WORD.itemsize).any():
            finds.bitsets.add(block)
        of_eras = (sizes == ERA.itemsize) & (keys < np.uint64(limit))
        if of_eras.any():
            finds.nr_blocks = max(finds.nr_blocks, _count_data_blocks(finds, int(keys[-1]), int(pointers[-1])))
        _note_indices(finds, keys[of_eras].astype(np.int64), pointers[of_eras].astype(np.int64))


def _note_indices(finds: Finds, keys: NDArray[np.int64], blocks: NDArray[np.int64]) -> None:
    known = finds.indices[blocks]
    other = (known != -1) & (known != keys)
    for key, block in zip(keys[other].tolist(), blocks[other].tolist(), strict=True):
        if len(finds.conflicts) < MOST_CONFLICTS:
            finds.conflicts.add((key, block))
    finds.indices[blocks[~other]] = keys[~other]


def _count_data_blocks(finds: Finds, index: int, block: int) -> int:
    """Data blocks of an era array whose last block known has this number in it, and is there."""
    most = count_array_entries(ERA.itemsize)
    return index * most + (int(finds.nr_entries[block]) if finds.value_sizes[block] == ERA.itemsize else most)


def _find_roots(finds: Finds, referred: NDArray[np.bool_], below: NDArray[np.int64]) -> None:
    """Of the leaves of bitsets, go up to the roots; leave out what a writeset tree refers to."""
    leaves = np.zeros(len(below), dtype=np.bool_)
    leaves[sorted(finds.bitsets)] = True
    bottom = np.arange(len(below))
    for _ in range(MOST_LEVELS):
        bottom = np.where(below[bottom] > 0, below[bottom], bottom)
    internal = np.flatnonzero((below > 0) & leaves[bottom] & ~referred)
    roots = {*internal.tolist(), *(block for block in finds.bitsets if not referred[block])}
    finds.bitsets = roots - {root for entries in finds.writesets.values() for _, root in entries}


def _list_nodes(batch: ScanBatch, value: np.dtype[Any], flags: int) -> tuple[list[Any], list[int]]:
    """The sound nodes of one kind, as records, and where they are."""
    nodes: NDArray[Any] = batch.blocks.view(make_node_dtype(value)).reshape(-1)
    numbers = np.arange(batch.begin, batch.begin + len(batch), dtype=np.uint64)
    sound = (batch.salts == BTREE_NODE) & (nodes["blocknr"] == numbers) & (nodes["flags"] == flags)
    sound &= (nodes["value_size"] == value.itemsize) & (nodes["nr_entries"] <= nodes["keys"].shape[1])
    return list(nodes[sound]), numbers[sound].tolist()
