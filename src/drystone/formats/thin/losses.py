"""Which parts of which thin devices are lost by damaged blocks, and which leaves are left; shared ones too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from drystone.formats.pdata.btree import (
    BATCH,
    LARGEST_KEY,
    Edges,
    find_faults,
    flatten,
    join_edges,
    make_root_edges,
    view_nodes,
)
from drystone.formats.pdata.damage import Damage
from drystone.formats.pdata.survey import Survey
from drystone.formats.thin.extents import Ranges
from drystone.formats.thin.findings import Affected
from drystone.formats.thin.mappings import MAPPINGS

_POINTER = "pointer to a child"
"""What a damage is about whose block is sound but for one pointer."""

MOST_EDGES = 20_000_000
"""Pointers that are looked at to tell who is hit. Damage that takes more of them is told of whole devices."""

Losses = dict[int, list[Affected]]
"""Damaged metadata block -> the parts of devices that cannot be read for it."""


def find_losses(survey: Survey, damages: Iterable[Damage], broken: Mapping[int, int]) -> Losses:
    """Which parts of which devices cannot be read, by the damaged block.

    A survey lists a damaged block that several devices share once. Here each device's own way to its damage is
    walked, and what lies beside it is not read. Devices of one root are walked once.

    :param survey: has visited these trees. :param damages: all that it found.
    :param broken: device id -> root of its mappings, of all devices that have damage.
    """
    damaged = {damage.block for damage in damages if damage.what != _POINTER}
    losses: Losses = {}
    known: dict[int, list[tuple[int, int, int]] | None] = {}
    left = MOST_EDGES
    for dev_id, root in broken.items():
        if root not in known:
            known[root], left = _find_lost_ranges(survey, damaged, root, left)
        ranges = known[root]
        for block, low, high in [(root, 0, LARGEST_KEY)] if ranges is None else ranges:
            part = Affected(dev_id, low, None if high >= LARGEST_KEY else high)
            losses.setdefault(block, []).append(part)
    return losses


def _find_lost_ranges(
    survey: Survey, damaged: set[int], root: int, budget: int
) -> tuple[list[tuple[int, int, int]] | None, int]:
    """(block at fault, first key, last key) of what is lost below `root`, ascending; None when that takes more than
    `budget` pointers. And what is left of the budget.
    """
    if not 0 < root < survey.limit or root in damaged:
        return [(root, 0, LARGEST_KEY)], budget
    torn = survey.visits.torn
    everywhere = not torn[root]  # a shared block does not fit below this tree, which says nothing of the block
    lost: list[tuple[int, int, int]] = []
    edges = make_root_edges(np.array([root], dtype=np.uint64))
    for height in range(int(survey.visits.heights[root]) - 1, -1, -1):
        doubtful: list[Edges] = []
        for begin in range(0, len(edges), BATCH):
            holders, children = _list_children(survey, edges[begin : begin + BATCH])
            budget -= len(children)
            if budget < 0:
                return None, 0
            safe, sound = _tell_sound(survey, children, height)
            faulty = np.isin(children.blocks, np.fromiter(damaged, dtype=np.uint64)) | (height == 0)
            gone = ~sound | (torn[safe] & faulty)
            at_fault = np.where(children.blocks < np.uint64(survey.limit), children.blocks, holders)
            columns = at_fault[gone].tolist(), children.lows[gone].tolist(), children.highs[gone].tolist()
            lost.extend(zip(*columns, strict=True))
            doubtful.append(children[~gone & (torn[safe] | everywhere)])
        edges = join_edges(doubtful)
    return sorted(lost, key=lambda each: each[1]), budget


def list_sound_leaves(survey: Survey, root: int) -> NDArray[np.uint64]:
    """Blocks of the leaves below `root` that are sound, in order of keys: not empty, and in the range of every node
    above them. Reads internal nodes only. Memory: 24 bytes a leaf.

    :param survey: has visited the tree, and knows what of it is sound.
    """
    visits = survey.visits
    if not 0 < root < survey.limit or not visits.entries[root]:
        return np.zeros(0, dtype=np.uint64)
    edges = make_root_edges(np.array([root], dtype=np.uint64))
    for height in range(int(visits.heights[root]) - 1, -1, -1):
        below: list[Edges] = []
        for begin in range(0, len(edges), BATCH):
            children = _list_children(survey, edges[begin : begin + BATCH])[1]
            safe, sound = _tell_sound(survey, children, height)
            below.append(children[sound & (visits.entries[safe] > 0)])
        edges = join_edges(below)
    return edges.blocks


def take_ranges(batches: Iterable[Ranges], most: int) -> tuple[list[tuple[int, int]], int]:
    """The first `most` of ranges that come in batches, (begin, length) each, and how many more there are."""
    taken: list[tuple[int, int]] = []
    more = 0
    for ranges in batches:
        room = max(most - len(taken), 0)
        taken += [(begin, length) for begin, length in ranges[:room].tolist()]
        more += len(ranges[room:])
    return taken, more


def _list_children(survey: Survey, edges: Edges) -> tuple[NDArray[np.uint64], Edges]:
    """All edges out of those nodes that are sound, and for each of them the node that holds it."""
    blocks = survey.reader.read_blocks(edges.blocks)
    nodes = view_nodes(blocks, MAPPINGS, leaf=False)
    if faults := find_faults(blocks, nodes, edges, leaf=False):
        sound = np.ones(len(nodes), dtype=np.bool_)
        sound[[fault.place for fault in faults]] = False
        edges, nodes = edges[sound], nodes[sound]
    keys, children = flatten(nodes)
    counts = nodes["nr_entries"].astype(np.int64)
    ends = np.repeat(edges.highs, counts)
    highs = np.minimum(np.append(keys[1:] - np.uint64(1), np.uint64(0))[: len(keys)], ends)
    if len(counts):
        highs[np.cumsum(counts) - 1] = edges.highs
    inside = keys <= ends
    return np.repeat(edges.blocks, counts)[inside], Edges(children, keys, highs)[inside]


def _tell_sound(survey: Survey, edges: Edges, height: int) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """The blocks that edges lead to, 0 for those that do not exist; and which are of mapping trees, of that height,
    and have no key out of the range of their edge, as far as they themselves tell: a leaf's, and a node's first.
    """
    visits = survey.visits
    known = edges.blocks < np.uint64(survey.limit)
    safe = np.where(known, edges.blocks, np.uint64(0))
    sound = known & (visits.kinds[safe] == visits.number_kind(MAPPINGS.name)) & (visits.heights[safe] == height)
    filled = visits.entries[safe] > 0
    sound &= ~filled | (visits.firsts[safe] >= edges.lows)
    if not height:
        sound &= ~filled | (visits.lasts[safe] <= edges.highs)
    return safe, sound
