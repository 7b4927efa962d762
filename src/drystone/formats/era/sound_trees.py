"""The trees of era metadata that is sound, read without numpy; see trees.py.

Sound here is narrower than what a check lets pass: every block has one reference, every node is a third full, every
sum of the space map fits. All else is Unusual, and for SurveyedTrees to tell. Each rule of theirs must have its like
here, or one that is stricter: tests and the fuzzer hold the two against each other.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterator, Sequence
from typing import NoReturn

from drystone.formats.era import layout
from drystone.formats.era.array import read_array_blocks
from drystone.formats.era.spans import SpanReader
from drystone.formats.era.superblock import Superblock
from drystone.formats.era.trees import LateEra
from drystone.formats.era.writesets import PLAIN_TREE, Writeset, count_words
from drystone.formats.pdata import native
from drystone.formats.pdata.blocks import BLOCK, BlockReader, count_blocks
from drystone.formats.pdata.checksum import BITMAP, INDEX_BLOCK
from drystone.formats.pdata.damage import Damage
from drystone.formats.pdata.geometry import (
    BITMAP_HEADER,
    ENTRIES_A_BITMAP,
    INDEX_VALUE,
    MOST_BITMAPS,
    count_array_entries,
    count_max_entries,
)
from drystone.formats.pdata.nodes import POINTER, Edge, Node, PlainTree, iter_nodes, read_nodes
from drystone.formats.pdata.spacemap import SpaceMapRoot

AT_ONCE = 128
"""Writesets that are looked at together, and array blocks that are read at once."""

_FEW = 64
"""Array blocks of a bitset at most (two million bits) that is checked together with others."""

_BITMAPS_AT_ONCE = 32
_WORDS = count_array_entries(layout.WORD_SIZE)
_BITSET = PlainTree("bitset")
_COUNTS = PlainTree("counts of the metadata space map", struct.Struct("<I"))


class Unusual(Exception):  # noqa: N818  # nothing need be wrong
    """Something is not as it is in most metadata; SurveyedTrees can say what. See also DamagedError."""


class SoundTrees:
    """See Trees. Everything that reads raises Unusual or DamagedError where something is odd; nothing is listed.

    Memory: a byte for each metadata block, and what nodes.py takes.
    """

    damages: Sequence[Damage] = ()
    remarks: Sequence[Damage] = ()
    notes: Sequence[Damage] = ()

    def __init__(self, reader: BlockReader) -> None:
        self.reader = reader
        self.limit = count_blocks(reader)
        self._spans = SpanReader(reader)
        self._used = bytearray(self.limit)

    def report(self, damage: Damage) -> NoReturn:
        raise Unusual(damage.describe())

    def count_block(self, number: int, name: str) -> None:
        if self._used[number]:
            raise Unusual(f"a second reference to block {number}, {name}")
        self._used[number] = 1

    def iter_writesets(self, root: int) -> Iterator[list[Writeset]]:
        for leaf in self._iter_leaves(PLAIN_TREE, root):
            pairs = zip(leaf.keys, leaf.values, strict=True)
            yield [Writeset(era, nr_bits, bitset) for era, (nr_bits, bitset) in pairs]

    def count_writesets(self, writesets: Sequence[Writeset]) -> None:
        small = [each for each in writesets if -(-count_words(each) // _WORDS) <= _FEW]
        for begin in range(0, len(small), AT_ONCE):
            self._count_small(small[begin : begin + AT_ONCE])
        for each in writesets:
            if -(-count_words(each) // _WORDS) > _FEW:
                for _ in self._iter_array(each.name, layout.WORD_SIZE, each.root, count_words(each)):
                    pass

    def iter_late_eras(self, superblock: Superblock) -> Iterator[LateEra]:
        root, length = superblock.era_array_root, superblock.nr_blocks
        for begin, eras in self._iter_array("era array", layout.ERA_SIZE, root, length):
            place, count = native.find_above(eras, superblock.current_era)
            if count:
                era = int.from_bytes(eras[place * layout.ERA_SIZE :][: layout.ERA_SIZE], "little")
                yield LateEra(begin + place, era, count - 1)

    def check_space_map(self, root: SpaceMapRoot) -> None:
        if root.nr_blocks > self.limit:
            raise Unusual("the space map is longer than the device")
        for leaf in self._iter_leaves(_COUNTS, root.ref_count_root):
            if leaf.keys:
                raise Unusual("there are blocks with three references")
        numbers, entries = self._read_index(root)
        for begin in range(0, len(numbers), _BITMAPS_AT_ONCE):
            data = self.reader.read_bytes(numbers[begin : begin + _BITMAPS_AT_ONCE])
            for place in range(len(data) // BLOCK):
                bitmap = begin + place
                block = data[place * BLOCK : (place + 1) * BLOCK]
                _check_head(block, numbers[bitmap], BITMAP)
                self._check_bitmap(root, bitmap, block[BITMAP_HEADER.size :], *entries[bitmap])
        if self._used.count(1, 0, root.nr_blocks) != root.nr_allocated or 1 in self._used[root.nr_blocks :]:
            raise Unusual("another number of blocks is in use")

    def _read_index(self, root: SpaceMapRoot) -> tuple[list[int], list[tuple[int, int]]]:
        """Where the bitmaps are, and what the index says of each: how many of its places are free, and from where on.
        Counts them and the index.
        """
        self._count([root.bitmap_root], "index of the space map")
        bitmaps = -(-root.nr_blocks // ENTRIES_A_BITMAP)
        if bitmaps > MOST_BITMAPS:
            raise Unusual("more bitmaps than fit the index")
        block = self.reader.read_bytes([root.bitmap_root])
        _check_head(block, root.bitmap_root, INDEX_BLOCK)
        plain = block[BITMAP_HEADER.size : BITMAP_HEADER.size + bitmaps * INDEX_VALUE.size]
        rows = list(INDEX_VALUE.iter_unpack(plain))
        numbers = [row[0] for row in rows]
        self._count(numbers, "bitmap")
        return numbers, [(row[1], row[2]) for row in rows]

    def _check_bitmap(self, root: SpaceMapRoot, bitmap: int, bits: memoryview, nr_free: int, before: int) -> None:
        """Whether it says of its blocks what was counted, of places beyond the last block nothing, and whether the two
        sums of its index entry fit.
        """
        begin = bitmap * ENTRIES_A_BITMAP
        here = min(ENTRIES_A_BITMAP, root.nr_blocks - begin)
        used = bytes(self._used[begin : begin + here]).ljust(ENTRIES_A_BITMAP, b"\0")
        if bits != _pack_counts(used):
            raise Unusual(f"bitmap {bitmap} has other counts")
        free = used.count(0)
        first = used.find(0) if free else ENTRIES_A_BITMAP
        if nr_free not in {free, free - (ENTRIES_A_BITMAP - here)} or before > first:
            raise Unusual(f"the index entry of bitmap {bitmap} does not fit")

    def _count_small(self, writesets: Sequence[Writeset]) -> None:
        """Check bitsets of one node each together: nodes and array blocks lie beside those of the next."""
        edges = [Edge(each.root) for each in writesets]
        self._count([edge.block for edge in edges], "root of a bitset")
        blocks: list[tuple[int, int]] = []
        for node, each in zip(read_nodes(self._spans, _BITSET, edges, leaf=True, root=True), writesets, strict=True):
            words = count_words(each)
            if node.keys != tuple(range(-(-words // _WORDS))):
                raise Unusual("other blocks than a bitset of this length has")
            blocks += [
                (number, min(_WORDS, words - key * _WORDS))
                for key, (number,) in zip(node.keys, node.values, strict=True)
            ]
        self._count([number for number, _ in blocks], "block of a bitset")
        blocks.sort()
        for begin in range(0, len(blocks), AT_ONCE):
            numbers, sizes = zip(*blocks[begin : begin + AT_ONCE], strict=True)
            data = self._spans.read_bytes(numbers)
            if native.find_array_faults(data, array("Q", numbers), array("Q", sizes), layout.WORD_SIZE):
                raise Unusual("a damaged block of a bitset")

    def _iter_array(self, name: str, size: int, root: int, length: int) -> Iterator[tuple[int, bytes]]:
        """The entries of an array, from which on, many blocks at a time."""
        per_block = count_array_entries(size)
        due, blocks = 0, -(-length // per_block)
        for leaf in self._iter_leaves(PlainTree(name), root):
            if leaf.keys != tuple(range(due, min(due + len(leaf.keys), blocks))):
                raise Unusual(f"{name}: other blocks than an array of this length has")
            pointers = [pointer for (pointer,) in leaf.values]
            self._count(pointers, name)
            for place in range(0, len(pointers), AT_ONCE):
                begin = (due + place) * per_block
                entries = min(len(pointers[place : place + AT_ONCE]) * per_block, length - begin)
                yield begin, read_array_blocks(self.reader, name, size, pointers[place : place + AT_ONCE], entries)
            due += len(pointers)
        if due != blocks:
            raise Unusual(f"{name}: another number of blocks than an array of this length has")

    def _iter_leaves(self, tree: PlainTree, root: int) -> Iterator[Node]:
        """Leaves in the order of their keys; all nodes are counted."""
        for height, node in iter_nodes(self.reader, tree, root):
            self._count([node.block], tree.name)
            most = count_max_entries((POINTER if height else tree.value).size)
            if node.block != root and len(node.keys) < most // 3:
                raise Unusual(f"{tree.name}: less than a third full")
            if not height:
                yield node

    def _count(self, numbers: Sequence[int], name: str) -> None:
        """Count a reference to each of these blocks, which must be there and no superblock."""
        for number in numbers:
            if not 0 < number < self.limit:
                raise Unusual(f"{name}: a pointer to nowhere")
            self.count_block(number, name)


def _check_head(block: memoryview, number: int, salt: int) -> None:
    csum, _, location = BITMAP_HEADER.unpack_from(block)
    if native.sum_blocks(block, salt) != csum.to_bytes(4, sys.byteorder) or location != number:
        raise Unusual(f"block {number} is damaged")


def _pack_counts(used: bytes) -> bytes:
    """A bitmap of counts of 0 and 1, given as bytes: two bits each, the high one first, four counts a byte."""
    fours = (int.from_bytes(used[place::4], "little") << 2 * place + 1 for place in range(4))
    return sum(fours).to_bytes(len(used) // 4, "little")
