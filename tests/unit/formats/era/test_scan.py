from __future__ import annotations

from drystone.formats.era.scan import find_all
from drystone.formats.era.superblock import read_superblock
from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.memory import MemoryBlocks
from drystone.testing.era_metadata import Held, write_era_metadata

IMAGE = write_era_metadata(
    [2] * 3000, {3: {0}, 4: {1}}, current={2}, current_era=5, held=Held([1] * 3000, {2: {7}}, 3), fan_out=2
)


def test_everything_is_found_without_the_superblock() -> None:
    superblock = read_superblock(MemoryBlocks(IMAGE))
    finds = find_all(MemoryBlocks(bytes(BLOCK) + IMAGE[BLOCK:]))
    assert finds.doubt == ""
    assert (finds.newest, finds.nr_blocks) == (2, 3000)
    assert sorted(finds.writesets) == [2, 3, 4]
    assert finds.bitsets == {superblock.current_root}
    assert [each.location for each in finds.superblocks] == [superblock.metadata_snap]
    assert sorted(finds.indices[finds.indices >= 0].tolist()) == [0, 0, 1, 1, 2, 2]


def test_a_block_that_cannot_be_told_is_a_doubt() -> None:
    image = bytearray(IMAGE)
    root = read_superblock(MemoryBlocks(IMAGE)).era_array_root
    image[root * BLOCK + 1] ^= 1
    assert f"block {root} cannot be read" in find_all(MemoryBlocks(bytes(image))).doubt
    image[root * BLOCK : (root + 1) * BLOCK] = bytes(BLOCK)
    assert find_all(MemoryBlocks(bytes(image))).doubt == ""


def test_a_pointer_to_zeros_is_a_doubt() -> None:
    image = bytearray(IMAGE)
    root = read_superblock(MemoryBlocks(IMAGE)).current_root
    child = next(
        at for at in range(1, len(image) // BLOCK) if image[at * BLOCK + 24 :][:8] == (1 << 2).to_bytes(8, "little")
    )
    assert child < root
    image[child * BLOCK : (child + 1) * BLOCK] = bytes(BLOCK)
    assert find_all(MemoryBlocks(bytes(image))).doubt == f"block {child}, of node {root}, cannot be read"


def test_nothing_at_all() -> None:
    finds = find_all(MemoryBlocks(bytes(8 * BLOCK)))
    assert (finds.doubt, finds.superblocks, finds.writesets) == ("", [], {})
