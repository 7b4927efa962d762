"""Small thin metadata images out of dictionaries, for tests: valid to the kernel's own rules, space maps included.

    write_thin_metadata({1: {0: 100, 1: 101}, 2: {0: 100}})   device 1 maps block 0 to data block 100, and so on

Nodes of the same content are one block, referred to several times, which is how snapshots share subtrees. A small
`fan_out` makes trees of several levels out of a few mappings; nodes are then emptier than the kernel leaves them,
which checkers that look for underfull nodes remark on.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.checksum import BITMAP, BTREE_NODE, INDEX_BLOCK, THIN_SUPERBLOCK, checksum_block
from drystone.formats.pdata.layout import INTERNAL, LEAF, count_max_entries
from drystone.formats.pdata.spacemap import ROOT, SpaceMapRoot
from drystone.formats.thin import layout

BlockMap = Mapping[int, int | tuple[int, int]]
"""Virtual block -> data block, or -> (data block, time); time is 0 when not given."""

Details = tuple[int, int, int]
"""Transaction id, creation time and snapshotted time of a device."""

Holds = Literal["roots", "mappings", "other"]
"""What a tree's leaves hold: references to metadata blocks, to data blocks, or to nothing."""

ENTRIES_A_BITMAP = 16320
_FULL = count_max_entries(8)
_RAW_COUNT = (0, 2, 1, 3)
"""A count of 0, 1, 2, or more, as the two bits of a bitmap: the high bit is stored first."""


@dataclass(slots=True)
class _Node:
    """A block that is not yet at its place: the node's number is filled in when it is written."""

    flags: int
    keys: tuple[int, ...]
    values: tuple[bytes, ...]
    value_size: int


@dataclass(slots=True)
class _Image:
    """Blocks being made, and how often each is referred to."""

    blocks: list[bytes] = field(default_factory=list)
    counts: Counter[int] = field(default_factory=Counter)
    data_counts: Counter[int] = field(default_factory=Counter)
    known: dict[tuple[object, ...], int] = field(default_factory=dict)

    def allocate(self) -> int:
        """The number of one more block, all zeros for now."""
        self.blocks.append(bytes(BLOCK))
        return len(self.blocks) - 1

    def put_node(self, node: _Node, *, holds: Holds = "other", share: bool = True) -> int:
        """The block of that node: one of the same content when there is one, else a new one."""
        identity = (node.flags, node.keys, node.values, holds)
        if share and identity in self.known:
            return self.known[identity]
        number = self.allocate()
        self.blocks[number] = seal_node(node.flags, number, node.keys, node.values, node.value_size)
        self.known[identity] = number
        if node.flags & INTERNAL or holds == "roots":
            self.counts.update(int.from_bytes(value, "little") for value in node.values)
        elif holds == "mappings":
            self.data_counts.update(int.from_bytes(value, "little") >> layout.TIME_BITS for value in node.values)
        return number


def write_thin_metadata(
    devices: Mapping[int, BlockMap],
    *,
    held: Mapping[int, BlockMap] | None = None,
    details: Mapping[int, Details] | None = None,
    fan_out: int | Mapping[int, int] = _FULL,
    fewest: int = 1,
    share: bool = True,
    nr_blocks: int | None = None,
    data_block_size: int = 128,
    nr_data_blocks: int | None = None,
    time: int = 0,
    transaction_id: int = 0,
) -> bytes:
    """The bytes of a metadata device with these devices.

    :param held: devices of a reserved metadata snapshot; None when none is reserved.
    :param details: of some devices, (0, 0, 0) when not given. The kernel takes a mapping for shared, and copies the
        block before it is written, when the mapping's time is below the device's snapshotted time.
    :param fan_out: keys a leaf covers and children a node has, 2 to 252; for all devices, or by device id.
    :param fewest: keys that a leaf has at least, if there are so many; 84 is what the kernel and strict checkers keep.
    :param share: nodes of the same content are one block; otherwise devices share nothing.
    :param nr_blocks: size of the metadata in blocks; as many as needed and some free ones by default.
    :param data_block_size: sectors. :param nr_data_blocks: size of the data device; what is mapped by default.
    """
    image = _Image()
    image.allocate()
    shape = _Shape(fan_out, fewest, share)
    roots = _put_devices(image, devices, details or {}, shape)
    image.counts.update((0, *roots))
    held_roots = None if held is None else _put_devices(image, held, details or {}, shape)
    clone = 0 if held_roots is None else image.allocate()
    if held_roots is not None:
        image.counts.update((clone, *held_roots))
    most_data = max(image.data_counts, default=0) + 1
    facts = _SuperblockFacts(
        time=time,
        transaction_id=transaction_id,
        held_root=clone,
        data_map=_put_data_map(image, most_data if nr_data_blocks is None else nr_data_blocks),
        metadata_map=_put_metadata_map(image, nr_blocks),
        roots=roots,
        data_block_size=data_block_size,
    )
    image.blocks[0] = _seal_superblock(facts, 0)
    if held_roots is not None:
        image.blocks[clone] = _seal_superblock(facts.clone(held_roots), clone)
    free = facts.metadata_map.nr_blocks - len(image.blocks)
    return b"".join(image.blocks) + bytes(BLOCK * free)


def seal_block(block: bytes, salt: int) -> bytes:
    """`block` with its checksum put right; for tests that change a byte and want to get past the checksum."""
    return struct.pack("<I", checksum_block(block, salt)) + block[4:]


def seal_node(flags: int, number: int, keys: Sequence[int], values: Sequence[bytes], value_size: int) -> bytes:
    """The 4096 bytes of a btree node that lies at metadata block `number`."""
    most = count_max_entries(value_size)
    head = struct.pack("<IIQIIII", 0, flags, number, len(keys), most, value_size, 0)
    packed = struct.pack(f"<{len(keys)}Q", *keys).ljust(8 * most, b"\0")
    return seal_block((head + packed + b"".join(values)).ljust(BLOCK, b"\0"), BTREE_NODE)


def _pointer(number: int) -> bytes:
    return struct.pack("<Q", number)


@dataclass(frozen=True, slots=True)
class _Shape:
    """What the trees are to look like; see write_thin_metadata."""

    fan_out: int | Mapping[int, int]
    fewest: int
    share: bool

    def get_width(self, dev_id: int | None = None) -> int:
        """The fan-out of one device's tree, or of the trees that all devices are in."""
        if isinstance(self.fan_out, int):
            return self.fan_out
        return _FULL if dev_id is None else self.fan_out.get(dev_id, _FULL)


def _put_devices(
    image: _Image, devices: Mapping[int, BlockMap], facts: Mapping[int, Details], shape: _Shape
) -> tuple[int, int]:
    """Roots of the mapping tree and of the device details tree."""
    roots: dict[int, bytes] = {}
    details: dict[int, bytes] = {}
    for dev_id, mappings in sorted(devices.items()):
        roots[dev_id] = _pointer(_put_mappings(image, mappings, shape, shape.get_width(dev_id)))
        details[dev_id] = struct.pack("<QQII", len(mappings), *facts.get(dev_id, (0, 0, 0)))
    wide = shape.get_width()
    top = _put_tree(image, _cut(sorted(roots), wide), roots, 8, wide, holds="roots", share=shape.share)
    leaves = _cut(sorted(details), min(wide, count_max_entries(24)))
    return top, _put_tree(image, leaves, details, 24, wide, share=shape.share)


def _put_mappings(image: _Image, mappings: BlockMap, shape: _Shape, wide: int) -> int:
    values = {}
    for virtual, entry in mappings.items():
        data, time = (entry, 0) if isinstance(entry, int) else entry
        values[virtual] = struct.pack("<Q", data << layout.TIME_BITS | time)
    chunks: list[list[int]] = []
    for key in sorted(values):
        if chunks and chunks[-1][-1] // wide == key // wide:
            chunks[-1].append(key)
        else:
            chunks.append([key])
    leaves: list[list[int]] = []
    for chunk in chunks:
        if leaves and min(len(chunk), len(leaves[-1])) < shape.fewest:
            leaves.extend(_cut(leaves.pop() + chunk, _FULL))
        else:
            leaves.append(chunk)
    return _put_tree(image, leaves, values, 8, wide, holds="mappings", share=shape.share)


def _cut(keys: Sequence[int], wide: int) -> list[list[int]]:
    """Pieces of at most `wide` keys, of nearly the same length, so that no node is emptier than it need be."""
    pieces = -(-len(keys) // wide)
    return [list(keys[len(keys) * i // pieces : len(keys) * (i + 1) // pieces]) for i in range(pieces)]


def _put_tree(
    image: _Image,
    leaves: Sequence[Sequence[int]],
    values: Mapping[int, bytes],
    value_size: int,
    wide: int,
    *,
    holds: Holds = "other",
    share: bool = True,
) -> int:
    """The root of a tree with these leaves, given as lists of their keys."""
    level: list[tuple[int, int]] = []
    for keys in leaves or [[]]:
        node = _Node(LEAF, tuple(keys), tuple(values[key] for key in keys), value_size)
        level.append((keys[0] if keys else 0, image.put_node(node, holds=holds, share=share)))
    while len(level) > 1:
        above: list[tuple[int, int]] = []
        for places in _cut(range(len(level)), wide):
            children = [level[place] for place in places]
            node = _Node(INTERNAL, tuple(key for key, _ in children), tuple(_pointer(at) for _, at in children), 8)
            above.append((children[0][0], image.put_node(node, holds=holds, share=share)))
        level = above
    return level[0][1]


def _put_bitmaps(image: _Image, counts: Mapping[int, int], nr_blocks: int, places: Sequence[int]) -> list[bytes]:
    """Write the bitmaps of a space map to the blocks `places`; their index entries."""
    entries: list[bytes] = []
    for index, place in enumerate(places):
        begin = index * ENTRIES_A_BITMAP
        here = np.zeros(ENTRIES_A_BITMAP, dtype=np.uint8)
        for block, count in counts.items():
            if begin <= block < min(begin + ENTRIES_A_BITMAP, nr_blocks):
                here[block - begin] = _RAW_COUNT[min(count, 3)]
        pairs = here.reshape(-1, 4) << np.array([0, 2, 4, 6], dtype=np.uint8)
        body = struct.pack("<IIQ", 0, 0, place) + np.bitwise_or.reduce(pairs, axis=1).tobytes()
        image.blocks[place] = seal_block(body, BITMAP)
        size = min(ENTRIES_A_BITMAP, nr_blocks - begin)
        free = np.flatnonzero(here[:size] == 0)
        entries.append(struct.pack("<QII", place, len(free), int(free[0]) if len(free) else size))
    return entries


def _put_counts(image: _Image, counts: Mapping[int, int]) -> int:
    """The tree of the counts that do not fit two bits."""
    many = {block: struct.pack("<I", count) for block, count in counts.items() if count >= 3}
    root = _put_tree(image, _cut(sorted(many), count_max_entries(4)), many, 4, _FULL, share=False)
    image.counts[root] += 1
    return root


def _put_data_map(image: _Image, nr_blocks: int) -> SpaceMapRoot:
    places = [image.allocate() for _ in range(-(-nr_blocks // ENTRIES_A_BITMAP))]
    image.counts.update(places)
    entries = dict(enumerate(_put_bitmaps(image, image.data_counts, nr_blocks, places)))
    root = _put_tree(image, _cut(sorted(entries), count_max_entries(16)), entries, 16, _FULL, share=False)
    image.counts[root] += 1
    return SpaceMapRoot(nr_blocks, len(image.data_counts), root, _put_counts(image, image.data_counts))


def _put_metadata_map(image: _Image, nr_blocks: int | None) -> SpaceMapRoot:
    """Comes last: it counts every other block, and its own, which are referred to once each."""
    total = len(image.blocks) + 64 if nr_blocks is None else nr_blocks
    index = image.allocate()
    places = [image.allocate() for _ in range(-(-total // ENTRIES_A_BITMAP))]
    image.counts.update((index, *places))
    counts_root = _put_counts(image, image.counts)
    entries = _put_bitmaps(image, image.counts, total, places)
    body = struct.pack("<IIQ", 0, 0, index) + b"".join(entries)
    image.blocks[index] = seal_block(body.ljust(BLOCK, b"\0"), INDEX_BLOCK)
    if len(image.blocks) > total:
        raise ValueError(f"the image needs {len(image.blocks)} blocks, {total} were allowed")
    return SpaceMapRoot(total, len(image.counts), index, counts_root)


@dataclass(frozen=True, slots=True)
class _SuperblockFacts:
    time: int
    transaction_id: int
    held_root: int
    data_map: SpaceMapRoot
    metadata_map: SpaceMapRoot
    roots: tuple[int, int]
    data_block_size: int
    metadata_nr_blocks: int = 0

    def clone(self, roots: tuple[int, int]) -> _SuperblockFacts:
        """Those of a metadata snapshot: its own roots, and no space maps."""
        none = SpaceMapRoot(0, 0, 0, 0)
        size = self.metadata_map.nr_blocks
        return replace(self, held_root=0, data_map=none, metadata_map=none, roots=roots, metadata_nr_blocks=size)


def _seal_superblock(facts: _SuperblockFacts, location: int) -> bytes:
    maps = [
        ROOT.pack(each.nr_blocks, each.nr_allocated, each.bitmap_root, each.ref_count_root).ljust(128, b"\0")
        for each in (facts.data_map, facts.metadata_map)
    ]
    body = layout.SUPERBLOCK.pack(
        0,
        0,
        location,
        bytes(16),
        layout.MAGIC,
        2,
        facts.time,
        facts.transaction_id,
        facts.held_root,
        *maps,
        *facts.roots,
        facts.data_block_size,
        layout.METADATA_BLOCK_SECTORS,
        facts.metadata_nr_blocks or facts.metadata_map.nr_blocks,
        0,
        0,
        0,
    )
    return seal_block(body.ljust(BLOCK, b"\0"), THIN_SUPERBLOCK)
