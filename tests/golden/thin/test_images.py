"""What our readers make of metadata that a real kernel wrote, against what Debian's tools make of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from drystone.formats.pdata.checksum import identify_block
from drystone.formats.thin.delta import UNMAPPED, iter_changed, iter_differences
from drystone.formats.thin.devices import read_devices, read_mapping_roots
from drystone.formats.thin.extents import iter_runs
from drystone.formats.thin.mappings import iter_mappings

if TYPE_CHECKING:
    from .conftest import Golden


def test_superblock(golden: Golden) -> None:
    expected = golden.expected["superblock"]
    assert golden.superblock.time == int(expected["time"])
    assert golden.superblock.transaction_id == int(expected["transaction"])
    assert golden.superblock.flags == int(expected["flags"])
    assert golden.superblock.version == int(expected["version"])
    assert golden.superblock.data_block_size == int(expected["data_block_size"])
    assert golden.superblock.data_space_map.nr_blocks == int(expected["nr_data_blocks"])


def test_devices(golden: Golden) -> None:
    found = read_devices(golden.reader, golden.superblock)
    assert {
        str(each.dev_id): [each.mapped_blocks, each.transaction_id, each.creation_time, each.snapshotted_time]
        for each in found.values()
    } == {
        dev_id: [int(device[name]) for name in ("mapped_blocks", "transaction", "creation_time", "snap_time")]
        for dev_id, device in golden.expected["devices"].items()
    }
    assert list(found) == list(read_mapping_roots(golden.reader, golden.superblock))


@pytest.mark.parametrize("batch", [1, 256])
def test_mappings(golden: Golden, batch: int) -> None:
    for dev_id, device in golden.expected["devices"].items():
        found = [
            list(row)
            for runs in iter_runs(iter_mappings(golden.reader, golden.superblock, int(dev_id), batch=batch))
            for row in zip(
                runs.virtual.tolist(), runs.data.tolist(), runs.length.tolist(), runs.time.tolist(), strict=True
            )
        ]
        assert found == device["mappings"]


@pytest.mark.parametrize("batch", [2, 256])
def test_differences(golden: Golden, batch: int) -> None:
    for pair, expected in golden.expected["deltas"].items():
        left, right = (int(dev_id) for dev_id in pair.split())
        kinds: dict[int, str] = {}
        for found in iter_differences(golden.reader, golden.superblock, left, right, batch=batch):
            for block, at_left, at_right in zip(
                found.virtual.tolist(), found.left.tolist(), found.right.tolist(), strict=True
            ):
                one_side = "left_only" if at_right == UNMAPPED else "right_only"
                kinds[block] = one_side if UNMAPPED in (at_left, at_right) else "different"
        assert kinds == {block: kind for kind, begin, length in expected for block in range(begin, begin + length)}
        changed = [
            block
            for ranges in iter_changed(golden.reader, golden.superblock, left, right, batch=batch)
            for begin, length in ranges.tolist()
            for block in range(begin, begin + length)
        ]
        assert changed == sorted(kinds)


def test_the_images_share_subtrees(golden: Golden) -> None:
    """Devices 1, 2 and 3 are snapshots of one another: comparing reads fewer blocks than the two trees have."""
    before = golden.reader.blocks_read
    assert list(iter_changed(golden.reader, golden.superblock, 2, 3))
    compared = golden.reader.blocks_read - before
    before = golden.reader.blocks_read
    for dev_id in (2, 3):
        list(iter_mappings(golden.reader, golden.superblock, dev_id))
    assert compared < golden.reader.blocks_read - before


def test_the_kernels_superblock_is_of_its_kind(golden: Golden) -> None:
    import numpy as np

    block = golden.reader.read_blocks(np.array([golden.superblock.location], dtype=np.uint64))
    assert identify_block(block.tobytes()) == "thin superblock"
