"""What every block of a sound image is, and who points to it: where damage can be done.

Memory is about a kilobyte a block in use: this is for drills and tests, not for the largest metadata there can be.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from drystone.base.errors import DamagedError
from drystone.formats.pdata.blocks import BLOCK, BlockReader, count_blocks
from drystone.formats.pdata.checksum import checksum_blocks
from drystone.testing.damage import fields
from drystone.testing.damage.fields import SALTS, Place, Shape, Values

LARGEST_KEY = (1 << 64) - 1
_LEAF = 2
_BATCH = 256
_NODE = struct.Struct("<IIQIIII")
_ARRAY = struct.Struct("<IIIIQ")


@dataclass(frozen=True, slots=True)
class Site:
    """One block in use, as it was reached first.

    :ivar part: what it belongs to: `mapping tree`, `data bitmap`; the same word for the nodes and leaves of a tree.
    :ivar leaf: a node is a leaf; False for every other shape. :ivar root: no node of its tree points to it.
    :ivar values: how a leaf's values, or an array's, are laid out.
    :ivar keys: of a node, in order. :ivar low: keys of a node are at least this. :ivar high: and at most this.
    :ivar nr_entries: in use, of a node or an array. :ivar max_entries: that fit.
    :ivar pointers: where in this block the numbers of others are, in order.
    :ivar owner: id of the thin device, or era of the writeset, that it was reached through; -1 for neither.
    :ivar held: it is reached through the metadata snapshot only.
    """

    block: int
    part: str
    shape: Shape
    leaf: bool = False
    root: bool = False
    values: Values = fields.POINTER
    keys: tuple[int, ...] = ()
    low: int = 0
    high: int = LARGEST_KEY
    nr_entries: int = 0
    max_entries: int = 0
    pointers: tuple[Place, ...] = ()
    owner: int = -1
    held: bool = False


@dataclass(slots=True)
class Anatomy:
    """A sound image taken apart.

    :ivar reader: the image. :ivar limit: blocks there are. :ivar superblock: the shape of block 0.
    :ivar sites: block -> what it is, in the order of reaching.
    :ivar bitmaps: of each space map (`metadata`, `data`) the blocks of its bitmaps, in order.
    :ivar indexes: of each space map, for each bitmap: the block and offset of the index entry that leads to it.
    :ivar references: block -> how often another block in use points to it.
    """

    reader: BlockReader
    limit: int
    superblock: Shape
    sites: dict[int, Site] = field(default_factory=dict)
    bitmaps: dict[str, list[int]] = field(default_factory=dict)
    indexes: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    references: Counter[int] = field(default_factory=Counter)

    def list_sites(self, fits: Callable[[Site], bool]) -> list[Site]:
        """The sites that fit, by block."""
        return sorted((each for each in self.sites.values() if fits(each)), key=lambda each: each.block)


@dataclass(frozen=True, slots=True)
class Tree:
    """A btree to walk.

    :ivar values: of its leaves. :ivar owner: see Site. :ivar held: see Site.
    """

    part: str
    values: Values
    owner: int = -1
    held: bool = False


def read_checked(reader: BlockReader, blocks: Iterable[int], shape: Shape, part: str) -> Iterator[tuple[int, bytes]]:
    """The bytes of these blocks, which must exist and have the checksum of their shape.

    :raises DamagedError: they have not: damage is done to sound images only.
    """
    numbers = list(blocks)
    limit = count_blocks(reader)
    for number in numbers:
        if not 0 <= number < limit:
            raise _refuse(number, part, f"a block below {limit}")
    for begin in range(0, len(numbers), _BATCH):
        some = numbers[begin : begin + _BATCH]
        found = reader.read_blocks(np.array(some, dtype=np.uint64))
        right = checksum_blocks(found, SALTS[shape])
        for number, content, checksum in zip(some, found, right.tolist(), strict=True):
            data = content.tobytes()
            if int.from_bytes(data[:4], "little") != checksum:
                raise _refuse(number, part, f"the checksum of a {shape}")
            yield number, data


def walk_tree(anatomy: Anatomy, root: int, tree: Tree) -> list[tuple[int, int]]:
    """Add the nodes of a tree to the sites; the pointers that its leaves' values hold, as (key, block), in order.

    Nodes that are there already are not walked again, and their pointers are not given out again; that they are
    referred to once more is counted.

    :raises DamagedError: it is not sound.
    """
    found: list[tuple[int, int]] = []
    level = [(root, 0, LARGEST_KEY)]
    first = True
    while level:
        fresh: dict[int, tuple[int, int]] = {}
        for block, low, high in level:
            anatomy.references[block] += 1
            if block not in anatomy.sites:
                fresh.setdefault(block, (low, high))
        level = []
        for block, data in read_checked(anatomy.reader, fresh, "node", tree.part):
            site = _read_node(block, data, tree, *fresh[block], root=first)
            anatomy.sites[block] = site
            targets = [int.from_bytes(data[at : at + size], "little") for at, size in site.pointers]
            if site.leaf:
                found.extend(zip(site.keys, targets, strict=False))
            else:
                highs = [key - 1 for key in site.keys[1:]] + [site.high]
                level.extend(zip(targets, site.keys, highs, strict=True))
        first = False
    return found


def walk_array(anatomy: Anatomy, root: int, part: str, values: Values, *, owner: int = -1, held: bool = False) -> None:
    """Add an array's tree (`PART tree`) and its blocks (`PART`) to the sites.

    :raises DamagedError: it is not sound.
    """
    leaves = walk_tree(anatomy, root, Tree(f"{part} tree", fields.POINTER, owner, held))
    keys = {block: key for key, block in leaves}
    for _, block in leaves:
        anatomy.references[block] += 1
    fresh = [block for _, block in leaves if block not in anatomy.sites]
    for block, data in read_checked(anatomy.reader, fresh, "array", part):
        _, most, count, size, _ = _ARRAY.unpack_from(data)
        if size != values.size or count > most:
            raise _refuse(block, part, f"an array of values of {values.size} bytes")
        anatomy.sites[block] = Site(
            block,
            part,
            "array",
            values=values,
            low=keys[block],
            high=keys[block],
            nr_entries=count,
            max_entries=most,
            owner=owner,
            held=held,
        )


def add_superblock(anatomy: Anatomy, block: int, roots: Iterable[str], *, held: bool) -> bytes:
    """Add a superblock, whose fields `roots` lead on; its bytes.

    :raises DamagedError: it is none.
    """
    shape = anatomy.superblock
    part = "metadata snapshot" if held else "superblock"
    _, data = next(read_checked(anatomy.reader, [block], shape, part))
    places = tuple(fields.FIELDS[shape][name] for name in roots)
    anatomy.sites[block] = Site(block, part, shape, root=True, pointers=places, held=held)
    anatomy.references[block] += 1
    return data


def walk_metadata_map(anatomy: Anatomy, index: int, nr_blocks: int, counts: int) -> None:
    """Add the metadata's space map: its index, its bitmaps, its tree of counts.

    :raises DamagedError: it is not sound.
    """
    bitmaps = -(-nr_blocks // fields.ENTRIES_A_BITMAP)
    offsets = [fields.INDEX_HEADER + fields.INDEX_ENTRY * place for place in range(bitmaps)]
    _, data = next(read_checked(anatomy.reader, [index], "index", "metadata index"))
    pointers = tuple((offset, 8) for offset in offsets)
    anatomy.sites[index] = Site(index, "metadata index", "index", root=True, nr_entries=bitmaps, pointers=pointers)
    anatomy.references[index] += 1
    found = [int.from_bytes(data[at : at + 8], "little") for at in offsets]
    _add_bitmaps(anatomy, "metadata", found, [(index, at) for at in offsets])
    walk_tree(anatomy, counts, Tree("metadata counts", fields.COUNT))


def walk_data_map(anatomy: Anatomy, index: int, counts: int) -> None:
    """Add the data's space map: the tree of index entries, the bitmaps, the tree of counts.

    :raises DamagedError: it is not sound.
    """
    leaves = walk_tree(anatomy, index, Tree("data index", fields.INDEX_VALUE))
    entries = [
        (site.block, at)
        for site in anatomy.sites.values()
        if site.part == "data index" and site.leaf
        for at, _ in site.pointers
    ]
    _add_bitmaps(anatomy, "data", [block for _, block in leaves], entries)
    walk_tree(anatomy, counts, Tree("data counts", fields.COUNT))


def _add_bitmaps(anatomy: Anatomy, which: str, blocks: list[int], entries: list[tuple[int, int]]) -> None:
    part = f"{which} bitmap"
    for block, _ in read_checked(anatomy.reader, blocks, "bitmap", part):
        anatomy.sites[block] = Site(block, part, "bitmap")
        anatomy.references[block] += 1
    anatomy.bitmaps[which] = blocks
    anatomy.indexes[which] = entries


def _read_node(block: int, data: bytes, tree: Tree, low: int, high: int, *, root: bool) -> Site:
    _, flags, _, count, most, size, _ = _NODE.unpack_from(data)
    leaf = flags == _LEAF
    values = tree.values if leaf else fields.POINTER
    if size != values.size or count > most or fields.NODE_HEADER + (8 + size) * most > BLOCK:
        raise _refuse(block, tree.part, f"a node with values of {values.size} bytes")
    keys = struct.unpack_from(f"<{count}Q", data, fields.NODE_HEADER)
    begin = values.pointer
    pointers = (
        () if begin is None else tuple((fields.value_place(slot, most, values)[0] + begin, 8) for slot in range(count))
    )
    return Site(
        block,
        tree.part,
        "node",
        leaf=leaf,
        root=root,
        values=values,
        keys=keys,
        low=low,
        high=high,
        nr_entries=count,
        max_entries=most,
        pointers=pointers,
        owner=tree.owner,
        held=tree.held,
    )


def _refuse(block: int, part: str, expected: str) -> DamagedError:
    return DamagedError(
        f"block {block}: {part} is damaged already, expected {expected}",
        hint="damage is done to sound metadata only",
        block=block,
        what=part,
        expected=expected,
        found="something else",
    )
