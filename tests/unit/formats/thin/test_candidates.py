from __future__ import annotations

import numpy as np

from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.memory import MemoryBlocks, MemoryDisk
from drystone.formats.thin.candidates import NodeKind, Roots, choose_roots, scan_roots
from drystone.formats.thin.repair import write_salvage
from drystone.formats.thin.salvage import Overrides, find_salvage
from drystone.formats.thin.superblock import read_superblock
from drystone.testing.thin_image import ThinImage
from drystone.testing.thin_metadata import write_thin_metadata

MANY = {dev_id: {block: dev_id * 10 + block for block in range(5)} for dev_id in range(1, 400)}


def get_roots(data: bytes) -> Roots:
    superblock = read_superblock(MemoryBlocks(data))
    return Roots(superblock.data_mapping_root, superblock.device_details_root)


def find(data: bytes) -> Roots:
    reader = MemoryBlocks(data)
    finds = scan_roots(reader)
    return choose_roots(reader, finds.list_roots(NodeKind.TOP), finds.list_roots(NodeKind.DETAILS))


def test_roots_that_are_internal_nodes() -> None:
    data = write_thin_metadata(MANY)
    assert find(data) == get_roots(data)
    kinds = scan_roots(MemoryBlocks(data)).kinds
    assert np.count_nonzero(kinds == NodeKind.DETAILS) == 5
    assert np.count_nonzero(kinds == NodeKind.TOP) == 3


def test_many_devices_are_saved_without_a_superblock() -> None:
    image = ThinImage(write_thin_metadata(MANY))
    image.data[:4096] = bytes(4096)
    salvage = find_salvage(image.reader, Overrides(data_block_size=128))
    assert sorted(salvage.devices) == sorted(MANY)
    assert salvage.missing == ()
    disk = MemoryDisk(len(image.data))
    assert write_salvage(image.reader, salvage, disk).mappings == 5 * len(MANY)


def test_the_newer_pair_wins_although_it_has_a_hole() -> None:
    """The older pair is a metadata snapshot's here; it lies in free blocks elsewhere."""
    old, new = {block: block for block in range(600)}, {block: 1000 + block for block in range(600)}
    image = ThinImage(
        write_thin_metadata({1: new, 2: new}, held={1: old}, details={1: (0, 0, 2), 2: (1, 2, 2)}, time=2)
    )
    roots = get_roots(bytes(image.data))
    image.spoil(image.get_value(image.get_root(2), 1))
    image.data[:4096] = bytes(4096)
    assert find(bytes(image.data)) == roots


def test_trees_of_different_transactions_are_not_mixed() -> None:
    """Both have the same devices; only the numbers of mappings tell which belong together."""
    old, new = {block: block for block in range(10)}, {block: block for block in range(200)}
    image = ThinImage(write_thin_metadata({1: new}, held={1: old}))
    roots = get_roots(bytes(image.data))
    image.data[:4096] = bytes(4096)
    assert find(bytes(image.data)) == roots


def test_the_newest_pair_is_found_among_hundreds() -> None:
    """Every commit leaves old roots behind, in lower blocks than the newest ones as in higher ones."""
    devices = {1: {block: block for block in range(600)}, 2: {5: 700}, 7: {9: 800}}
    image = ThinImage(write_thin_metadata(devices, nr_blocks=1024, nr_data_blocks=1000))
    image.data += bytes(1024 * BLOCK - len(image.data))
    roots = get_roots(bytes(image.data))
    for old, first in ((roots.mapping, 100), (roots.details, 400)):
        block = image.data[old * BLOCK : (old + 1) * BLOCK]
        for copy in range(first, first + 300):
            image.data[copy * BLOCK : (copy + 1) * BLOCK] = block
            image.put(copy, 8, "<Q", copy)
            image.put_count_of_entries(copy, 2)
    newest = Roots(1000, 1001)
    for old, copy in ((roots.mapping, newest.mapping), (roots.details, newest.details)):
        image.data[copy * BLOCK : (copy + 1) * BLOCK] = image.data[old * BLOCK : (old + 1) * BLOCK]
        image.put(copy, 8, "<Q", copy)
        image.put_count_of_entries(old, 2)
    image.data[:BLOCK] = bytes(BLOCK)
    assert find(bytes(image.data)) == newest
    assert sorted(find_salvage(image.reader, Overrides(data_block_size=128)).devices) == [1, 2, 7]


def test_where_there_is_nothing_there_are_no_roots() -> None:
    assert find(bytes(4096 * 10)) == Roots(0, 0)
    assert find(b"") == Roots(0, 0)


def test_a_leaf_of_mappings_is_no_top_level() -> None:
    """Data block 0 alone makes its value look like a block number."""
    data = write_thin_metadata({1: {0: (0, 5)}, 2: {7: (0, 3)}})
    assert find(data) == get_roots(data)
