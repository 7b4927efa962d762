"""Small era metadata images out of lists and sets, for tests: valid to the kernel's own rules, space map included.

    write_era_metadata([1, 2, 2, 0], {3: {0, 2}}, current={1}, current_era=4)

has four blocks with those eras in the array, an archived writeset of era 3 with blocks 0 and 2, and a current writeset
of era 4 with block 1. Written without the writers of `formats`, so that tests of those and of the readers have
something else to hold on to.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from drystone.formats.era import layout
from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.checksum import ARRAY_BLOCK, BITMAP, ERA_SUPERBLOCK, INDEX_BLOCK
from drystone.formats.pdata.layout import INTERNAL, LEAF, count_max_entries
from drystone.testing.thin_metadata import ENTRIES_A_BITMAP, seal_block, seal_node

Writesets = Mapping[int, Collection[int]]
"""Era -> blocks whose bits are set."""

ERAS_A_BLOCK = 1018
WORDS_A_BLOCK = 509
"""Entries of an array block: (4096 - 24) bytes of u32 or u64."""

_RAW_COUNT = (0, 2, 1, 3)
"""A count of 0, 1, 2, or more, as the two bits of a bitmap: the high bit is stored first."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a metadata snapshot shows.

    :ivar current_root: what its superblock says of a current writeset; whoever reads that is wrong.
    """

    eras: Sequence[int]
    writesets: Writesets
    current_era: int
    current_root: int = 1


@dataclass(slots=True)
class _Image:
    """Blocks being made, how often each is referred to, and where blocks of the same owner and content are."""

    fan_out: int
    nr_bits: Mapping[int, int]
    blocks: list[bytes] = field(default_factory=list)
    counts: Counter[int] = field(default_factory=Counter)
    known: dict[tuple[object, ...], int] = field(default_factory=dict)

    def allocate(self) -> int:
        """The number of one more block, all zeros for now."""
        self.blocks.append(bytes(BLOCK))
        return len(self.blocks) - 1

    def put_tree(self, owner: str, values: Mapping[int, bytes], size: int, roots: Sequence[int] = ()) -> int:
        """The root of a btree of values of `size` bytes, which refer to the blocks `roots`."""
        wide = min(self.fan_out, count_max_entries(size))
        level: list[tuple[int, int]] = []
        keys = sorted(values)
        fresh: set[int] = set()
        for leaf in _cut(keys, wide) or [[]]:
            number = self._put_node(owner, LEAF, leaf, [values[key] for key in leaf], size, fresh)
            level.append((leaf[0] if leaf else 0, number))
            if number in fresh and roots:
                self.counts.update(roots[keys.index(key)] for key in leaf)
        while len(level) > 1:
            above: list[tuple[int, int]] = []
            for group in _cut(range(len(level)), min(self.fan_out, count_max_entries(8))):
                children = [level[place] for place in group]
                pointers = [struct.pack("<Q", at) for _, at in children]
                number = self._put_node(owner, INTERNAL, [key for key, _ in children], pointers, 8, fresh)
                above.append((children[0][0], number))
                if number in fresh:
                    self.counts.update(at for _, at in children)
            level = above
        return level[0][1]

    def put_array(self, owner: str, values: bytes, size: int) -> int:
        """The root of an array of values of `size` bytes each."""
        most = (BLOCK - 24) // size
        places: dict[int, bytes] = {}
        roots: list[int] = []
        for index, begin in enumerate(range(0, len(values), most * size)):
            part = values[begin : begin + most * size]
            identity = (owner, index, part)
            number = self.known.get(identity)
            if number is None:
                number = self.known[identity] = self.allocate()
                head = struct.pack("<IIIIQ", 0, most, len(part) // size, size, number)
                self.blocks[number] = seal_block((head + part).ljust(BLOCK, b"\0"), ARRAY_BLOCK)
            places[index] = struct.pack("<Q", number)
            roots.append(number)
        return self.put_tree(owner, places, 8, roots)

    def put_bitset(self, owner: str, blocks: Collection[int], nr_bits: int) -> int:
        """The root of a bitset."""
        bits = np.zeros(-(-nr_bits // 64) * 64, dtype=np.uint8)
        bits[list(blocks)] = 1
        return self.put_array(owner, np.packbits(bits, bitorder="little").tobytes(), 8)

    def put_writesets(self, writesets: Writesets, nr_blocks: int) -> int:
        """The root of the tree of archived writesets."""
        values: dict[int, bytes] = {}
        roots: list[int] = []
        for era, blocks in sorted(writesets.items()):
            nr_bits = self.nr_bits.get(era, nr_blocks)
            roots.append(self.put_bitset(f"writeset {era}", blocks, nr_bits))
            values[era] = struct.pack("<IQ", nr_bits, roots[-1])
        return self.put_tree("writesets", values, 12, roots)

    def put_state(self, eras: Sequence[int], writesets: Writesets) -> tuple[int, int]:
        """Roots of the writeset tree and of the era array, each counted once."""
        roots = (
            self.put_writesets(writesets, len(eras)),
            self.put_array("array", np.array(eras, dtype="<u4").tobytes(), 4),
        )
        self.counts.update(roots)
        return roots

    def _put_node(
        self, owner: str, flags: int, keys: Sequence[int], values: Sequence[bytes], size: int, fresh: set[int]
    ) -> int:
        """The block of that node; added to `fresh` when it was not there before."""
        identity = (owner, flags, tuple(keys), tuple(values))
        number = self.known.get(identity)
        if number is None:
            number = self.known[identity] = self.allocate()
            self.blocks[number] = seal_node(flags, number, keys, values, size)
            fresh.add(number)
        return number


def write_era_metadata(
    eras: Sequence[int],
    writesets: Writesets | None = None,
    *,
    current_era: int = 1,
    current: Collection[int] | None = None,
    held: Held | None = None,
    nr_bits: Mapping[int, int] | None = None,
    data_block_size: int = 128,
    flags: int = 0,
    uuid: bytes = bytes(16),
    nr_metadata_blocks: int | None = None,
    fan_out: int = 252,
) -> bytes:
    """The bytes of a metadata device.

    :param eras: the era array, an entry a data block. :param writesets: the archived ones.
    :param current: blocks written in the current era; None when there is no current writeset, as after a suspend.
    :param held: what the metadata snapshot shows; blocks that are equal to the live ones are shared.
    :param nr_bits: era -> bits of its writeset, where that differs from the number of blocks.
    :param data_block_size: sectors. :param nr_metadata_blocks: as many as needed and some free ones by default.
    :param fan_out: entries of a tree's node at most; the kernel keeps non-root nodes a third full.
    """
    image = _Image(fan_out, nr_bits or {})
    image.allocate()
    image.counts[0] += 1
    held_roots = None if held is None else image.put_state(held.eras, held.writesets)
    roots = image.put_state(eras, writesets or {})
    current_bits, current_root = 0, 0
    if current is not None:
        current_bits = image.nr_bits.get(current_era, len(eras))
        current_root = image.put_bitset(f"writeset {current_era}", current, current_bits)
        image.counts[current_root] += 1
    clone = 0
    if held_roots is not None:
        clone = image.allocate()
        image.counts[clone] += 1
    space_map = _put_space_map(image, nr_metadata_blocks)
    common = (flags, uuid, space_map, data_block_size)
    live = (len(eras), current_era, current_bits, current_root, *roots, clone)
    image.blocks[0] = _seal_superblock(0, *common, live)
    if held is not None and held_roots is not None:
        shown = (len(held.eras), held.current_era, len(held.eras), held.current_root, *held_roots, 0)
        image.blocks[clone] = _seal_superblock(clone, *common, shown)
    free = struct.unpack_from("<Q", space_map)[0] - len(image.blocks)
    return b"".join(image.blocks) + bytes(BLOCK * free)


def _cut(keys: Sequence[int], wide: int) -> list[list[int]]:
    """Pieces of at most `wide` keys, of nearly the same length, so that no node is emptier than it need be."""
    pieces = -(-len(keys) // wide)
    return [list(keys[len(keys) * i // pieces : len(keys) * (i + 1) // pieces]) for i in range(pieces)]


def _put_space_map(image: _Image, nr_blocks: int | None) -> bytes:
    """Comes last: it counts every other block, and its own, which are referred to once each. Its root, 32 bytes."""
    total = len(image.blocks) + 64 if nr_blocks is None else nr_blocks
    index = image.allocate()
    places = [image.allocate() for _ in range(-(-total // ENTRIES_A_BITMAP))]
    image.counts.update((index, *places))
    many = {block: struct.pack("<I", count) for block, count in image.counts.items() if count >= 3}
    counts_root = image.put_tree("counts", many, 4)
    image.counts[counts_root] += 1
    if len(image.blocks) > total:
        raise ValueError(f"the image needs {len(image.blocks)} blocks, {total} were allowed")
    entries: list[bytes] = []
    for number, place in enumerate(places):
        begin = number * ENTRIES_A_BITMAP
        size = min(ENTRIES_A_BITMAP, total - begin)
        here = np.zeros(ENTRIES_A_BITMAP, dtype=np.uint8)
        for block in range(begin, min(begin + size, len(image.blocks))):
            here[block - begin] = _RAW_COUNT[min(image.counts[block], 3)]
        pairs = here.reshape(-1, 4) << np.array([0, 2, 4, 6], dtype=np.uint8)
        body = struct.pack("<IIQ", 0, 0, place) + np.bitwise_or.reduce(pairs, axis=1).tobytes()
        image.blocks[place] = seal_block(body, BITMAP)
        free = np.flatnonzero(here[:size] == 0)
        entries.append(struct.pack("<QII", place, len(free), int(free[0]) if len(free) else size))
    body = struct.pack("<IIQ", 0, 0, index) + b"".join(entries)
    image.blocks[index] = seal_block(body.ljust(BLOCK, b"\0"), INDEX_BLOCK)
    return struct.pack("<QQQQ", total, len(image.counts), index, counts_root)


def _seal_superblock(
    location: int, flags: int, uuid: bytes, space_map: bytes, data_block_size: int, rest: Sequence[int]
) -> bytes:
    body = layout.SUPERBLOCK.pack(
        0,
        flags,
        location,
        uuid,
        layout.MAGIC,
        layout.VERSION,
        space_map,
        data_block_size,
        layout.METADATA_BLOCK_SECTORS,
        *rest,
    )
    return seal_block(body.ljust(BLOCK, b"\0"), ERA_SUPERBLOCK)
