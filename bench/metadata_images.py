"""Large images of thin and era metadata, valid to the kernel's rules, for the benchmarks.

    python bench/metadata_images.py FOLDER [NAME...]

Written with numpy alone and by none of the code that is measured. Nodes are filled as the kernel leaves them after
blocks were provisioned in order: leaves half full. The files are made once; an image that is there is left as it is.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.checksum import (
    ARRAY_BLOCK,
    BITMAP,
    BTREE_NODE,
    ERA_SUPERBLOCK,
    INDEX_BLOCK,
    THIN_SUPERBLOCK,
    checksum_block,
    checksum_blocks,
)
from drystone.formats.pdata.layout import INTERNAL, LEAF, make_node_dtype
from drystone.formats.pdata.spacemap import ROOT
from drystone.formats.thin import layout

FULL = 252
HALF = 126
BITMAP_ENTRIES = 16320
ERA_MAGIC = 2126579579
Numbers = NDArray[np.uint64]

_RAW = np.array([0, 2, 1, 3], dtype=np.uint8)
_INDEX_ENTRY = np.dtype([("block", "<u8"), ("free", "<u4"), ("none_free_before", "<u4")])
_BITMAP_BLOCK = np.dtype([("csum", "<u4"), ("unused", "<u4"), ("block", "<u8"), ("bits", "u1", 4080)])
_WRITESET = np.dtype([("bits", "<u4"), ("root", "<u8")])
_ERA_SUPERBLOCK = np.dtype(
    [
        *(("csum", "<u4"), ("flags", "<u4"), ("block", "<u8"), ("uuid", "V16"), ("magic", "<u8"), ("version", "<u4")),
        *(("map", "V128"), ("data_block_size", "<u4"), ("metadata_block_size", "<u4"), ("nr_blocks", "<u4")),
        *(("current_era", "<u4"), ("current", _WRITESET), ("writesets", "<u8"), ("array", "<u8"), ("held", "<u8")),
    ]
)


class Image:
    """Blocks of an image in the making, and who refers to which; block 0 is the superblock's."""

    def __init__(self) -> None:
        self.parts: list[NDArray[np.uint8]] = [np.zeros((1, BLOCK), dtype=np.uint8)]
        self.size = 1
        self.references: list[Numbers] = [np.zeros(1, dtype=np.uint64)]

    def append(self, blocks: NDArray[Any], salt: int) -> Numbers:
        """Append records of 4096 bytes, whose first field is the checksum; their block numbers."""
        whole = blocks.view(np.uint8).reshape(-1, BLOCK)
        whole[:, :4] = checksum_blocks(whole, salt).view(np.uint8).reshape(-1, 4)
        numbers = np.arange(self.size, self.size + len(whole), dtype=np.uint64)
        self.parts.append(whole)
        self.size += len(whole)
        return numbers

    def put_nodes(self, flags: int, keys: Numbers, values: NDArray[Any], counts: NDArray[Any]) -> Numbers:
        """Append nodes that take these entries, `counts` each; their block numbers."""
        dtype = make_node_dtype(values.dtype)
        most = dtype["keys"].shape[0]
        nodes: NDArray[Any] = np.zeros(len(counts), dtype=dtype)
        nodes["flags"], nodes["nr_entries"] = flags, counts
        nodes["blocknr"] = np.arange(self.size, self.size + len(counts), dtype=np.uint64)
        nodes["max_entries"], nodes["value_size"] = most, values.dtype.itemsize
        used = np.arange(most) < counts[:, None]
        nodes["keys"][used] = keys
        nodes["values"][used] = values
        if flags == INTERNAL:
            self.references.append(values)
        return self.append(nodes, BTREE_NODE)

    def put_tree(self, firsts: Numbers, numbers: Numbers) -> int:
        """The root above nodes whose first keys and numbers are given."""
        while len(numbers) > 1:
            counts = spread(len(numbers), FULL)
            above = self.put_nodes(INTERNAL, firsts, numbers, counts)
            firsts, numbers = firsts[np.cumsum(counts) - counts], above
        return int(numbers[0])

    def put_entries(self, keys: Numbers, values: NDArray[Any]) -> int:
        """The root of a tree of these entries."""
        counts = spread(len(keys), make_node_dtype(values.dtype)["keys"].shape[0])
        leaves = self.put_nodes(LEAF, keys, values, counts)
        return self.put_tree(keys[np.cumsum(counts) - counts] if len(keys) else np.zeros(1, dtype=np.uint64), leaves)

    def put_array(self, values: NDArray[Any]) -> int:
        """The root of an array."""
        most = (BLOCK - 24) // values.itemsize
        record = np.dtype(
            {
                "names": ["csum", "max", "nr", "size", "block", "values"],
                "formats": ["<u4", "<u4", "<u4", "<u4", "<u8", (values.dtype, (most,))],
                "offsets": [0, 4, 8, 12, 16, 24],
                "itemsize": BLOCK,
            }
        )
        blocks: NDArray[Any] = np.zeros(-(-len(values) // most), dtype=record)
        blocks["max"], blocks["nr"], blocks["size"] = most, most, values.itemsize
        blocks["nr"][-1] = len(values) - most * (len(blocks) - 1)
        blocks["block"] = np.arange(self.size, self.size + len(blocks))
        padded = np.zeros(len(blocks) * most, dtype=values.dtype)
        padded[: len(values)] = values
        blocks["values"] = padded.reshape(-1, most)
        numbers = self.append(blocks, ARRAY_BLOCK)
        self.references.append(numbers)
        return self.put_entries(np.arange(len(numbers), dtype=np.uint64), numbers)

    def put_counts(self, counts: NDArray[Any]) -> int:
        """The tree of the reference counts that do not fit two bits."""
        many = np.flatnonzero(counts >= 3)
        root = self.put_entries(many.astype(np.uint64), counts[many].astype("<u4"))
        self.references.append(np.array([root], dtype=np.uint64))
        return root

    def put_bitmaps(self, counts: NDArray[Any]) -> NDArray[Any]:
        """Append the bitmaps for these counts of all blocks; their index entries."""
        bitmaps = -(-len(counts) // BITMAP_ENTRIES)
        padded = np.zeros(bitmaps * BITMAP_ENTRIES, dtype=np.uint8)
        padded[: len(counts)] = np.minimum(counts, 3)
        rows = padded.reshape(bitmaps, BITMAP_ENTRIES)
        pairs = _RAW[rows].reshape(bitmaps, -1, 4) << np.array([0, 2, 4, 6], dtype=np.uint8)
        blocks: NDArray[Any] = np.zeros(bitmaps, dtype=_BITMAP_BLOCK)
        blocks["bits"] = np.bitwise_or.reduce(pairs, axis=2)
        blocks["block"] = np.arange(self.size, self.size + bitmaps)
        entries: NDArray[Any] = np.zeros(bitmaps, dtype=_INDEX_ENTRY)
        entries["block"] = self.append(blocks, BITMAP)
        entries["free"] = (rows == 0).sum(axis=1)
        entries["none_free_before"] = np.where(entries["free"] > 0, (rows == 0).argmax(axis=1), BITMAP_ENTRIES)
        self.references.append(entries["block"].copy())
        return entries

    def put_data_map(self, counts: NDArray[Any]) -> bytes:
        """The root of a space map of data blocks."""
        entries = self.put_bitmaps(counts)
        root = self.put_entries(np.arange(len(entries), dtype=np.uint64), entries.view("V16"))
        self.references.append(np.array([root], dtype=np.uint64))
        return ROOT.pack(len(counts), np.count_nonzero(counts), root, self.put_counts(counts))

    def put_metadata_map(self) -> bytes:
        """The root of the space map of this image's own blocks. Comes last: it counts itself too."""
        room = self.size + self.size // 8 + 1024
        counts_root = self.put_counts(np.bincount(np.concatenate(self.references).astype(np.int64)))
        index = self.size
        self.references.append(np.array([index], dtype=np.uint64))
        self.append(np.zeros(1, dtype="V4096"), INDEX_BLOCK)
        bitmaps = np.arange(self.size, self.size + -(-room // BITMAP_ENTRIES), dtype=np.uint64)
        counts = np.bincount(np.concatenate([*self.references, bitmaps]).astype(np.int64), minlength=room)
        body = bytes(8) + index.to_bytes(8, "little") + self.put_bitmaps(counts).tobytes()
        self.parts[-2] = seal(body, INDEX_BLOCK)
        return ROOT.pack(room, np.count_nonzero(counts), index, counts_root)

    def write(self, path: Path, superblock: bytes, salt: int, blocks: int) -> None:
        """Write the file, `blocks` blocks long."""
        self.parts[0] = seal(superblock, salt)
        half = path.with_suffix(".part")
        with half.open("wb") as file:
            for part in self.parts:
                part.tofile(file)
            file.truncate(blocks * BLOCK)
        half.rename(path)


def seal(body: bytes, salt: int) -> NDArray[np.uint8]:
    """A block of these bytes, with its checksum at the head."""
    block = body.ljust(BLOCK, b"\0")
    sealed = checksum_block(block, salt).to_bytes(4, "little") + block[4:]
    return np.frombuffer(sealed, dtype=np.uint8).reshape(1, BLOCK)


def spread(entries: int, most: int) -> NDArray[Any]:
    """How many entries each node takes: as few nodes as will do, of nearly equal fill."""
    nodes = max(-(-entries // most), 1)
    return np.diff(np.arange(nodes + 1) * entries // nodes)


def write_thin(path: Path, mappings: int, jumps: float) -> None:
    """Two devices of `mappings` blocks: the second is a snapshot of the first with 2% of its leaves rewritten.

    :param jumps: the part of the mappings that begins a new run of neighbours on the data device.
    """
    random = np.random.default_rng(1)
    leaves = mappings // HALF
    virtual = np.arange(leaves * HALF, dtype=np.uint64)
    steps = np.where(random.random(len(virtual)) < jumps, random.integers(2, 4, len(virtual)), 1)
    data = np.cumsum(steps).astype(np.uint64)
    image = Image()
    fill = np.full(leaves, HALF)
    first = image.put_nodes(LEAF, virtual, data << np.uint64(layout.TIME_BITS), fill)
    rewritten = np.sort(random.choice(leaves, max(leaves // 50, 1), replace=False))
    places = (rewritten[:, None] * HALF + np.arange(HALF)).reshape(-1)
    moved = data[-1] + np.arange(1, len(places) + 1, dtype=np.uint64)
    second = first.copy()
    values = moved << np.uint64(layout.TIME_BITS) | np.uint64(1)
    second[rewritten] = image.put_nodes(LEAF, virtual[places], values, fill[: len(rewritten)])
    roots = np.array([image.put_tree(virtual[::HALF], numbers) for numbers in (first, second)], dtype=np.uint64)
    ids = np.array([1, 2], dtype=np.uint64)
    details = np.array([(len(virtual), 0, 0, 1), (len(virtual), 1, 1, 1)], dtype=layout.DETAILS)
    tops = [image.put_entries(ids, roots), image.put_entries(ids, details)]
    image.references += [roots, np.array(tops, dtype=np.uint64)]
    used = np.bincount(np.concatenate((data, moved)).astype(np.int64), minlength=int(moved[-1]) + 1000)
    data_map, metadata_map = image.put_data_map(used), image.put_metadata_map()
    blocks = ROOT.unpack(metadata_map)[0]
    superblock = layout.SUPERBLOCK.pack(
        *(0, 0, 0, bytes(16), layout.MAGIC, 2, 1, 2, 0),
        *(data_map.ljust(128, b"\0"), metadata_map.ljust(128, b"\0")),
        *(*tops, 128, 8, blocks, 0, 0, 0),
    )
    image.write(path, superblock, THIN_SUPERBLOCK, blocks)


def write_era(path: Path, blocks: int, undigested: int) -> None:
    """An array of that many blocks, `undigested` archived writesets and a current one; a tenth of the bits is set."""
    random = np.random.default_rng(1)
    image = Image()
    array = image.put_array(random.integers(0, 100, blocks).astype("<u4"))
    writesets = np.zeros(undigested + 1, dtype=_WRITESET)
    writesets["bits"] = blocks
    for number in range(undigested + 1):
        bits = np.zeros(-(-blocks // 64) * 64, dtype=np.uint8)
        bits[:blocks] = random.random(blocks) < 0.1
        writesets["root"][number] = image.put_array(np.packbits(bits, bitorder="little").view("<u8"))
    eras = np.arange(100, 100 + undigested, dtype=np.uint64)
    tree = image.put_entries(eras, writesets[:-1])
    image.references += [writesets["root"].copy(), np.array([array, tree], dtype=np.uint64)]
    metadata_map = image.put_metadata_map()
    size = ROOT.unpack(metadata_map)[0]
    superblock = np.zeros(1, dtype=_ERA_SUPERBLOCK)
    superblock["magic"], superblock["version"], superblock["map"] = ERA_MAGIC, 1, metadata_map.ljust(128, b"\0")
    superblock["data_block_size"], superblock["metadata_block_size"], superblock["nr_blocks"] = 128, 8, blocks
    superblock["current_era"], superblock["current"] = 100 + undigested, writesets[-1]
    superblock["writesets"], superblock["array"] = tree, array
    image.write(path, superblock.tobytes(), ERA_SUPERBLOCK, size)


IMAGES: dict[str, Callable[[Path], None]] = {
    "thin-5m": lambda path: write_thin(path, 5_000_000, 0.1),
    "thin-5m-scattered": lambda path: write_thin(path, 5_000_000, 0.9),
    "thin-20m": lambda path: write_thin(path, 20_000_000, 0.1),
    "era-4m": lambda path: write_era(path, 4_000_000, 4),
    "era-4m-idle": lambda path: write_era(path, 4_000_000, 0),
}
"""Name of an image -> what writes it."""


def make_images(folder: Path, names: list[str]) -> dict[str, Path]:
    """The images' paths by name; those that are missing are made."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"{name}.img" for name in names}
    for name, path in paths.items():
        if not path.exists():
            IMAGES[name](path)
    return paths


if __name__ == "__main__":
    make_images(Path(sys.argv[1]), sys.argv[2:] or list(IMAGES))
