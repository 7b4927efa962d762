"""The kernel goes on from metadata of our writers, and our survey finds what it leaves sound and rightly counted."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest

from drystone.formats.pdata.bitmaps import SpaceMapKind, iter_counts, survey_counts
from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.counts import ReferenceCounts
from drystone.formats.pdata.memory import MemoryDisk
from drystone.formats.pdata.survey import Survey
from drystone.formats.thin.device_trees import DETAILS, TOP
from drystone.formats.thin.mappings import MAPPINGS, get_data_blocks
from drystone.formats.thin.superblock import Superblock, read_superblock
from drystone.kernel.blockdev import BlockDevice, device_path, open_device
from drystone.kernel.dm.abc import DeviceInfo
from drystone.kernel.dm.device_mapper import KernelDeviceMapper
from drystone.kernel.loop import Loop
from drystone.testing.written_pool import Piece, write_pool

Attach = Callable[[bytes], Loop]
Activate = Callable[[str, str, int, str], DeviceInfo]

BLOCK_SECTORS = 128
BLOCK_BYTES = BLOCK_SECTORS * 512
DATA_BLOCKS = 1 << 17
THIN_BLOCKS = 1 << 17
SHARED = Piece(1000, 1000, 70_000, shared=True)
DEVICES = {
    1: [Piece(0, 0, 100), SHARED, Piece(100_000, 80_000, 500)],
    2: [SHARED, Piece(110_000, 90_000, 83)],
    3: [Piece(5, 95_000, 252)],
    4: [],
}


@pytest.fixture
def metadata(attach: Attach) -> str:
    """A loop device with our metadata: two devices of three levels that share 277 leaves, and two small ones."""
    disk = MemoryDisk(4096 * BLOCK)
    write_pool(disk, DEVICES, nr_data_blocks=DATA_BLOCKS, transaction_id=7, time=1)
    return attach(disk.to_bytes()).path


def survey_pool(reader: BlockDevice, superblock: Superblock) -> dict[int, int]:
    """Device -> blocks that it maps. Asserts that nothing is wrong and that both space maps count what is there."""
    survey = Survey(reader)
    survey.count_block(0, "superblock")
    roots: dict[int, int] = {}
    mapped: dict[int, int] = {}
    for keys, values in survey.visit_tree(TOP, superblock.data_mapping_root):
        roots.update(zip(keys.tolist(), values.tolist(), strict=True))
    for keys, values in survey.visit_tree(DETAILS, superblock.device_details_root):
        mapped.update(zip(keys.tolist(), values["mapped_blocks"].tolist(), strict=True))
    data = ReferenceCounts(superblock.data_space_map.nr_blocks)
    for _, values in survey.visit_trees(MAPPINGS, roots.values(), owners=roots):
        data.add(get_data_blocks(values))
    assert {dev_id: survey.count_entries(root) for dev_id, root in roots.items()} == mapped
    for batch in survey_counts(survey, SpaceMapKind.DATA, superblock.data_space_map):
        assert np.array_equal(batch.counts, data.get_range(batch.begin, batch.begin + len(batch)))
    for _ in survey_counts(survey, SpaceMapKind.METADATA, superblock.metadata_space_map):
        pass
    for batch in iter_counts(reader, SpaceMapKind.METADATA, superblock.metadata_space_map):
        assert np.array_equal(batch.counts, survey.counts.get_range(batch.begin, batch.begin + len(batch)))
    assert survey.damages == []
    return mapped


def test_the_kernel_goes_on_from_what_we_write(metadata: str, activate: Activate, dm: KernelDeviceMapper) -> None:
    due = {dev_id: sum(piece.length for piece in pieces) for dev_id, pieces in DEVICES.items()}
    with open_device(metadata) as reader:
        before = read_superblock(reader)
        assert survey_pool(reader, before) == due
    data = activate("data", "zero", DATA_BLOCKS * BLOCK_SECTORS, "")
    params = f"{metadata} {data.number} {BLOCK_SECTORS} 0 1 skip_block_zeroing"
    pool = activate("pool", "thin-pool", DATA_BLOCKS * BLOCK_SECTORS, params)
    (status,) = dm.status("pool")
    # The kernel counts a tenth of the metadata, which it keeps in reserve, as used.
    used = before.metadata_space_map.nr_allocated + 4096 // 10
    assert status.text.startswith(f"7 {used}/4096 {before.data_space_map.nr_allocated}/{DATA_BLOCKS} ")

    chosen = {dev_id: set(random.Random(dev_id).sample(range(THIN_BLOCKS), 300)) for dev_id in (1, 2, 3)}
    for dev_id, blocks in chosen.items():
        thin = activate(f"thin{dev_id}", "thin", THIN_BLOCKS * BLOCK_SECTORS, f"{pool.number} {dev_id}")
        with open_device(device_path(thin.number), write=True) as device:
            for block in sorted(blocks):
                device.pwrite(block * BLOCK_BYTES, b"x" * BLOCK)
            device.flush()
    for dev_id in chosen:
        dm.remove(f"thin{dev_id}")
    for message in ("create_snap 5 2", "delete 1", "delete 4", "create_thin 6"):
        dm.message("pool", message)
    dm.remove("pool")

    with open_device(metadata) as reader:
        after = read_superblock(reader)
        mapped = survey_pool(reader, after)
    ranges = {
        dev_id: {range(each.virtual, each.virtual + each.length) for each in DEVICES[dev_id]} for dev_id in (2, 3)
    }
    grown = {
        dev_id: due[dev_id] + sum(not any(block in each for each in ranges[dev_id]) for block in chosen[dev_id])
        for dev_id in (2, 3)
    }
    assert mapped == {2: grown[2], 3: grown[3], 5: grown[2], 6: 0}
