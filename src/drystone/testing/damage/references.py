"""What refers to blocks, and how often space maps say that something does: of an image taken apart.

A judge of space maps that shares no code with our checks: the fuzzer and tests hold the checks against it.
"""

from __future__ import annotations

from collections import Counter
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from drystone.testing.damage import fields
from drystone.testing.damage.draft import make_draft
from drystone.testing.damage.sites import Anatomy

Which = Literal["metadata", "data"]

_TIME_BITS = 24
_MANY = 3
_PLACES = np.arange(fields.ENTRIES_A_BITMAP)
_AT, _SHIFT = fields.BITMAP_HEADER + _PLACES // 4, 2 * (_PLACES % 4)
_COUNTS = np.array(fields.RAW_COUNT)


def list_miscounted(anatomy: Anatomy, which: Which) -> list[int]:
    """Blocks whose count in the space map is not the number of references to them, ascending."""
    right, stored = count_references(anatomy, which), read_counts(anatomy, which)
    return sorted(block for block in right.keys() | stored.keys() if right.get(block, 0) != stored.get(block, 0))


def count_references(anatomy: Anatomy, which: Which) -> dict[int, int]:
    """Block -> references to it, where there are any: from the superblocks, nodes and indexes to metadata blocks; from
    leaves of mappings, each of which counts once however many devices share it, to data blocks.
    """
    if which == "metadata":
        return dict(anatomy.references)
    found: Counter[int] = Counter()
    draft = make_draft(anatomy.reader)
    for site in anatomy.sites.values():
        if site.part == "mapping tree" and site.leaf:
            begin, _ = fields.value_place(0, site.max_entries, fields.MAPPING)
            values = np.frombuffer(draft.read(site.block), dtype="<u8", count=site.nr_entries, offset=begin)
            found.update((values >> np.uint64(_TIME_BITS)).tolist())
    return dict(found)


def read_counts(anatomy: Anatomy, which: Which) -> dict[int, int]:
    """Block -> count as the space map has it, where that is not 0; of blocks beyond its end as well."""
    draft = make_draft(anatomy.reader)
    found: dict[int, int] = {}
    for number, bitmap in enumerate(anatomy.bitmaps[which]):
        raw: NDArray[np.uint8] = np.frombuffer(draft.read(bitmap), dtype=np.uint8)
        counts = _COUNTS[raw[_AT] >> _SHIFT & 3]
        used = np.flatnonzero(counts)
        found.update(zip((used + number * fields.ENTRIES_A_BITMAP).tolist(), counts[used].tolist(), strict=True))
    many: dict[int, int] = {}
    for site in anatomy.sites.values():
        if site.part == f"{which} counts" and site.leaf:
            for slot, key in enumerate(site.keys):
                many[key] = draft.get(site.block, fields.value_place(slot, site.max_entries, fields.COUNT))
    for block in many.keys() | {block for block, count in found.items() if count == _MANY}:
        # A count in the tree of a block that the bitmap counts by itself is as wrong as one that is missing there.
        found[block] = many.get(block, 0) if found.get(block) == _MANY else -1
    return found
