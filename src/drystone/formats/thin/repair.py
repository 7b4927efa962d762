"""Writing what was saved of damaged thin metadata as new metadata, on another device or file.

    salvage = find_salvage(reader, overrides)
    report = write_salvage(reader, salvage, disk)

Leaves are copied one to one, each once however many devices share it, and new trees are built above them: so sharing
is kept, and what is written is no larger than what was there. References are then counted by a walk over the new trees,
the space maps written by those counts, and the superblock last. At the end the new metadata is checked in full.

Memory: 62 bytes for each metadata block that is read, 24 for each leaf of one device, and what a check of the new
metadata takes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from drystone.base.errors import DamagedError, ExhaustedError
from drystone.formats.pdata.allocator import Allocator
from drystone.formats.pdata.blocks import BLOCK, BlockDisk, BlockReader, count_blocks
from drystone.formats.pdata.btree import BATCH, Nodes, flatten, view_nodes
from drystone.formats.pdata.btree_writer import Leaves, TreeWriter
from drystone.formats.pdata.checksum import BTREE_NODE, seal_blocks
from drystone.formats.pdata.counts import ReferenceCounts
from drystone.formats.pdata.layout import ENTRIES_A_BITMAP, count_max_entries
from drystone.formats.pdata.spacemap_writer import write_data_space_map, write_metadata_space_map
from drystone.formats.pdata.superblock import clear_superblock_block
from drystone.formats.pdata.survey import Survey
from drystone.formats.thin.check import Report, check_metadata
from drystone.formats.thin.device_trees import DETAILS, TOP
from drystone.formats.thin.losses import list_sound_leaves
from drystone.formats.thin.mappings import MAPPINGS, get_data_blocks
from drystone.formats.thin.salvage import Salvage
from drystone.formats.thin.superblock import write_superblock

_FEWEST = count_max_entries(MAPPINGS.value.itemsize) // 3
"""Entries that a leaf has at least, unless it is a root."""


def write_salvage(reader: BlockReader, salvage: Salvage, disk: BlockDisk) -> Report:
    """Write new metadata onto `disk`, and check it. What was on `disk` is lost from the first moment on.

    Durable when it returns; until then there is no superblock on `disk`.

    :param reader: where the salvage was found. It must not be `disk` itself, by whatever name.
    :raises ExhaustedError: `disk` is too small. :raises DamagedError: the new metadata is not sound, or `disk` is not.
    """
    data_blocks = salvage.superblock.data_space_map.nr_blocks
    bitmaps, room = -(-data_blocks // ENTRIES_A_BITMAP), count_blocks(disk)
    if bitmaps >= room:
        raise ExhaustedError(
            f"the counts of {data_blocks} data blocks need {bitmaps} blocks of {BLOCK} bytes, there are {room}",
            hint="write to a larger device, or give --nr-data-blocks",
        )
    clear_superblock_block(disk)
    _write(reader, salvage, disk, Allocator(room))
    return _check(disk)


def _write(reader: BlockReader, salvage: Salvage, disk: BlockDisk, allocator: Allocator) -> None:
    """Write everything, the superblock last; durable when it returns."""
    leaves = _LeafCopies(reader, salvage, disk, allocator)
    top = TreeWriter(disk, allocator, TOP.value)
    details = TreeWriter(disk, allocator, DETAILS.value)
    for dev_id, device in salvage.devices.items():
        tree = TreeWriter(disk, allocator, MAPPINGS.value)
        leaves.add_to(tree, salvage.roots[dev_id])
        key = np.array([dev_id], dtype=np.uint64)
        top.append(key, np.array([tree.finish()], dtype=np.uint64))
        fields = device.mapped_blocks, device.transaction_id, device.creation_time, device.snapshotted_time
        details.append(key, np.array([fields], dtype=DETAILS.value))
    superblock = replace(
        salvage.superblock,
        data_mapping_root=top.finish(),
        device_details_root=details.finish(),
        metadata_nr_blocks=allocator.nr_blocks,
    )
    survey, data_counts = Survey(disk), ReferenceCounts(superblock.data_space_map.nr_blocks)
    survey.count_block(0, "superblock")
    roots: list[int] = []
    for _ in survey.visit_tree(DETAILS, superblock.device_details_root):
        pass
    for _, values in survey.visit_tree(TOP, superblock.data_mapping_root):
        roots += values.tolist()
    for _, values in survey.visit_trees(MAPPINGS, roots):
        data_counts.add(get_data_blocks(values))
    # Leaves that were copied into others are in no tree; by these counts they are free.
    allocator.counts = survey.counts
    data_map = write_data_space_map(disk, allocator, data_counts)
    metadata_map = write_metadata_space_map(disk, allocator)
    write_superblock(disk, replace(superblock, data_space_map=data_map, metadata_space_map=metadata_map))


def _check(disk: BlockDisk) -> Report:
    """The report on new metadata.

    :raises DamagedError: it is not sound.
    """
    report = check_metadata(disk)
    if not report.is_sound():
        worst = report.find_worst()
        raise DamagedError(
            f"what was written is not sound: {worst.describe()}",
            hint="the output device may be at fault",
            **worst.to_document(),
        )
    return report


class _LeafCopies:
    """Leaves of the old trees, copied to the new metadata when they are first asked for.

    :ivar places: old block -> new block, 0 when it was not copied yet. :ivar firsts: old block -> first key, and so on.
    """

    def __init__(self, reader: BlockReader, salvage: Salvage, disk: BlockDisk, allocator: Allocator) -> None:
        self.reader = reader
        self.survey = salvage.survey
        self.data_blocks = salvage.superblock.data_space_map.nr_blocks
        self.disk = disk
        self.allocator = allocator
        limit = salvage.survey.limit
        self.copied = np.zeros(limit, dtype=np.bool_)
        self.places = np.zeros(limit, dtype=np.uint64)
        self.firsts = np.zeros(limit, dtype=np.uint64)
        self.lasts = np.zeros(limit, dtype=np.uint64)
        self.counts = np.zeros(limit, dtype=np.int64)

    def add_to(self, tree: TreeWriter, root: int) -> None:
        """Add the sound leaves of the old tree at `root`, none when that is 0, to a new one: as leaves that may be
        shared, or by their entries where a leaf is too empty for that.
        """
        blocks = list_sound_leaves(self.survey, root)
        empty = self.survey.visits.entries[blocks] < _FEWEST
        for run in np.split(np.arange(len(blocks)), np.flatnonzero(np.diff(empty)) + 1):
            if len(run) and empty[run[0]]:
                for begin in range(0, len(run), BATCH):
                    nodes = self.read(blocks[run[begin : begin + BATCH]])[1]
                    tree.append(*flatten(nodes))
            elif len(run):
                tree.append_leaves(self.copy(blocks[run]))

    def copy(self, blocks: NDArray[np.uint64]) -> Leaves:
        """These leaves in the new metadata."""
        fresh = blocks[~self.copied[blocks]]
        for begin in range(0, len(fresh), BATCH):
            self.copy_batch(fresh[begin : begin + BATCH])
        blocks = blocks[self.counts[blocks] > 0]
        return Leaves(self.firsts[blocks], self.lasts[blocks], self.places[blocks], self.counts[blocks])

    def read(self, blocks: NDArray[np.uint64]) -> tuple[NDArray[np.uint8], Nodes]:
        """Old leaves, without what they map beyond the data device, as bytes and as records of the same bytes."""
        data = self.reader.read_blocks(blocks).copy()
        nodes = view_nodes(data, MAPPINGS, leaf=True)
        used = np.arange(nodes["keys"].shape[1]) < nodes["nr_entries"][:, None]
        beyond = used & (get_data_blocks(nodes["values"]) >= np.uint64(self.data_blocks))
        for place in np.flatnonzero(beyond.any(axis=1)).tolist():
            _drop_entries(nodes[place : place + 1], used[place] & ~beyond[place])
        return data, nodes

    def copy_batch(self, blocks: NDArray[np.uint64]) -> None:
        """Copy leaves; what is not used of them becomes zeros."""
        self.copied[blocks] = True
        data, nodes = self.read(blocks)
        unused = np.arange(nodes["keys"].shape[1]) >= nodes["nr_entries"][:, None]
        nodes["keys"][unused] = 0
        nodes["values"][unused] = 0
        counts = nodes["nr_entries"].astype(np.int64)
        numbers = self.allocator.allocate(len(blocks), referred=False)
        nodes["blocknr"] = numbers
        nodes["padding"] = 0
        self.disk.write_blocks(numbers, seal_blocks(data, BTREE_NODE))
        self.places[blocks] = numbers
        self.counts[blocks] = counts
        self.firsts[blocks] = nodes["keys"][:, 0]
        self.lasts[blocks] = nodes["keys"][np.arange(len(blocks)), np.maximum(counts - 1, 0)]


def _drop_entries(node: Nodes, kept: NDArray[np.bool_]) -> None:
    """Keep those entries only, moved together, in a record of one node."""
    count = int(kept.sum())
    for name in ("keys", "values"):
        node[name][0, :count] = node[name][0, kept]
    node["nr_entries"][0] = count
