"""Which thin devices map given regions of the data device.

All leaves are read, each once however many devices share it. Rows: data begin and end, device, first virtual block.
thin-provisioning-tools tell only the first of the devices that share a leaf; here all are told, or the first only on
request.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from drystone.formats.pdata.blocks import BlockReader, count_blocks
from drystone.formats.thin.devices import read_mapping_roots
from drystone.formats.thin.leaves import Leaves, Trees, iter_leaves
from drystone.formats.thin.mappings import get_data_blocks
from drystone.formats.thin.superblock import Superblock
from drystone.formats.xml.rows import RowTemplate, format_rows

Regions = Sequence[tuple[int, int]]
"""First data block and the one after the last, in pool blocks; ascending, neither overlapping nor touching."""

Uses = NDArray[np.uint64]
"""Shape (n, 5): data begin and end, device, virtual begin and end; ends are one past the last. In that order sorted."""

TEXT = RowTemplate((b"data ", b"..", b" -> thin(", b") ", b"..", b"\n"))


def merge_regions(regions: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same blocks as regions that ascend and neither overlap nor touch."""
    merged: list[tuple[int, int]] = []
    for begin, end in sorted(regions):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged


def find_uses(reader: BlockReader, superblock: Superblock, regions: Regions, *, first_only: bool = False) -> Uses:
    """Who maps blocks of these regions, and as which virtual blocks.

    :param first_only: of devices that share a leaf tell only the one with the lowest id.
    :raises DamagedError: at the first damaged block that is read.
    """
    bounds = np.array(regions, dtype=np.uint64).reshape(-1, 2)
    trees = Trees(reader)
    known = np.zeros(count_blocks(reader), dtype=np.bool_)
    hit = np.zeros(count_blocks(reader), dtype=np.bool_)
    uses = []
    for dev_id, root in read_mapping_roots(reader, superblock).items():
        leaves = trees.get_leaves(root)
        new = ~known[leaves.edges.blocks]
        known[leaves.edges.blocks] = True
        _mark_hits(reader, leaves[new], bounds, hit)
        wanted = leaves[new & hit[leaves.edges.blocks]] if first_only else leaves[hit[leaves.edges.blocks]]
        uses.append(_list_runs(dev_id, *_read_within(reader, wanted, bounds)))
    every = np.concatenate(uses) if uses else np.empty((0, 5), dtype=np.uint64)
    return every[np.lexsort((every[:, 3], every[:, 2], every[:, 1], every[:, 0]))]


def format_uses(uses: Uses) -> NDArray[np.uint8]:
    """A line for each: `data 0..5 -> thin(2) 0..5`."""
    return format_rows(TEXT, list(uses.T))


def _mark_hits(reader: BlockReader, leaves: Leaves, bounds: NDArray[np.uint64], hit: NDArray[np.bool_]) -> None:
    """Note of leaves whether any of their data blocks is in a region."""
    for entries in iter_leaves(reader, leaves):
        within = np.concatenate(([0], np.cumsum(_find_within(get_data_blocks(entries.values), bounds))))
        ends = np.cumsum(entries.counts)
        hit[entries.leaves.edges.blocks] = within[ends] > within[ends - entries.counts]


def _read_within(
    reader: BlockReader, leaves: Leaves, bounds: NDArray[np.uint64]
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Virtual and data blocks of those mappings whose data block is in a region."""
    virtual, data = [np.empty(0, dtype=np.uint64)], [np.empty(0, dtype=np.uint64)]
    for entries in iter_leaves(reader, leaves):
        blocks = get_data_blocks(entries.values)
        within = _find_within(blocks, bounds)
        virtual.append(entries.keys[within])
        data.append(blocks[within])
    return np.concatenate(virtual), np.concatenate(data)


def _find_within(data: NDArray[np.uint64], bounds: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which data blocks are in a region."""
    place = np.searchsorted(bounds[:, 0], data, side="right") - 1
    within: NDArray[np.bool_] = (place >= 0) & (data < bounds[np.maximum(place, 0), 1])
    return within


def _list_runs(dev_id: int, virtual: NDArray[np.uint64], data: NDArray[np.uint64]) -> Uses:
    """Mappings that go up side by side as one, whatever their time."""
    breaks = np.ones(len(virtual), dtype=np.bool_)
    breaks[1:] = (virtual[1:] - virtual[:-1] != 1) | (data[1:] - data[:-1] != 1)
    begins = np.flatnonzero(breaks)
    lengths = np.diff(np.append(begins, len(virtual))).astype(np.uint64)
    device = np.full(len(begins), dev_id, dtype=np.uint64)
    first, last = virtual[begins], data[begins]
    return np.stack((last, last + lengths, device, first, first + lengths), axis=1)
