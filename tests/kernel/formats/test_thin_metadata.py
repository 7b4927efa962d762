"""Thin metadata and the real kernel: we read what it writes while it goes on writing, and it reads what we write."""

from __future__ import annotations

import random
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest

from drystone.cli.exits import run
from drystone.cli.thin import thin
from drystone.formats.pdata.btree import measure_height
from drystone.formats.thin.delta import iter_changed
from drystone.formats.thin.devices import find_mapping_root, read_devices
from drystone.formats.thin.extents import iter_runs
from drystone.formats.thin.mappings import MAPPINGS, iter_mappings
from drystone.formats.thin.superblock import Superblock, read_held_superblock, read_superblock
from drystone.kernel.blockdev import BlockDevice, device_path, open_device
from drystone.kernel.dm.abc import DeviceInfo
from drystone.kernel.dm.device_mapper import KernelDeviceMapper
from drystone.kernel.loop import Loop
from drystone.testing.thin_metadata import write_thin_metadata

Attach = Callable[[bytes], Loop]
Activate = Callable[[str, str, int, str], DeviceInfo]

BLOCK_SECTORS = 128
BLOCK_BYTES = BLOCK_SECTORS * 512
DATA_BLOCKS = 1 << 18
THIN_BLOCKS = 1 << 17
FILLED = 70_000
"""Blocks of device 1: more than 252 leaves hold, so that its tree has three levels."""


def write_blocks(device: BlockDevice, blocks: list[int]) -> None:
    for block in blocks:
        device.pwrite(block * BLOCK_BYTES, b"x" * 4096)
    device.flush()


def read_numbers(device: BlockDevice, superblock: Superblock, dev_id: int) -> list[int]:
    return [number for batch in iter_mappings(device, superblock, dev_id) for number in batch.virtual.tolist()]


def read_changed(device: BlockDevice, superblock: Superblock, left: int, right: int) -> set[int]:
    return {
        block
        for ranges in iter_changed(device, superblock, left, right)
        for begin, length in ranges.tolist()
        for block in range(begin, begin + length)
    }


@pytest.fixture
def metadata(attach: Attach) -> str:
    """Metadata of ours with device 1 in it, which the kernel goes on from: it would take minutes to map as much."""
    filled = {block: block ^ 64 for block in range(FILLED)}
    return attach(write_thin_metadata({1: filled}, nr_blocks=4096, nr_data_blocks=DATA_BLOCKS)).path


@pytest.fixture
def pool(metadata: str, activate: Activate) -> DeviceInfo:
    """A pool whose data go nowhere: only the mappings matter."""
    data = activate("data", "zero", DATA_BLOCKS * BLOCK_SECTORS, "")
    params = f"{metadata} {data.number} {BLOCK_SECTORS} 0 1 skip_block_zeroing"
    return activate("pool", "thin-pool", DATA_BLOCKS * BLOCK_SECTORS, params)


@pytest.fixture
def two(pool: DeviceInfo, dm: KernelDeviceMapper, activate: Activate) -> tuple[str, str]:
    """Paths of device 1 with FILLED blocks and of device 2, its snapshot."""
    first = activate("thin1", "thin", THIN_BLOCKS * BLOCK_SECTORS, f"{pool.number} 1")
    dm.suspend("thin1")
    dm.message("pool", "create_snap 2 1")
    dm.resume("thin1")
    second = activate("thin2", "thin", THIN_BLOCKS * BLOCK_SECTORS, f"{pool.number} 2")
    return device_path(first.number), device_path(second.number)


def test_a_reserved_snapshot_is_read_while_the_pool_works(
    metadata: str, two: tuple[str, str], dm: KernelDeviceMapper
) -> None:
    chosen = random.Random(1).sample(range(THIN_BLOCKS), 200)
    with open_device(two[1], write=True) as device:
        write_blocks(device, chosen)
    dm.message("pool", "reserve_metadata_snap")
    with open_device(two[1], write=True) as device:
        write_blocks(device, list(range(0, 5000, 50)))
    with open_device(metadata) as reader:
        held = read_held_superblock(reader)
        assert measure_height(reader, MAPPINGS, find_mapping_root(reader, held, 1)) == 2
        assert read_numbers(reader, held, 1) == list(range(FILLED))
        assert read_numbers(reader, held, 2) == sorted({*range(FILLED), *chosen})
        assert read_changed(reader, held, 1, 2) == set(chosen)
        assert {each.dev_id: each.mapped_blocks for each in read_devices(reader, held).values()} == {
            1: FILLED,
            2: len({*range(FILLED), *chosen}),
        }
    dm.message("pool", "release_metadata_snap")
    with open_device(metadata) as reader:
        assert read_superblock(reader).held_root == 0


@pytest.mark.skipif(shutil.which("thin_dump") is None, reason="thin-provisioning-tools is not installed")
def test_debians_tools_read_the_same(metadata: str, two: tuple[str, str], dm: KernelDeviceMapper) -> None:
    chosen = random.Random(2).sample(range(THIN_BLOCKS), 200)
    with open_device(two[0], write=True) as device:
        write_blocks(device, chosen)
    dm.message("pool", "reserve_metadata_snap")

    def ask(*words: str) -> ET.Element:
        done = subprocess.run([*words, "-m", metadata], check=True, capture_output=True, text=True)
        return ET.fromstring(done.stdout)

    with open_device(metadata) as reader:
        held = read_held_superblock(reader)
        for dumped in ask("thin_dump").iter("device"):
            theirs = [
                [
                    int(each.get("origin_begin") or each.attrib["origin_block"]),
                    int(each.get("data_begin") or each.attrib["data_block"]),
                    int(each.get("length", "1")),
                    int(each.attrib["time"]),
                ]
                for each in dumped
            ]
            ours = [
                list(row)
                for runs in iter_runs(iter_mappings(reader, held, int(dumped.attrib["dev_id"])))
                for row in zip(
                    *(column.tolist() for column in (runs.virtual, runs.data, runs.length, runs.time)), strict=True
                )
            ]
            assert ours == theirs
        differing = {
            block
            for part in next(ask("thin_delta", "--thin1", "1", "--thin2", "2").iter("diff"))
            if part.tag != "same"
            for block in range(int(part.attrib["begin"]), int(part.attrib["begin"]) + int(part.attrib["length"]))
        }
        assert read_changed(reader, held, 1, 2) == differing == set(chosen)
    dm.message("pool", "release_metadata_snap")


@pytest.mark.usefixtures("two")
def test_the_live_metadata_of_an_active_pool_is_refused(metadata: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(thin, ["info", metadata]) == 5
    assert "-m" in capsys.readouterr().err
    assert run(thin, ["info", "-m", metadata]) == 3


def test_the_kernel_activates_what_we_write(attach: Attach, activate: Activate, dm: KernelDeviceMapper) -> None:
    data = attach(b"".join(bytes([number]) * BLOCK_BYTES for number in range(64)))
    mappings = {0: 5, 1: 3, 2: 4, 9: 60}
    snapshot = {**mappings, 1: 33}
    image = write_thin_metadata(
        {1: mappings, 2: snapshot},
        details={1: (7, 0, 1), 2: (8, 1, 1)},
        nr_blocks=1024,
        nr_data_blocks=64,
        time=1,
        transaction_id=8,
    )
    metadata = attach(image)
    pool = activate("pool", "thin-pool", 64 * BLOCK_SECTORS, f"{metadata.path} {data.path} {BLOCK_SECTORS} 0")
    (status,) = dm.status("pool")
    assert status.text.startswith("8 ")
    assert " 5/64 " in status.text
    for dev_id, expected in ((1, mappings), (2, snapshot)):
        info = activate(f"thin{dev_id}", "thin", 10 * BLOCK_SECTORS, f"{pool.number} {dev_id}")
        with open_device(device_path(info.number), write=True) as device:
            found = [device.pread(block * BLOCK_BYTES, BLOCK_BYTES) for block in range(10)]
            assert found == [bytes([expected.get(block, 0)]) * BLOCK_BYTES for block in range(10)]
            device.pwrite(0, b"new" + bytes(4093))
            device.flush()
    dm.message("pool", "reserve_metadata_snap")
    with open_device(metadata.path) as reader:
        assert read_changed(reader, read_held_superblock(reader), 1, 2) == {0, 1}
    dm.message("pool", "release_metadata_snap")
