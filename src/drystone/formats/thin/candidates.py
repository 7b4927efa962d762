"""Roots of thin metadata that no sound superblock leads to: found among all blocks, and paired.

Every block is read once, and told by its checksum, its own location and its shape:

* a leaf with values of 24 bytes belongs to a device details tree;
* a leaf whose keys are possible device ids, and whose values are blocks with nodes, belongs to the top level of a
  mapping tree;
* an internal node belongs to the tree of its children.

Those that no node of their own kind points to may be roots. Metadata is never written in place, so that older roots
lie about in blocks that are free by now. Of all pairs of a mapping tree and a details tree the best is the one with
the fewest contradictions (a device in one tree only; a whole device whose mappings are not as many as its details say),
then the newest by time, then by transaction, then the one whose details count most mappings: pools mostly grow.

Inspired by how thin_repair 1.x pairs roots; the contradictions are our own. Cost: one pass over the device, and one
over the trees of the candidates, each block of which is read once. Open question: between a transaction and the one
just before it, which has not been overwritten and maps as much, nothing decides but the order of the blocks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from drystone.formats.pdata.blocks import BlockReader, count_blocks
from drystone.formats.pdata.btree import MOST_LEVELS, view_nodes
from drystone.formats.pdata.checksum import BTREE_NODE, THIN_SUPERBLOCK
from drystone.formats.pdata.damage import Damage
from drystone.formats.pdata.layout import INTERNAL, LEAF, count_max_entries
from drystone.formats.pdata.scan import ScanBatch, scan_blocks
from drystone.formats.pdata.survey import Survey
from drystone.formats.thin import layout
from drystone.formats.thin.device_trees import DETAILS, TOP
from drystone.formats.thin.devices import DeviceDetails
from drystone.formats.thin.mappings import MAPPINGS

_DETAILS = DETAILS.value.itemsize

MOST_CANDIDATES = 20_000
"""Roots of a kind that are looked at, those in the lowest blocks. A commit leaves at most one of each kind behind, and
they lie all over the device: hundreds are usual, tens of thousands are not."""

_MOST_PAIRED = 200
"""Details trees, the newest of all that were looked at, that are held against every mapping tree."""

_UNREAD = -1
"""Instead of a number of mappings: the device's tree has damage."""

_LARGEST = (1 << 63) - 1


class NodeKind(IntEnum):
    """What a block was found to be."""

    NONE = 0
    DETAILS = 1
    TOP = 2
    MAPPING = 3
    INTERNAL = 4
    """Not known yet whose."""


@dataclass(slots=True)
class Finds:
    """What a scan of all blocks found.

    :ivar kinds: NodeKind of each block. :ivar children: internal node -> blocks that it points to.
    :ivar superblocks: blocks that look like copies of a thin superblock, as metadata snapshots are; ascending.
    """

    kinds: NDArray[np.uint8]
    children: dict[int, NDArray[np.uint64]] = field(default_factory=dict)
    superblocks: list[int] = field(default_factory=list)

    def list_roots(self, kind: NodeKind) -> list[int]:
        """Blocks of that kind that no other block of that kind points to, ascending."""
        rooted = self.kinds == kind
        for block, children in self.children.items():
            if self.kinds[block] == kind:
                rooted[children] = False
        return np.flatnonzero(rooted).tolist()


@dataclass(frozen=True, slots=True)
class Roots:
    """A pair of roots; 0 where there is none."""

    mapping: int
    details: int


def scan_roots(reader: BlockReader) -> Finds:
    """Read every block and tell the kinds of nodes."""
    limit = count_blocks(reader)
    finds = Finds(np.zeros(limit, dtype=np.uint8))
    tops: dict[int, NDArray[np.uint64]] = {}
    for batch in scan_blocks(reader):
        finds.superblocks += [batch.begin + int(at) for at in np.flatnonzero(batch.salts == THIN_SUPERBLOCK)]
        _sort_nodes(batch, limit, finds, tops)
    for block, values in tops.items():
        # A device whose root is damaged does not make the others' tree another one.
        known = np.isin(finds.kinds[values], (NodeKind.MAPPING, NodeKind.INTERNAL))
        if 2 * int(known.sum()) >= len(values):
            finds.kinds[block] = NodeKind.TOP
    _resolve(finds)
    return finds


def choose_roots(reader: BlockReader, mappings: Iterable[int], details: Iterable[int]) -> Roots:
    """The best pair out of these roots; see the head of this file. 0 where there are none of a kind.

    Of the mapping trees MOST_CANDIDATES are looked at, and of the details trees the _MOST_PAIRED newest of as many.
    """
    tops = _read_tops(reader, list(islice(mappings, MOST_CANDIDATES)) or [0])
    known = [(root, read_details(reader, root)[0] if root else {}) for root in islice(details, MOST_CANDIDATES)]
    known.sort(key=lambda each: _tell_age(each[1]), reverse=True)
    best: tuple[tuple[int, ...], Roots] | None = None
    for details_root, devices in known[:_MOST_PAIRED] or [(0, {})]:
        place, filled, contradictions, whole = tops.find_best(devices)
        score = filled, -contradictions, *_tell_age(devices), whole
        if best is None or score > best[0]:
            best = score, Roots(tops.roots[place], details_root)
    assert best is not None
    return best[1]


def read_details(reader: BlockReader, root: int) -> tuple[dict[int, DeviceDetails], list[Damage]]:
    """The details that can be read, ascending, and what is wrong."""
    survey = Survey(reader)
    devices = {
        dev_id: DeviceDetails(dev_id, *value)
        for ids, values in survey.iter_entries(DETAILS, root)
        for dev_id, value in zip(ids.tolist(), values.tolist(), strict=True)
        if dev_id <= layout.LARGEST_DEVICE_ID
    }
    return devices, survey.damages


def read_roots(reader: BlockReader, root: int) -> tuple[dict[int, int], list[Damage]]:
    """Device id -> root of its mappings, as far as they can be read, and what is wrong."""
    survey = Survey(reader)
    roots = {
        dev_id: block
        for ids, values in survey.iter_entries(TOP, root)
        for dev_id, block in zip(ids.tolist(), values.tolist(), strict=True)
        if dev_id <= layout.LARGEST_DEVICE_ID
    }
    return roots, survey.damages


def _tell_age(devices: dict[int, DeviceDetails]) -> tuple[int, int, int]:
    """Larger is newer: the last time, the last transaction, and all mapped blocks."""
    return (
        max((max(each.creation_time, each.snapshotted_time) for each in devices.values()), default=0),
        max((each.transaction_id for each in devices.values()), default=0),
        sum(each.mapped_blocks for each in devices.values()),
    )


@dataclass(frozen=True, slots=True)
class _Tops:
    """The devices of many mapping trees, all in one row.

    :ivar roots: of the trees. :ivar places: of each device the place of its tree in `roots`. :ivar ids: int64.
    :ivar counts: mappings of each device, or _UNREAD.
    """

    roots: list[int]
    places: NDArray[np.int64]
    ids: NDArray[np.int64]
    counts: NDArray[np.int64]

    def find_best(self, devices: dict[int, DeviceDetails]) -> tuple[int, bool, int, int]:
        """The tree that goes best with these details, the first of several: its place, whether it has any device,
        its contradictions, and how many devices of the details it has without damage.
        """
        known = np.array(sorted(devices), dtype=np.int64)
        due = np.array([min(devices[dev_id].mapped_blocks, _LARGEST) for dev_id in known.tolist()], dtype=np.int64)
        if len(known):
            at = np.minimum(np.searchsorted(known, self.ids), len(known) - 1)
            hit = known[at] == self.ids
            wrong = hit & (self.counts != _UNREAD) & (self.counts != due[at])
        else:
            hit = wrong = np.zeros(len(self.ids), dtype=np.bool_)
        filled, hits, odd, whole = (
            np.bincount(self.places[which], minlength=len(self.roots))
            for which in (slice(None), hit, wrong | ~hit, hit & (self.counts != _UNREAD))
        )
        contradictions = odd + len(known) - hits
        place = int(np.lexsort((-whole, contradictions, filled == 0))[0])
        return place, bool(filled[place]), int(contradictions[place]), int(whole[place])


def _read_tops(reader: BlockReader, roots: list[int]) -> _Tops:
    """Read the devices of these trees, and all of their mappings, each block once. Root 0 is a tree without devices."""
    survey = Survey(reader)
    trees = [read_roots(reader, root)[0] if root else {} for root in roots]
    for tree in trees:
        for _ in survey.visit_trees(MAPPINGS, tree.values(), quiet=True):
            pass
    lengths = np.array([len(tree) for tree in trees], dtype=np.int64)
    ids = [dev_id for tree in trees for dev_id in tree]
    counts = [
        survey.count_entries(root) if survey.is_whole(root) else _UNREAD for tree in trees for root in tree.values()
    ]
    places = np.repeat(np.arange(len(roots)), lengths)
    return _Tops(roots, places, np.array(ids, dtype=np.int64), np.array(counts, dtype=np.int64))


def _sort_nodes(batch: ScanBatch, limit: int, finds: Finds, tops: dict[int, NDArray[np.uint64]]) -> None:
    """Put the nodes of a batch into `finds`; possible top leaves into `tops` with their values."""
    nodes = view_nodes(batch.blocks, MAPPINGS, leaf=False)
    numbers = np.arange(batch.begin, batch.begin + len(batch), dtype=np.uint64)
    counts = nodes["nr_entries"]
    sound = (batch.salts == BTREE_NODE) & (nodes["blocknr"] == numbers) & (counts <= nodes["max_entries"])
    leaf, inner = nodes["flags"] == LEAF, nodes["flags"] == INTERNAL
    narrow = sound & (nodes["value_size"] == 8) & (nodes["max_entries"] == count_max_entries(8))
    wide = sound & (nodes["value_size"] == _DETAILS) & (nodes["max_entries"] == count_max_entries(_DETAILS))
    kinds = finds.kinds[batch.begin : batch.begin + len(batch)]
    kinds[wide & leaf] = NodeKind.DETAILS
    kinds[narrow & leaf] = NodeKind.MAPPING
    kinds[narrow & inner & (counts > 0)] = NodeKind.INTERNAL
    for place in np.flatnonzero(narrow & (inner | leaf)).tolist():
        count = int(counts[place])
        values = nodes["values"][place, :count]
        if inner[place]:
            finds.children[batch.begin + place] = values[(values > 0) & (values < limit)].copy()
        elif count and values.max() < limit and values.min() > 0:
            if nodes["keys"][place, count - 1] <= layout.LARGEST_DEVICE_ID:
                tops[batch.begin + place] = values.copy()
        elif not count:
            kinds[place] = NodeKind.NONE  # an empty tree is worth nothing here


def _resolve(finds: Finds) -> None:
    """Give internal nodes the kind of their children, lowest levels first."""
    waiting = dict(finds.children)
    for _ in range(MOST_LEVELS):
        told: dict[int, int] = {}
        for block, children in waiting.items():
            below = finds.kinds[children]
            below = below[(below != NodeKind.NONE) & (below != NodeKind.INTERNAL)]
            if len(below):
                told[block] = int(np.bincount(below).argmax())
        if not told:
            return
        for block, kind in told.items():
            finds.kinds[block] = kind
            del waiting[block]
