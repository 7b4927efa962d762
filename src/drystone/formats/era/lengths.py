"""How long an array is by its own blocks, held against the length that is stored elsewhere: for reading past damage.

The superblock has the number of data blocks, the writeset tree the number of bits of each bitset. One that is too low
would leave out blocks without a word, and a write with them; so the array itself is believed, when it has more.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from drystone.base.errors import DamagedError
from drystone.formats.era import layout
from drystone.formats.era.eras import ERA
from drystone.formats.era.superblock import Superblock
from drystone.formats.era.writesets import Writeset
from drystone.formats.pdata.array_blocks import find_array_faults, view_array_blocks
from drystone.formats.pdata.blocks import MOST_BLOCKS, BlockReader, count_blocks
from drystone.formats.pdata.btree import LARGEST_KEY, TreeKind, descend, flatten
from drystone.formats.pdata.damage import Damage
from drystone.formats.pdata.layout import POINTER, WORD, WORD_BITS, count_array_entries


def measure_array(reader: BlockReader, value: np.dtype[Any], root: int) -> int | None:
    """Entries of the array at `root` up to its last one; None when the way there is damaged. Reads that way only."""
    try:
        keys, pointers = flatten(descend(reader, TreeKind("array", POINTER), root, LARGEST_KEY)[-1][1])
    except DamagedError:
        return None
    if not len(keys):
        return 0
    last = pointers[-1:].astype(np.uint64)
    if not 0 < int(last[0]) < count_blocks(reader):
        return None
    block = reader.read_blocks(last)
    if find_array_faults(block, value, last, None):
        return None
    entries = int(view_array_blocks(block, value)["nr_entries"][0])
    return int(keys[-1]) * count_array_entries(value.itemsize) + entries


def correct_nr_blocks(reader: BlockReader, superblock: Superblock) -> tuple[Superblock, list[Damage], list[str]]:
    """The superblock with a number of data blocks that leaves none out and can be; what is wrong with the one that it
    has, and what was assumed, a line each.
    """
    stored = superblock.nr_blocks
    capacity = max(count_blocks(reader), min(superblock.metadata_space_map.nr_blocks, MOST_BLOCKS))
    most = min(capacity * count_array_entries(ERA.itemsize), layout.MOST_DATA_BLOCKS)
    measured = measure_array(reader, ERA, superblock.era_array_root)
    if measured is not None and stored < measured <= most:
        damage = Damage(superblock.location, "superblock", "number of data blocks", measured, stored)
        return replace(superblock, nr_blocks=measured), [damage], []
    if stored <= most:
        return superblock, [], []
    taken = measured if measured is not None and 0 < measured <= most else most
    return replace(superblock, nr_blocks=taken), [], [f"{stored} data blocks are not possible, {taken} are taken"]


def correct_nr_bits(reader: BlockReader, writeset: Writeset) -> Writeset:
    """The writeset with a number of bits that leaves none out: the same one, when its bitset has not more words."""
    words = measure_array(reader, WORD, writeset.root)
    if words is None or words <= -(-writeset.nr_bits // WORD_BITS) or words * WORD_BITS > layout.MOST_BITS:
        return writeset
    return replace(writeset, nr_bits=words * WORD_BITS)
