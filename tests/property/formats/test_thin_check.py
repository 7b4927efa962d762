"""Mutated images: a check ends with a report, and what a repair writes is sound to our check and to Debian's."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from drystone.base.errors import DamagedError, ExhaustedError, NotFoundError, UnsupportedError
from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.checksum import identify_block
from drystone.formats.pdata.memory import MemoryBlocks, MemoryDisk
from drystone.formats.thin.check import CheckOptions, check_metadata
from drystone.formats.thin.mend import can_mend, mend_space_maps
from drystone.formats.thin.pack import iter_packed, read_header, unpack
from drystone.formats.thin.repair import write_salvage
from drystone.formats.thin.salvage import Overrides, find_salvage, iter_saved
from drystone.formats.thin.superblock import read_superblock

from .conftest import BASE, IMAGES, LIVE, PLANS, Plan

DEBIAN = shutil.which("thin_check")


@settings(max_examples=300, deadline=None)
@given(PLANS, st.booleans(), st.booleans())
def test_a_check_ends_with_a_report(plan: Plan, held: bool, skip: bool) -> None:
    image = plan.apply()
    try:
        report = check_metadata(MemoryBlocks(image), CheckOptions(held=held, skip_mappings=skip))
    except (UnsupportedError, NotFoundError):
        return
    for finding in report.findings:
        assert finding.describe()
        assert finding.to_document()["kind"] == finding.kind


@settings(max_examples=150, deadline=None)
@given(PLANS)
def test_what_is_mended_is_sound(plan: Plan) -> None:
    image = plan.apply()
    disk = MemoryDisk(len(image))
    disk.write_blocks(*as_blocks(image))
    try:
        report = check_metadata(disk)
    except UnsupportedError:
        return
    if can_mend(report):
        mend_space_maps(disk, report)
        assert check_metadata(disk).is_sound()


@settings(max_examples=150, deadline=None)
@given(PLANS)
def test_what_is_saved_is_sound_or_nothing_is(plan: Plan) -> None:
    reader = MemoryBlocks(plan.apply())
    try:
        salvage = find_salvage(reader, Overrides(data_block_size=128, nr_data_blocks=1000))
    except (DamagedError, UnsupportedError):
        return
    disk = MemoryDisk(len(IMAGES[0]))
    report = write_salvage(reader, salvage, disk)
    assert report.is_sound()


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 1), st.sets(st.integers(1, 600), min_size=1, max_size=6))
def test_what_is_saved_is_what_was_there_and_what_is_not_is_listed(which: int, spoiled: set[int]) -> None:
    image = bytearray(IMAGES[which])
    superblock = read_superblock(MemoryBlocks(bytes(image)))
    for number in spoiled:
        image[number % superblock.metadata_space_map.nr_allocated * BLOCK + 3000] ^= 0x55
    reader = MemoryBlocks(bytes(image))
    try:
        salvage = find_salvage(reader, Overrides(data_block_size=128))
    except DamagedError:
        return
    for dev_id in salvage.devices:
        saved: dict[int, int] = {}
        for batch in iter_saved(reader, salvage, dev_id):
            saved.update(zip(batch.virtual.tolist(), batch.data.tolist(), strict=True))
        assert salvage.devices[dev_id].mapped_blocks == len(saved)
        assert saved.items() <= LIVE[dev_id].items() | BASE.items()
        if salvage.superblock.data_mapping_root == superblock.data_mapping_root:
            lost = LIVE[dev_id].keys() - saved.keys()
            ranges = [(each.low, each.high) for each in salvage.missing if each.dev_id == dev_id]
            assert all(any(low <= block and (high is None or block <= high) for low, high in ranges) for block in lost)
            assert saved.items() <= LIVE[dev_id].items()


@pytest.mark.skipif(DEBIAN is None, reason="thin-provisioning-tools is not installed")
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=PLANS)
def test_debian_finds_nothing_wrong_in_what_is_saved(plan: Plan, tmp_path: Path) -> None:
    assert DEBIAN is not None
    reader = MemoryBlocks(plan.apply())
    disk = MemoryDisk(len(IMAGES[0]))
    try:
        write_salvage(reader, find_salvage(reader, Overrides(data_block_size=128, nr_data_blocks=1000)), disk)
    except (DamagedError, UnsupportedError):
        return
    path = tmp_path / "saved.img"
    path.write_bytes(disk.to_bytes())
    done = subprocess.run([DEBIAN, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@settings(max_examples=100, deadline=None)
@given(PLANS)
def test_sound_blocks_survive_packing(plan: Plan) -> None:
    image = plan.apply()
    file = io.BytesIO(b"".join(iter_packed(MemoryBlocks(image), [])))
    blocks = read_header(file)
    disk = MemoryDisk(blocks * BLOCK)
    unpack(file, blocks, disk)
    found = disk.to_bytes()
    for begin in range(0, len(image), BLOCK):
        block = image[begin : begin + BLOCK]
        assert found[begin : begin + BLOCK] == (block if identify_block(block) else bytes(BLOCK))


PACKED = b"".join(iter_packed(MemoryBlocks(IMAGES[1]), []))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(PACKED) - 1), st.integers(0, 255)), min_size=1, max_size=8), st.booleans())
def test_damaged_packed_files_are_read_or_refused(changes: list[tuple[int, int]], cut: bool) -> None:
    data = bytearray(PACKED)
    for place, byte in changes:
        data[place] = byte
    file = io.BytesIO(bytes(data[: changes[0][0]] if cut else data))
    try:
        blocks = read_header(file)
        unpack(file, blocks, MemoryDisk(blocks * BLOCK))
    except (DamagedError, UnsupportedError, ExhaustedError):
        return


def as_blocks(image: bytes) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
    """Numbers and blocks, as write_blocks wants them."""
    data = np.frombuffer(image, dtype=np.uint8).reshape(-1, BLOCK)
    return np.arange(len(data), dtype=np.uint64), data
