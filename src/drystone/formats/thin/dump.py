"""Thin metadata as a stream of what a dump holds: the pool, definitions, devices, mappings. The spelling is elsewhere.

    Pool, then for every definition and device in turn its parts, all as Lines: batches of rows, each of them a mapping,
    a reference, or the beginning or end of a definition. DeviceHead and DeviceEnd come between them.

Leaves that several devices share are read once and dumped as definitions (see sharing), unless `share` is false, which
is how 0.9 prints them. Memory: a batch of leaves, and what sharing holds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drystone.formats.pdata.blocks import BlockReader
from drystone.formats.thin.devices import DeviceDetails, check_same_devices, read_devices, read_mapping_roots
from drystone.formats.thin.leaves import Leaves, Trees, join_leaves
from drystone.formats.thin.lines import Lines, Marks, Row, read_lines
from drystone.formats.thin.sharing import Sharing
from drystone.formats.thin.superblock import Superblock


@dataclass(frozen=True, slots=True)
class Pool:
    """The head of a dump.

    :ivar data_block_size: sectors. :ivar nr_data_blocks: of a metadata snapshot 0, unless the caller says more.
    """

    time: int
    transaction: int
    flags: int
    version: int
    data_block_size: int
    nr_data_blocks: int


@dataclass(frozen=True, slots=True)
class DeviceEnd:
    """The device that was begun is complete."""


Part = Pool | DeviceDetails | Lines | DeviceEnd


@dataclass(frozen=True, slots=True)
class Choice:
    """What to dump.

    :ivar devices: ids; None for all. Those that do not exist are left out. :ivar mappings: whether to dump mappings.
    :ivar share: whether shared runs become definitions. :ivar transaction_id: others than the superblock's, or None;
    :ivar data_block_size: sectors. :ivar nr_data_blocks: at least so many.
    """

    devices: Collection[int] | None = None
    mappings: bool = True
    share: bool = True
    transaction_id: int | None = None
    data_block_size: int | None = None
    nr_data_blocks: int | None = None


def dump(reader: BlockReader, superblock: Superblock, choice: Choice) -> Iterator[Part]:
    """The parts of a dump, in the order in which they are printed.

    :raises DamagedError: at the first damaged block that is read.
    """
    yield describe_pool(superblock, choice)
    details = read_devices(reader, superblock)
    roots = read_mapping_roots(reader, superblock)
    check_same_devices(superblock, details, roots)
    chosen = [dev_id for dev_id in details if choice.devices is None or dev_id in choice.devices]
    if not choice.mappings:
        for dev_id in chosen:
            yield details[dev_id]
            yield DeviceEnd()
        return
    trees = Trees(reader)
    sharing = Sharing(reader)
    if choice.share and len(chosen) > 1:
        sharing.add_all(trees, [roots[dev_id] for dev_id in chosen])
        yield from _dump_definitions(reader, trees, dict.fromkeys(roots[dev_id] for dev_id in chosen), sharing)
    for dev_id in chosen:
        yield details[dev_id]
        yield from _dump_tree(reader, trees.get_leaves(roots[dev_id]), sharing)
        yield DeviceEnd()


def describe_pool(superblock: Superblock, choice: Choice) -> Pool:
    """The head, with what `choice` overrides."""
    size = choice.data_block_size
    blocks = superblock.data_space_map.nr_blocks
    return Pool(
        time=superblock.time,
        transaction=superblock.transaction_id if choice.transaction_id is None else choice.transaction_id,
        flags=superblock.flags,
        version=superblock.version,
        data_block_size=superblock.data_block_size if size is None else size,
        nr_data_blocks=max(blocks, choice.nr_data_blocks or 0),
    )


def _dump_definitions(reader: BlockReader, trees: Trees, roots: Iterable[int], sharing: Sharing) -> Iterator[Lines]:
    """Dump each shared run once, ordered by the block of its first leaf."""
    if not sharing.shared.any():
        return
    parts: list[Leaves] = []
    names: list[NDArray[np.uint64]] = []
    for root in roots:
        leaves = trees.get_leaves(root)
        fresh = sharing.take_new(leaves)
        if fresh.any():
            parts.append(leaves[fresh])
            names.append(_name_runs(leaves, sharing)[fresh])
    leaves, heads = sharing.narrow(join_leaves(parts)), np.concatenate(names)
    order = np.argsort(heads, kind="stable")
    yield from read_lines(reader, leaves[order], _mark_definitions(heads[order]))


def _dump_tree(reader: BlockReader, leaves: Leaves, sharing: Sharing) -> Iterator[Lines]:
    """One device's mappings and references."""
    shared = sharing.shared[leaves.edges.blocks]
    begins = np.flatnonzero(shared & sharing.find_breaks(leaves.edges.blocks))
    marks = Marks(
        at=(begins - np.cumsum(shared)[begins] + 1).astype(np.int64),
        kinds=np.full(len(begins), Row.REF, dtype=np.uint8),
        names=leaves.edges.blocks[begins],
    )
    return read_lines(reader, leaves[~shared], marks)


def _name_runs(leaves: Leaves, sharing: Sharing) -> NDArray[np.uint64]:
    """Of each leaf of a tree the first leaf of its run."""
    blocks = leaves.edges.blocks
    begins = np.flatnonzero(sharing.find_breaks(blocks))
    return np.repeat(blocks[begins], np.diff(np.append(begins, len(blocks))))


def _mark_definitions(heads: NDArray[np.uint64]) -> Marks:
    """Each run begins a definition and ends the one before; `heads`: of each leaf the first leaf of its run."""
    begins = np.flatnonzero(np.concatenate(([True], heads[1:] != heads[:-1])))
    at = np.stack((begins, np.append(begins[1:], len(heads))), axis=1).reshape(-1)
    kinds = np.tile(np.array([Row.DEF, Row.DEF_END], dtype=np.uint8), len(begins))
    return Marks(at.astype(np.int64), kinds, heads[begins])
