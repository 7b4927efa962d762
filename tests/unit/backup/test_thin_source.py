"""Thin snapshots as sources, from metadata in a file and a simulated pool."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from drystone.backup.thin_source import ThinMap, ThinSource, clip, reserved_metadata_snapshot
from drystone.base.errors import NotFoundError, UsageError
from drystone.formats.thin.superblock import parse_superblock
from drystone.kernel.dm.abc import DeviceNumber, TableLine
from drystone.kernel.dm.simulated import SimulatedDeviceMapper
from drystone.kernel.dm.statuses import ThinPoolStatus
from drystone.testing.thin_metadata import write_thin_metadata

BLOCK = 65536
"""Bytes of a pool block."""


@pytest.fixture
def metadata(tmp_path: Path) -> Path:
    held = {1: {0: 10, 1: 11, 5: 12, 6: 13}, 2: {0: 10, 1: 77, 6: 13, 9: 14}}
    path = tmp_path / "metadata"
    path.write_bytes(write_thin_metadata({1: {0: 99}}, held=held, nr_data_blocks=100))
    return path


def held_root(metadata: Path) -> int:
    return parse_superblock(metadata.read_bytes()[:4096]).held_root


def told(metadata: Path, tmp_path: Path, device: int, base: int | None, size: int) -> list[list[int]]:
    data = tmp_path / "data"
    data.write_bytes(bytes(size))
    with ThinSource(str(data), ThinMap(str(metadata), held_root(metadata), device, base)) as source:
        assert source.size == size
        assert source.relative == (base is not None)
        return [[int(offset), int(length)] for offset, length in source.extents()]


def test_what_is_mapped_in_the_held_snapshot(metadata: Path, tmp_path: Path) -> None:
    assert told(metadata, tmp_path, 1, None, 20 * BLOCK) == [[0, 2 * BLOCK], [5 * BLOCK, 2 * BLOCK]]


def test_what_differs_from_the_base(metadata: Path, tmp_path: Path) -> None:
    # Block 1 is mapped elsewhere, 5 was discarded, 9 is new.
    wanted = [[BLOCK, BLOCK], [5 * BLOCK, BLOCK], [9 * BLOCK, BLOCK]]
    assert told(metadata, tmp_path, 2, 1, 20 * BLOCK) == wanted


def test_ranges_end_with_the_device(metadata: Path, tmp_path: Path) -> None:
    assert told(metadata, tmp_path, 2, 1, 5 * BLOCK + 512) == [[BLOCK, BLOCK], [5 * BLOCK, 512]]
    assert clip(np.array([[8, 8]], dtype=np.uint64), 8).tolist() == []


def test_a_device_that_is_not_in_the_snapshot(metadata: Path, tmp_path: Path) -> None:
    for device, base in ((7, None), (1, 7)):
        with pytest.raises(NotFoundError):
            told(metadata, tmp_path, device, base, BLOCK)
    source = ThinSource(str(tmp_path / "data"), ThinMap(str(metadata), 1, 1))
    with pytest.raises(UsageError, match="not open"):
        _ = source.size


@pytest.fixture
def dm() -> SimulatedDeviceMapper:
    metadata, data = DeviceNumber(7, 0), DeviceNumber(7, 1)
    mapper = SimulatedDeviceMapper({metadata: 8192, data: 128 * 64})
    mapper.create("pool")
    mapper.load("pool", [TableLine(0, 128 * 64, "thin-pool", f"{metadata} {data} 128 0")])
    mapper.resume("pool")
    return mapper


def root_of(dm: SimulatedDeviceMapper) -> int | None:
    status = ThinPoolStatus.parse(dm.status("pool")[0].text)
    assert isinstance(status, ThinPoolStatus)
    return status.held_root


def test_a_metadata_snapshot_is_held_and_released(dm: SimulatedDeviceMapper) -> None:
    with reserved_metadata_snapshot(dm, "pool") as root:
        assert root == root_of(dm) is not None
    assert root_of(dm) is None


def test_a_stale_one_is_released_first(dm: SimulatedDeviceMapper) -> None:
    dm.message("pool", "reserve_metadata_snap")
    with reserved_metadata_snapshot(dm, "pool") as root:
        assert root == root_of(dm)
    assert root_of(dm) is None


def test_it_is_released_after_an_error(dm: SimulatedDeviceMapper) -> None:
    with pytest.raises(KeyboardInterrupt), reserved_metadata_snapshot(dm, "pool"):
        raise KeyboardInterrupt
    assert root_of(dm) is None


def test_what_is_no_pool(dm: SimulatedDeviceMapper) -> None:
    dm.create("other")
    dm.load("other", [TableLine(0, 8, "zero")])
    dm.resume("other")
    with pytest.raises(UsageError, match="no thin pool"), reserved_metadata_snapshot(dm, "other"):
        pass
