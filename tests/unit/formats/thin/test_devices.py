from __future__ import annotations

import pytest

from drystone.base.errors import DamagedError, NotFoundError
from drystone.formats.pdata.memory import MemoryBlocks
from drystone.formats.thin.devices import DeviceDetails, find_mapping_root, read_devices, read_mapping_roots
from drystone.formats.thin.superblock import read_superblock
from drystone.testing.thin_metadata import write_thin_metadata


def test_details_of_all_devices() -> None:
    reader = MemoryBlocks(write_thin_metadata({7: {0: 1, 4: 2}, 3: {}}, details={7: (5, 1, 2)}))
    assert read_devices(reader, read_superblock(reader)) == {
        3: DeviceDetails(3, 0, 0, 0, 0),
        7: DeviceDetails(7, 2, 5, 1, 2),
    }


def test_no_devices() -> None:
    reader = MemoryBlocks(write_thin_metadata({}))
    assert read_devices(reader, read_superblock(reader)) == {}


def test_one_root_is_found_as_all_are() -> None:
    reader = MemoryBlocks(write_thin_metadata({dev: {0: dev} for dev in range(1, 400)}, fan_out=5))
    superblock = read_superblock(reader)
    roots = read_mapping_roots(reader, superblock)
    assert list(roots) == list(range(1, 400))
    assert all(find_mapping_root(reader, superblock, dev) == root for dev, root in list(roots.items())[::37])


@pytest.mark.parametrize("dev_id", [2, 0, 1 << 24, 1 << 70, -1])
def test_a_device_that_is_not_there(dev_id: int) -> None:
    reader = MemoryBlocks(write_thin_metadata({1: {}}))
    with pytest.raises(NotFoundError, match=str(dev_id)):
        find_mapping_root(reader, read_superblock(reader), dev_id)


def test_an_id_that_is_too_large_is_damage() -> None:
    reader = MemoryBlocks(write_thin_metadata({1 << 24: {}}))
    with pytest.raises(DamagedError, match="device id"):
        read_devices(reader, read_superblock(reader))
