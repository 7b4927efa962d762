"""The kernel goes on from era metadata that we repaired, and our check finds what it leaves sound."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from drystone.cli.pdata_tools import run_tool
from drystone.formats.era.check import check_metadata
from drystone.formats.era.eras import iter_eras
from drystone.formats.era.superblock import read_superblock
from drystone.formats.pdata.blocks import BLOCK, BlockReader
from drystone.formats.pdata.memory import MemoryBlocks
from drystone.kernel.blockdev import device_path, open_device
from drystone.kernel.dm.abc import DeviceInfo
from drystone.kernel.dm.device_mapper import KernelDeviceMapper
from drystone.kernel.loop import Loop
from drystone.testing.era_metadata import Held, write_era_metadata

Attach = Callable[[bytes], Loop]
Activate = Callable[[str, str, int, str], DeviceInfo]

BLOCKS = 40_000
BLOCK_SECTORS = 8
WRITTEN = 123
SIZE = 1024


def make_image() -> bytes:
    random = np.random.default_rng(1)
    eras = random.integers(0, 5, BLOCKS).tolist()
    bits = {5: set(range(0, BLOCKS, 7)), 6: {1}}
    held = Held(eras, {5: bits[5]}, 6)
    current = set(range(0, BLOCKS, 11))
    return write_era_metadata(
        eras,
        bits,
        current=current,
        current_era=7,
        held=held,
        data_block_size=BLOCK_SECTORS,
        nr_metadata_blocks=SIZE,
    )


def spoil_array(image: bytearray) -> None:
    image[read_superblock(MemoryBlocks(bytes(image))).era_array_root * BLOCK + 1000] ^= 1


def spoil_superblock(image: bytearray) -> None:
    image[1000] ^= 1


def lose_superblock(image: bytearray) -> None:
    image[:BLOCK] = bytes(BLOCK)


def read_eras(reader: BlockReader) -> NDArray[np.uint32]:
    return np.concatenate([batch.eras for batch in iter_eras(reader, read_superblock(reader))])


@pytest.mark.parametrize("spoil", [spoil_array, spoil_superblock, lose_superblock])
def test_the_kernel_goes_on_from_a_repair(
    spoil: Callable[[bytearray], None],
    attach: Attach,
    activate: Activate,
    dm: KernelDeviceMapper,
    capsys: pytest.CaptureFixture[str],
) -> None:
    image = bytearray(make_image())
    truth = read_eras(MemoryBlocks(bytes(image)))
    spoil(image)
    source, target = attach(bytes(image)), attach(b"\xff" * BLOCK * SIZE)
    assert run_tool(["era_repair", "-i", source.path, "-o", target.path]) == 0, capsys.readouterr().err
    with open_device(target.path) as reader:
        repaired = read_eras(reader)
        era = read_superblock(reader).current_era
    assert (repaired >= truth).all()

    origin = activate("origin", "zero", BLOCKS * BLOCK_SECTORS, "")
    params = f"{target.path} {origin.number} {BLOCK_SECTORS}"
    made = activate("era", "era", BLOCKS * BLOCK_SECTORS, params)
    with open_device(device_path(made.number), write=True) as device:
        device.pwrite(WRITTEN * BLOCK_SECTORS * 512, b"x" * 4096)
        device.flush()
    dm.message("era", "checkpoint")
    dm.remove("era")
    with open_device(target.path) as reader:
        assert check_metadata(reader).is_sound()
        after = read_eras(reader)
    assert np.flatnonzero(after != repaired).tolist() == [WRITTEN]
    assert int(after[WRITTEN]) == era + 1
