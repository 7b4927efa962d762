"""What our writers make, checked by Debian's thin-provisioning-tools 0.9; and our surveys of the same."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from drystone.formats.pdata.bitmaps import SpaceMapKind, iter_counts, survey_counts
from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.counts import ReferenceCounts
from drystone.formats.pdata.memory import MemoryDisk
from drystone.formats.pdata.survey import Survey
from drystone.formats.thin.device_trees import DETAILS, TOP
from drystone.formats.thin.mappings import MAPPINGS, get_data_blocks
from drystone.formats.thin.superblock import read_superblock
from drystone.testing.written_pool import Piece, write_pool

pytestmark = pytest.mark.skipif(shutil.which("thin_check") is None, reason="thin-provisioning-tools is not installed")

BLOCKS = 3000
DATA_BLOCKS = 400_000


def make_devices(seed: int) -> dict[int, list[Piece]]:
    """Devices of own pieces and of shared ones, of all sizes around a leaf and a third of one."""
    random = np.random.default_rng(seed)
    sizes = [1, 2, 83, 84, 85, 167, 168, 252, 253, 2000, 70_000 if seed == 0 else 500]
    base = [
        Piece(place * 100_000, place * 10_000 if place < 10 else 110_000, size, bool(random.random() < 0.5))
        for place, size in enumerate(random.permuted(sizes).tolist())
    ]
    base = [Piece(each.virtual, min(each.data, DATA_BLOCKS - each.length), each.length, each.shared) for each in base]
    devices = {1: base, 7: [], 9: base[:1]}
    for dev_id in (2, 3, 12_345):
        devices[dev_id] = [piece for piece in base if random.random() < 0.7]
    return dict(sorted(devices.items()))


@pytest.mark.parametrize("seed", range(8))
def test_thin_check_and_our_survey_find_nothing_wrong(tmp_path: Path, seed: int) -> None:
    disk = MemoryDisk(BLOCKS * BLOCK)
    devices = make_devices(seed)
    write_pool(disk, devices, nr_data_blocks=DATA_BLOCKS, transaction_id=seed)
    image = tmp_path / "image"
    image.write_bytes(disk.to_bytes())
    done = subprocess.run(["thin_check", str(image)], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, f"TRANSACTION_ID={seed}"), done.stderr
    superblock = read_superblock(disk)
    survey = Survey(disk)
    survey.count_block(0, "superblock")
    roots: dict[int, int] = {}
    for keys, values in survey.visit_tree(TOP, superblock.data_mapping_root):
        roots.update(zip(keys.tolist(), values.tolist(), strict=True))
    details = [value for _, values in survey.visit_tree(DETAILS, superblock.device_details_root) for value in values]
    data = ReferenceCounts(DATA_BLOCKS)
    for _, values in survey.visit_trees(MAPPINGS, roots.values(), owners=roots):
        data.add(get_data_blocks(values))
    assert [survey.count_entries(root) for root in roots.values()] == [int(each["mapped_blocks"]) for each in details]
    for batch in survey_counts(survey, SpaceMapKind.DATA, superblock.data_space_map):
        assert np.array_equal(batch.counts, data.get_range(batch.begin, batch.begin + len(batch)))
    for _ in survey_counts(survey, SpaceMapKind.METADATA, superblock.metadata_space_map):
        pass
    for batch in iter_counts(disk, SpaceMapKind.METADATA, superblock.metadata_space_map):
        assert np.array_equal(batch.counts, survey.counts.get_range(batch.begin, batch.begin + len(batch)))
    assert survey.damages == []
    assert survey.remarks == []
