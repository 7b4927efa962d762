"""Walking trees of one kind that may be damaged: two walks, which list what is wrong and go on beside it.

Both are the walk of btree.iter_entries: a stack of pending pointers ("edges"), a batch of nodes at a time, every node
checked against the range of keys that its edge gives it. A node that is wrong is left out. How deep a tree is must be
known before; it is measured down its first children, and where one of those is damaged, down their neighbours.

Why they end on any bytes: no node is read below the measured depth, at most MOST_LEVELS. iter_entries: the ranges of
keys on a level are disjoint, so a block is sound at most once a level. visit_trees reads no block twice but those of
the way on which a tree's height is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drystone.formats.pdata.blocks import BlockReader, count_blocks
from drystone.formats.pdata.btree import (
    LARGEST_KEY,
    MOST_LEVELS,
    Edges,
    Nodes,
    Numbers,
    TreeKind,
    find_faults,
    flatten,
    make_root_edges,
    view_nodes,
)
from drystone.formats.pdata.checksum import BTREE_NODE, checksum_blocks
from drystone.formats.pdata.counts import ReferenceCounts
from drystone.formats.pdata.damage import Damage
from drystone.formats.pdata.layout import INTERNAL, LEAF
from drystone.formats.pdata.readahead import read_ahead
from drystone.formats.pdata.visits import Lineage, Visits, sum_up

_MOST_TRIES = 1000
"""Nodes that are read to find out how deep a damaged tree is."""

Entries = tuple[NDArray[np.uint64], NDArray[Any]]
"""Keys and values, of one length, at least 1."""

Owners = NDArray[np.uint64]
"""Whose edge each is: a number for damages; NOBODY."""

NOBODY = LARGEST_KEY

Report = Callable[[Damage], None]


@dataclass(frozen=True, slots=True)
class _Level:
    """Edges to nodes `height` levels above the leaves, whose they are, and whether the nodes are roots."""

    height: int
    edges: Edges
    owners: Owners
    root: bool = False

    def __getitem__(self, which: slice | NDArray[Any]) -> _Level:
        return _Level(self.height, self.edges[which], self.owners[which], self.root)


class TreeWalk:
    """How trees of one kind on one device are walked.

    :param report: takes each damage. :param remark: takes what is odd and loses nothing.
    :param batch: blocks read at once.
    """

    def __init__(self, reader: BlockReader, kind: TreeKind, report: Report, remark: Report, batch: int) -> None:
        self.reader = reader
        self.kind = kind
        self.report = report
        self.remark = remark
        self.batch = batch
        self.limit = count_blocks(reader)

    def iter_entries(self, root: int, owner: int | None, low: int, high: int) -> Iterator[Entries]:
        """See Survey.iter_entries."""
        level = self._make_roots(np.array([root], dtype=np.uint64), make_owners(owner))
        least, most = np.uint64(low), np.uint64(high)
        pending = [level] if len(level.edges) else []
        while pending:
            if pending[-1].height:
                level = self._take_batch(pending)
                level, nodes, _ = self._check(level, self.reader.read_blocks(level.edges.blocks))
                below = self._expand(level, nodes)[0]
                pending.append(below[(below.edges.lows <= most) & (below.edges.highs >= least)])
                continue
            for leaves, blocks in read_ahead(self.reader, self._cut(pending.pop()), _list_blocks):
                keys, values = flatten(self._check(leaves, blocks)[1])
                if len(keys) and (keys[0] < least or keys[-1] > most):
                    within = (keys >= least) & (keys <= most)
                    keys, values = keys[within], values[within]
                if len(keys):
                    yield keys, values

    def visit_trees(self, roots: Numbers, owners: Owners, visits: Visits, counts: ReferenceCounts) -> Iterator[Entries]:
        """See Survey.visit_trees."""
        code = visits.number_kind(self.kind.name)
        known = (roots < np.uint64(self.limit)) & (roots > 0)
        known[known] = visits.kinds[roots[known]] != 0
        counts.add(roots[known])
        other = known.copy()
        other[known] = visits.kinds[roots[known]] != code
        self._report_others(_Level(0, make_root_edges(roots[other]), owners[other]), visits)
        lineages: dict[int, list[Lineage]] = {}
        shared: list[_Level] = []
        for top in self._group_roots(roots[~known], owners[~known]):
            counts.add(top.edges.blocks)
            pending = [top]
            while pending:
                if pending[-1].height:
                    level = self._take_new(self._take_batch(pending), code, visits, shared)
                    below, lineage = self._visit_inner(level, visits)
                    lineages.setdefault(level.height, []).append(lineage)
                    counts.add(below.edges.blocks)
                    pending.append(below)
                else:
                    parts = self._cut(pending.pop())
                    new = (self._take_new(part, code, visits, shared) for part in parts)
                    yield from self._visit_leaves(new, visits)
        sum_up(visits, lineages)
        for level in shared:
            self._check_shared(level, visits)

    def _visit_inner(self, level: _Level, visits: Visits) -> tuple[_Level, Lineage]:
        """Read internal nodes that are new; the edges out of the sound ones, also as a lineage."""
        level, nodes, faulty = self._check(level, self.reader.read_blocks(level.edges.blocks))
        below, lineage, torn = self._expand(level, nodes)
        visits.firsts[level.edges.blocks] = nodes["keys"][:, 0]
        visits.torn[faulty] = True
        visits.torn[torn] = True
        return below, lineage

    def _visit_leaves(self, levels: Iterator[_Level], visits: Visits) -> Iterator[Entries]:
        """Read leaves that are new, and give out their entries."""
        for level, blocks in read_ahead(self.reader, (each for each in levels if len(each.edges)), _list_blocks):
            sound, nodes, faulty = self._check(level, blocks)
            visits.torn[faulty] = True
            visits.note_leaves(sound.edges.blocks, nodes)
            keys, values = flatten(nodes)
            if len(keys):
                yield keys, values

    def _cut(self, level: _Level) -> Iterator[_Level]:
        """A level in batches."""
        for begin in range(0, len(level.edges), self.batch):
            yield level[begin : begin + self.batch]

    def _take_batch(self, pending: list[_Level]) -> _Level:
        """The next edges of the stack, at most a batch."""
        level = pending.pop()
        if len(level.edges) > self.batch:
            pending.append(level[self.batch :])
            level = level[: self.batch]
        return level

    def _make_roots(self, roots: Numbers, owners: Owners) -> _Level:
        """The edges to roots of one height; those that point nowhere are reported and left out."""
        (level,) = self._group_roots(roots, owners) or [_Level(0, make_root_edges(roots[:0]), owners[:0])]
        return level

    def _group_roots(self, roots: Numbers, owners: Owners) -> list[_Level]:
        """Edges to roots, by the heights of their trees; those that point nowhere are reported and left out."""
        wild = (roots == 0) | (roots >= np.uint64(self.limit))
        for root, owner in zip(roots[wild].tolist(), owners[wild].tolist(), strict=True):
            self._lose(root, owner, (0, LARGEST_KEY), "root", f"1 to {self.limit - 1}", root)
        roots, owners = roots[~wild], owners[~wild]
        heights = self._measure_heights(roots)
        return [
            _Level(height, make_root_edges(roots[heights == height]), owners[heights == height], root=True)
            for height in sorted(set(heights.tolist()))
        ]

    def _measure_heights(self, roots: Numbers) -> NDArray[np.int64]:
        """Levels below each root, measured down its first children, or where one is damaged down any."""
        heights = np.full(len(roots), -1, dtype=np.int64)
        places, blocks = np.arange(len(roots)), roots
        for depth in range(MOST_LEVELS):
            if not len(places):
                break
            leaf, children = self._peek(blocks)
            heights[places[leaf]] = depth
            places, blocks = places[children > 0], children[children > 0]
        for place in np.flatnonzero(heights < 0).tolist():
            heights[place] = self._search_height(int(roots[place]))
        return heights

    def _peek(self, blocks: Numbers) -> tuple[NDArray[np.bool_], Numbers]:
        """Of each block: whether it is a leaf; and its first child, 0 when it is no internal node or has none."""
        leaf = np.zeros(len(blocks), dtype=np.bool_)
        children = np.zeros(len(blocks), dtype=np.uint64)
        for begin in range(0, len(blocks), self.batch):
            part = slice(begin, begin + self.batch)
            nodes = self._read_plain(blocks[part])
            leaf[part] = nodes["flags"] == LEAF
            found = nodes["values"][:, 0]
            inner = (nodes["flags"] == INTERNAL) & (nodes["nr_entries"] > 0) & (found < np.uint64(self.limit))
            children[part] = np.where(inner, found, np.uint64(0))
        return leaf, children

    def _read_plain(self, blocks: Numbers) -> Nodes:
        """Nodes, as if they were internal ones; flags are 0 where checksum or location is wrong."""
        data = self.reader.read_blocks(blocks)
        nodes = view_nodes(data, self.kind, leaf=False).copy()
        nodes["flags"][(nodes["csum"] != checksum_blocks(data, BTREE_NODE)) | (nodes["blocknr"] != blocks)] = 0
        return nodes

    def _search_height(self, root: int) -> int:
        """Levels below a root whose first children lead to no leaf; when no leaf is found, one below what is."""
        pending = [(root, 0)]
        deepest = 0
        for _ in range(_MOST_TRIES):
            if not pending:
                break
            block, depth = pending.pop()
            node = self._read_plain(np.array([block], dtype=np.uint64))[0]
            if node["flags"] == LEAF:
                return depth
            if node["flags"] == INTERNAL and depth + 1 < MOST_LEVELS:
                deepest = max(deepest, depth + 1)
                children = node["values"][: int(node["nr_entries"])]
                sound = children[(children > 0) & (children < np.uint64(self.limit))]
                pending.extend((child, depth + 1) for child in reversed(sound.tolist()))
        return deepest

    def _check(self, level: _Level, blocks: NDArray[np.uint8]) -> tuple[_Level, Nodes, Numbers]:
        """Of the blocks of a level: the level of the sound ones alone, these as nodes, and the numbers of those that
        are damaged, which are reported.
        """
        edges = level.edges
        nodes = view_nodes(blocks, self.kind, leaf=level.height == 0)
        if not level.root:
            self._remark_underfull(level, nodes)
        faults = find_faults(blocks, nodes, edges, leaf=level.height == 0, root=level.root)
        if not faults:
            return level, nodes, edges.blocks[:0]
        for fault in faults:
            keys = int(edges.lows[fault.place]), int(edges.highs[fault.place])
            block, owner = int(edges.blocks[fault.place]), int(level.owners[fault.place])
            self._lose(block, owner, keys, fault.what, fault.expected, fault.found)
        sound = np.ones(len(nodes), dtype=np.bool_)
        sound[[fault.place for fault in faults]] = False
        return level[sound], nodes[sound], edges.blocks[~sound]

    def _remark_underfull(self, level: _Level, nodes: Nodes) -> None:
        counts, fewest = nodes["nr_entries"], nodes["keys"].shape[1] // 3
        if int(counts.min(initial=fewest)) >= fewest:
            return
        for place in np.flatnonzero(counts < fewest).tolist():
            block, owner = int(level.edges.blocks[place]), int(level.owners[place])
            self.remark(self._make_damage(block, owner, "number of entries", f"{fewest} or more", int(counts[place])))

    def _expand(self, level: _Level, nodes: Nodes) -> tuple[_Level, Lineage, Numbers]:
        """Edges out of sound internal nodes, the same as a lineage, and the nodes with pointers to nowhere."""
        keys, children = flatten(nodes)
        counts = nodes["nr_entries"].astype(np.int64)
        highs = np.empty_like(keys)
        highs[:-1] = keys[1:] - np.uint64(1)
        if len(counts):
            highs[np.cumsum(counts) - 1] = level.edges.highs
        edges = Edges(children, keys, highs)
        holders = np.repeat(np.arange(len(nodes)), counts)
        owners = level.owners[holders]
        sound = (children > 0) & (children < np.uint64(self.limit))
        torn = level.edges.blocks[:0]
        if not sound.all():
            for place in np.flatnonzero(~sound).tolist():
                lost = int(keys[place]), int(highs[place])
                block, owner = int(level.edges.blocks[holders[place]]), int(owners[place])
                due = f"1 to {self.limit - 1}"
                self._lose(block, owner, lost, "pointer to a child", due, int(children[place]))
            torn = level.edges.blocks[sorted(set(holders[~sound].tolist()))]
            counts = np.bincount(holders[sound], minlength=len(nodes))
            edges, owners = edges[sound], owners[sound]
        return _Level(level.height - 1, edges, owners), Lineage(level.edges.blocks, counts, edges.blocks), torn

    def _take_new(self, level: _Level, code: int, visits: Visits, shared: list[_Level]) -> _Level:
        """The edges to blocks that are seen for the first time, now marked. The others are checked, at once or, when
        what is below them is not known yet, later: they are added to `shared`.
        """
        blocks = level.edges.blocks
        new = visits.find_new(blocks)
        visits.mark(blocks[new], code, level.height)
        if new.all():
            return level
        old = level[~new]
        other = (visits.kinds[old.edges.blocks] != code) | (visits.heights[old.edges.blocks] != level.height)
        self._report_others(old[other], visits)
        shared.append(old[~other])
        return level[new]

    def _report_others(self, level: _Level, visits: Visits) -> None:
        """Report edges to blocks that were seen as blocks of another kind."""
        for place, block in enumerate(level.edges.blocks.tolist()):
            found = f"{visits.names[visits.kinds[block] - 1]}, height {visits.heights[block]}"
            keys = int(level.edges.lows[place]), int(level.edges.highs[place])
            due = f"{self.kind.name}, height {level.height}"
            self._lose(block, int(level.owners[place]), keys, "kind of block", due, found)
            visits.torn[block] = True

    def _check_shared(self, level: _Level, visits: Visits) -> None:
        """Whether the keys below shared blocks lie in the ranges of further edges to them."""
        edges = level.edges
        firsts, lasts = visits.firsts[edges.blocks], visits.lasts[edges.blocks]
        filled = visits.entries[edges.blocks] > 0
        wrong = filled & ((firsts < edges.lows) | (lasts > edges.highs))
        for place in np.flatnonzero(wrong).tolist():
            keys = int(edges.lows[place]), int(edges.highs[place])
            due = f"{keys[0]} to {keys[1]}, the range its parent gives"
            found = f"{firsts[place]} to {lasts[place]}"
            self._lose(int(edges.blocks[place]), int(level.owners[place]), keys, "keys of a shared block", due, found)

    def _lose(
        self, block: int, owner: int, keys: tuple[int, int], what: str, expected: int | str, found: int | str
    ) -> None:
        """Report a damage that loses keys."""
        self.report(self._make_damage(block, owner, what, expected, found, keys))

    def _make_damage(
        self,
        block: int,
        owner: int,
        what: str,
        expected: int | str,
        found: int | str,
        keys: tuple[int, int] = (0, -1),
    ) -> Damage:
        kind = self.kind
        low, high = keys[0] * kind.per_key, min((keys[1] + 1) * kind.per_key, kind.end) - 1
        return Damage(block, kind.name, what, expected, found, low, high, None if owner == NOBODY else owner)


def make_owners(owner: int | None) -> Owners:
    """One owner as an array."""
    return np.array([NOBODY if owner is None else owner], dtype=np.uint64)


def _list_blocks(level: _Level) -> Numbers:
    return level.edges.blocks
