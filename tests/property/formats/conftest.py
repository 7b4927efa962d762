"""Thin metadata with changes anywhere in it, for tests of what reads, checks and repairs it."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.checksum import SALTS, identify_block
from drystone.formats.pdata.memory import MemoryBlocks
from drystone.formats.thin.superblock import read_superblock
from drystone.testing.thin_metadata import seal_block, write_thin_metadata

BASE = {block: block for block in range(400)}
LIVE = {1: BASE, 2: BASE | {7: 900, 300: 901}, 3: {}, 4: {block * 3: block for block in range(50)}}
IMAGES = [write_thin_metadata(LIVE, held={1: BASE}, fan_out=fan_out, nr_blocks=600) for fan_out in (4, 252)]


@dataclass(frozen=True)
class Plan:
    """Which image; (block in use, offset, u64, whether the checksum is put right) of each change; how much is kept."""

    image: int
    changes: list[tuple[int, int, int, bool]]
    parts: int

    def apply(self) -> bytes:
        """The damaged image."""
        image = bytearray(IMAGES[self.image])
        used = read_superblock(MemoryBlocks(bytes(image))).metadata_space_map.nr_allocated
        for number, offset, value, seal in self.changes:
            block = number % used
            place = slice(block * BLOCK, (block + 1) * BLOCK)
            kind = identify_block(bytes(image[place]))
            image[block * BLOCK + offset : block * BLOCK + offset + 8] = value.to_bytes(8, "little")
            if kind is not None and seal:
                image[place] = seal_block(bytes(image[place]), SALTS[kind])
        return bytes(image[: len(image) // self.parts])


VALUES = (
    st.integers(0, 300)
    | st.sampled_from([0, 1, 2, 3, 0xFF, 252, 253, 600, 1 << 31, (1 << 32) - 1, 1 << 63, (1 << 64) - 1])
    | st.integers(0, (1 << 64) - 1)
)
HEADERS = [4, 8, 16, 20, 24, 32, 40, 56, 64, 72, 320, 328, 336, 344, 2048, 2056]
"""Offsets of fields of headers and superblocks, and of the first values of a node."""
OFFSETS = st.sampled_from(HEADERS) | st.integers(0, BLOCK - 8)
CHANGES = st.tuples(st.integers(0, 600), OFFSETS, VALUES, st.sampled_from([True, True, True, False]))
PLANS = st.builds(Plan, st.integers(0, 1), st.lists(CHANGES, min_size=1, max_size=4), st.sampled_from([1, 1, 1, 2]))
