"""Writesets: which blocks were written in an era, a bit a block.

Archived ones wait in a tree, by era, to be digested into the era array by the kernel, the oldest first. The current
one belongs to the current era, and is committed before the first write to a block is let through.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from drystone.formats.era import layout
from drystone.formats.era.array import OpenArray, Ranges
from drystone.formats.era.superblock import Superblock
from drystone.formats.pdata.blocks import BlockReader, count_blocks
from drystone.formats.pdata.damage import describe_damage
from drystone.formats.pdata.geometry import WORD_BITS
from drystone.formats.pdata.nodes import PlainTree, iter_nodes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TREE_NAME = "writeset tree"
PLAIN_TREE = PlainTree(TREE_NAME, layout.WRITESET_VALUE)


@dataclass(frozen=True, slots=True)
class Writeset:
    """The blocks written in one era.

    :ivar nr_bits: data blocks that there were then; the device may have been resized since.
    :ivar root: metadata block of the root of the bitset, an array of 64-bit words, lowest bit first.
    :ivar current: whether it is the live superblock's, of the current era.
    """

    era: int
    nr_bits: int
    root: int
    current: bool = False

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"current writeset of era {self.era}" if self.current else f"writeset of era {self.era}"


def iter_archived(reader: BlockReader, superblock: Superblock) -> Iterator[Writeset]:
    """The archived writesets, the oldest first.

    :raises DamagedError: a damaged node, an era of more than 32 bits, or more writesets than there are metadata blocks:
        each has at least one of its own.
    """
    count, most = 0, count_blocks(reader)
    for height, node in iter_nodes(reader, PLAIN_TREE, superblock.writeset_tree_root):
        if height or not node.keys:
            continue
        count += len(node.keys)
        for what, largest, found in (
            ("number of writesets", most, count),
            (f"era in the {TREE_NAME}", layout.LARGEST_ERA, node.keys[-1]),
        ):
            if found > largest:
                due = f"at most {largest}"
                raise describe_damage(superblock.writeset_tree_root, what, expected=due, found=found)
        for era, (nr_bits, root) in zip(node.keys, node.values, strict=True):
            yield Writeset(era, nr_bits, root)


def get_current(superblock: Superblock) -> Writeset | None:
    """The current writeset; None when there is none, and for a metadata snapshot, which does not hold it."""
    if not superblock.live or not superblock.current_root:
        return None
    return Writeset(superblock.current_era, superblock.current_nr_bits, superblock.current_root, current=True)


def read_writesets(reader: BlockReader, superblock: Superblock) -> list[Writeset]:
    """All writesets that count: the archived ones, the oldest first, then the current one of a live superblock.

    :raises DamagedError: see iter_archived.
    """
    found = list(iter_archived(reader, superblock))
    current = get_current(superblock)
    return found if current is None else [*found, current]


def count_words(writeset: Writeset) -> int:
    """Words of its bitset."""
    return -(-writeset.nr_bits // WORD_BITS)


def open_bitset(open_: OpenArray, writeset: Writeset) -> Ranges:
    """The words of a writeset, to be read in ranges."""
    from drystone.formats.pdata.layout import WORD

    return open_(writeset.name, WORD, writeset.root, count_words(writeset))


def get_bits(words: NDArray[np.uint64], count: int) -> NDArray[np.bool_]:
    """`count` bits; those that `words` does not have are 0."""
    import numpy as np

    plain = np.ascontiguousarray(words).view(np.uint8)
    bits = np.unpackbits(plain, count=min(count, 8 * len(plain)), bitorder="little").view(np.bool_)
    return bits if len(bits) == count else np.append(bits, np.zeros(count - len(bits), dtype=np.bool_))
