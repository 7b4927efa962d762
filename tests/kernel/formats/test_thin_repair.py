"""The kernel goes on from metadata that we repaired or mended, and our check finds what it leaves sound."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from drystone.cli.pdata_tools import run_tool
from drystone.formats.thin.check import check_metadata
from drystone.kernel.blockdev import device_path, open_device
from drystone.kernel.dm.abc import DeviceInfo
from drystone.kernel.dm.device_mapper import KernelDeviceMapper
from drystone.kernel.loop import Loop
from drystone.testing.thin_image import ThinImage
from drystone.testing.thin_metadata import write_thin_metadata

Attach = Callable[[bytes], Loop]
Activate = Callable[[str, str, int, str], DeviceInfo]

BLOCK_SECTORS = 128
BLOCK_BYTES = BLOCK_SECTORS * 512
DATA_BLOCKS = 1 << 16
THIN_BLOCKS = 1 << 14
ORIGIN = {block: block for block in range(9000)}
SNAPSHOT = ORIGIN | {block: 20_000 + block for block in range(3000, 3100)}
SIZE = 1024


@pytest.fixture
def image() -> ThinImage:
    """Device 2 is a snapshot of 1, and shares nearly all leaves."""
    data = write_thin_metadata(
        {1: ORIGIN, 2: SNAPSHOT, 7: {}},
        details={1: (0, 0, 1), 2: (1, 1, 1), 7: (2, 1, 1)},
        fewest=84,
        nr_blocks=SIZE,
        nr_data_blocks=DATA_BLOCKS,
        time=1,
        transaction_id=3,
    )
    return ThinImage(data)


def write_through_the_kernel(metadata: str, activate: Activate, dm: KernelDeviceMapper) -> int:
    """Write blocks that are shared, unmapped and owned, take and drop snapshots; the pool's transaction id."""
    data = activate("data", "zero", DATA_BLOCKS * BLOCK_SECTORS, "")
    params = f"{metadata} {data.number} {BLOCK_SECTORS} 0 1 skip_block_zeroing"
    pool = activate("pool", "thin-pool", DATA_BLOCKS * BLOCK_SECTORS, params)
    (status,) = dm.status("pool")
    transaction = int(status.text.split()[0])
    for dev_id in (1, 2, 7):
        thin = activate(f"thin{dev_id}", "thin", THIN_BLOCKS * BLOCK_SECTORS, f"{pool.number} {dev_id}")
        with open_device(device_path(thin.number), write=True) as device:
            for block in (0, 300, 301, 3050, 8999, 12_000):
                device.pwrite(block * BLOCK_BYTES, b"x" * 4096)
            device.flush()
    for dev_id in (1, 2, 7):
        dm.remove(f"thin{dev_id}")
    for message in ("create_snap 9 2", "delete 1", "create_thin 10"):
        dm.message("pool", message)
    dm.remove("pool")
    return transaction


def test_the_kernel_goes_on_from_a_repair(
    image: ThinImage, attach: Attach, activate: Activate, dm: KernelDeviceMapper, capsys: pytest.CaptureFixture[str]
) -> None:
    leaf = image.get_value(image.get_root(1), 1)
    image.spoil(leaf)
    image.spoil(image.superblock.device_details_root)
    source, target = attach(bytes(image.data)), attach(bytes(SIZE * 4096))
    assert run_tool(["thin_repair", "-i", source.path, "-o", target.path]) == 0
    assert f"block {leaf}: checksum is" in capsys.readouterr().err
    with open_device(target.path) as reader:
        assert check_metadata(reader).findings == []
    assert write_through_the_kernel(target.path, activate, dm) == 3
    with open_device(target.path) as reader:
        assert check_metadata(reader).findings == []


def test_nothing_is_written_over_the_device_that_is_read(
    image: ThinImage, attach: Attach, activate: Activate, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not through a device upon it, nor through the file below it."""
    source = attach(bytes(image.data))
    upon = activate("upon", "linear", SIZE * 8, f"{source.number} 0")
    for left, right in (
        (source.path, source.path),
        (source.path, device_path(upon.number)),
        (device_path(upon.number), source.path),
        (source.path, source.file),
        (source.file, source.path),
    ):
        assert run_tool(["thin_repair", "-i", left, "-o", right]) == 1
        assert capsys.readouterr().out == ""
    with open_device(source.path) as reader:
        assert reader.pread(0, SIZE * 4096) == bytes(image.data)


def test_a_file_below_a_loop_device_is_in_use(
    image: ThinImage, attach: Attach, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image.put_reference_count(image.get_metadata_bitmap(), 600, 1)
    loop = attach(bytes(image.data))
    dump = str(tmp_path / "dump.xml")
    assert run_tool(["thin_dump", loop.path, "-o", dump]) == 0
    for words in (["thin_restore", "-i", dump, "-o", loop.file], ["thin_check", "--auto-repair", loop.file]):
        assert run_tool(words) == 1
        assert f"{loop.file} is in use by {loop.path}" in capsys.readouterr().err
    with open_device(loop.path) as reader:
        assert reader.pread(0, SIZE * 4096) == bytes(image.data)


def test_the_kernel_goes_on_from_a_restore(
    image: ThinImage, attach: Attach, activate: Activate, dm: KernelDeviceMapper, tmp_path: Path
) -> None:
    source, target = attach(bytes(image.data)), attach(bytes(SIZE * 4096))
    dump = tmp_path / "dump.xml"
    assert run_tool(["thin_dump", source.path, "-o", str(dump)]) == 0
    assert "<ref " in dump.read_text()
    assert run_tool(["thin_restore", "-q", "-i", str(dump), "-o", target.path]) == 0
    assert write_through_the_kernel(target.path, activate, dm) == 3
    with open_device(target.path) as reader:
        assert check_metadata(reader).findings == []


def test_the_kernel_goes_on_from_mended_counts(
    image: ThinImage, attach: Attach, activate: Activate, dm: KernelDeviceMapper
) -> None:
    for place in (600, 601, 700):
        image.put_reference_count(image.get_metadata_bitmap(), place, 1)
    bitmap = image.get_value(image.superblock.data_space_map.bitmap_root, 3, value_size=16)
    for place in (60_000, 60_001):
        image.put_reference_count(bitmap, place - 3 * 16320, 1)
    image.put_superblock(flags=1)
    metadata = attach(bytes(image.data)).path
    assert run_tool(["thin_check", "-q", metadata]) == 1
    assert run_tool(["thin_check", "-q", metadata, "--auto-repair", "--clear-needs-check-flag"]) == 0
    with open_device(metadata) as reader:
        assert check_metadata(reader).findings == []
    assert write_through_the_kernel(metadata, activate, dm) == 3
    with open_device(metadata) as reader:
        assert check_metadata(reader).findings == []


def test_the_metadata_of_an_active_pool(
    image: ThinImage,
    attach: Attach,
    activate: Activate,
    dm: KernelDeviceMapper,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In use: neither checked nor written to; its reserved snapshot can be checked while the pool goes on."""
    metadata, other = attach(bytes(image.data)).path, attach(bytes(image.data)).path
    packed = str(tmp_path / "packed")
    assert run_tool(["thin_metadata_pack", "-i", other, "-o", packed]) == 0
    data = activate("data", "zero", DATA_BLOCKS * BLOCK_SECTORS, "")
    params = f"{metadata} {data.number} {BLOCK_SECTORS} 0 1 skip_block_zeroing"
    pool = activate("pool", "thin-pool", DATA_BLOCKS * BLOCK_SECTORS, params)
    thin = activate("thin", "thin", THIN_BLOCKS * BLOCK_SECTORS, f"{pool.number} 1")
    for words in (
        ["thin_check", metadata],
        ["thin_check", "--auto-repair", metadata],
        ["thin_repair", "-i", metadata, "-o", other],
        ["thin_repair", "-i", other, "-o", metadata],
        ["thin_metadata_unpack", "-i", packed, "-o", metadata, "--force"],
    ):
        assert run_tool(words) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert f"{metadata} is in use" in line
    assert run_tool(["thin_check", "-m", metadata]) == 1
    assert "no metadata snapshot" in capsys.readouterr().err
    dm.message("pool", "reserve_metadata_snap")
    with open_device(device_path(thin.number), write=True) as device:
        device.pwrite(12_345 * BLOCK_BYTES, b"x" * 4096)
        device.flush()
    assert run_tool(["thin_check", "-m", metadata]) == 0
    dm.message("pool", "release_metadata_snap")
