from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from drystone.base.errors import DamagedError, ExhaustedError
from drystone.formats.pdata.memory import MemoryDisk
from drystone.formats.thin import salvage as salvage_module
from drystone.formats.thin.mappings import iter_mappings
from drystone.formats.thin.repair import write_salvage
from drystone.formats.thin.salvage import Missing, Overrides, Salvage, find_salvage, iter_saved
from drystone.formats.thin.superblock import read_superblock
from drystone.testing.logged_disk import FLUSH, LoggedDisk
from drystone.testing.thin_image import ThinImage
from drystone.testing.thin_metadata import BlockMap, write_thin_metadata

ORIGIN = {block: block for block in range(600)}
SNAPSHOT = ORIGIN | {block: block + 1000 for block in range(300, 600)}
SPARSE = {block * 3: 2000 + block for block in range(50)}
DETAILS = {1: (1, 0, 1), 2: (2, 1, 1), 7: (3, 1, 1)}


@pytest.fixture
def image() -> ThinImage:
    devices: dict[int, BlockMap] = {1: ORIGIN, 2: SNAPSHOT, 7: {key: (value, 1) for key, value in SPARSE.items()}}
    data = write_thin_metadata(
        devices, details=DETAILS, nr_data_blocks=4000, nr_blocks=256, time=1, transaction_id=5, data_block_size=256
    )
    return ThinImage(data)


def repair(image: ThinImage, overrides: Overrides | None = None) -> tuple[Salvage, MemoryDisk]:
    salvage = find_salvage(image.reader, overrides)
    disk = MemoryDisk(256 * 4096)
    disk.data[:] = 0xA5
    report = write_salvage(image.reader, salvage, disk)
    assert report.is_sound()
    assert report.mappings == sum(device.mapped_blocks for device in salvage.devices.values())
    return salvage, disk


def read(disk: MemoryDisk, dev_id: int) -> dict[int, int]:
    found: dict[int, int] = {}
    for batch in iter_mappings(disk, read_superblock(disk), dev_id):
        found.update(zip(batch.virtual.tolist(), batch.data.tolist(), strict=True))
    return found


def without(mappings: dict[int, int], low: int, high: int) -> dict[int, int]:
    return {block: data for block, data in mappings.items() if not low <= block <= high}


def test_sound_metadata_is_copied_as_it_is(image: ThinImage) -> None:
    salvage, disk = repair(image)
    assert (salvage.missing, salvage.notes) == ((), ())
    assert [read(disk, dev) for dev in (1, 2, 7)] == [ORIGIN, SNAPSHOT, SPARSE]
    old, new = image.superblock, read_superblock(disk)
    for name in ("time", "transaction_id", "data_block_size", "version", "uuid"):
        assert getattr(new, name) == getattr(old, name)
    assert new.data_space_map.nr_blocks == 4000
    assert {dev: salvage.devices[dev].snapshotted_time for dev in (1, 2, 7)} == {1: 1, 2: 1, 7: 1}


def test_sharing_is_kept(image: ThinImage) -> None:
    _, disk = repair(image)
    assert read_superblock(disk).metadata_space_map.nr_allocated == image.superblock.metadata_space_map.nr_allocated


def test_a_damaged_shared_leaf(image: ThinImage) -> None:
    leaf = image.get_value(image.get_root(1), 0)
    image.spoil(leaf)
    salvage, disk = repair(image)
    assert [(each.dev_id, each.low, each.high, each.block) for each in salvage.missing] == [
        (1, 0, 251, leaf),
        (2, 0, 251, leaf),
    ]
    assert "checksum is" in salvage.missing[0].reason
    assert read(disk, 1) == without(ORIGIN, 0, 251)
    assert read(disk, 2) == without(SNAPSHOT, 0, 251)
    assert read(disk, 7) == SPARSE
    assert salvage.devices[1].mapped_blocks == 348


def test_a_damaged_root_of_a_device(image: ThinImage) -> None:
    image.spoil(image.get_root(1))
    salvage, disk = repair(image)
    assert [(each.dev_id, each.low, each.high) for each in salvage.missing] == [(1, 0, None)]
    assert read(disk, 1) == {}
    assert read(disk, 2) == SNAPSHOT


def test_lost_details_are_made_anew_with_times_that_keep_what_is_shared(image: ThinImage) -> None:
    image.spoil(image.superblock.device_details_root)
    salvage, disk = repair(image)
    assert [read(disk, dev) for dev in (1, 2, 7)] == [ORIGIN, SNAPSHOT, SPARSE]
    assert {device.snapshotted_time for device in salvage.devices.values()} == {2}
    assert read_superblock(disk).time == 2
    assert any("details of device 7 are lost" in note for note in salvage.notes)


def test_times_as_late_as_a_field_holds_leave_a_pool_whose_time_a_mapping_can_have() -> None:
    late = {1: (1, 0, 0xFFFFFFFF), 2: (2, 0, 0)}
    image = ThinImage(write_thin_metadata({1: ORIGIN, 2: SNAPSHOT}, details=late, nr_blocks=256, time=0xFFFFFFFF))
    image.spoil(0)
    salvage, disk = repair(image, Overrides(transaction_id=1, data_block_size=128, nr_data_blocks=4000))
    assert {device.snapshotted_time for device in salvage.devices.values()} == {0xFFFFFFFF}
    assert read_superblock(disk).time == 0xFFFFFF


def test_a_time_that_no_mapping_can_have_is_found_anew(image: ThinImage) -> None:
    before = image.superblock.time
    image.put_superblock(time=0x1000000)
    salvage, disk = repair(image)
    assert read_superblock(disk).time == before
    assert any("the pool's time 16777216" in note for note in salvage.notes)


def test_a_lost_top_level_keeps_the_devices_without_their_blocks(image: ThinImage) -> None:
    top = image.superblock.data_mapping_root
    image.spoil(top)
    salvage, disk = repair(image)
    assert [(each.dev_id, each.low, each.high, each.block) for each in salvage.missing] == [
        (1, 0, None, top),
        (2, 0, None, top),
        (7, 0, None, top),
    ]
    assert read(disk, 1) == {}


def test_an_older_mapping_tree_is_said_to_be_one_and_nothing_of_it_is_written_over(image: ThinImage) -> None:
    """What it maps may belong to others by now, and the details are of a newer transaction."""
    top = image.superblock.data_mapping_root
    image.data += bytes(256 * 4096 - len(image.data))
    image.data[200 * 4096 : 201 * 4096] = image.data[top * 4096 : (top + 1) * 4096]
    image.put(200, 8, "<Q", 200)
    image.spoil(top)
    salvage, disk = repair(image)
    assert any("block 200, maybe of an older transaction" in note for note in salvage.notes)
    assert [read(disk, dev) for dev in (1, 2, 7)] == [ORIGIN, SNAPSHOT, SPARSE]
    assert {device.snapshotted_time for device in salvage.devices.values()} == {2}


class TestWithoutASuperblock:
    @pytest.fixture
    def headless(self, image: ThinImage) -> ThinImage:
        image.data[:4096] = bytes(4096)
        return image

    def test_roots_are_found_by_a_scan(self, headless: ThinImage) -> None:
        salvage, disk = repair(headless, Overrides(data_block_size=256))
        assert [read(disk, dev) for dev in (1, 2, 7)] == [ORIGIN, SNAPSHOT, SPARSE]
        superblock = read_superblock(disk)
        assert (superblock.transaction_id, superblock.data_space_map.nr_blocks) == (4, 2050)
        assert superblock.time == 2
        assert salvage.notes

    def test_overrides(self, headless: ThinImage) -> None:
        _, disk = repair(headless, Overrides(transaction_id=77, data_block_size=512, nr_data_blocks=9000))
        superblock = read_superblock(disk)
        assert (superblock.transaction_id, superblock.data_block_size) == (77, 512)
        assert superblock.data_space_map.nr_blocks == 9000

    def test_the_data_block_size_must_be_given(self, headless: ThinImage) -> None:
        with pytest.raises(DamagedError, match="data block size") as caught:
            find_salvage(headless.reader)
        assert "--data-block-size" in caught.value.hint

    def test_a_metadata_snapshot_tells_the_data_block_size(self) -> None:
        data = write_thin_metadata({1: ORIGIN}, held={1: SPARSE}, data_block_size=384, nr_blocks=256)
        image = ThinImage(data)
        image.data[:4096] = bytes(4096)
        salvage, disk = repair(image)
        assert salvage.superblock.data_block_size == 384
        assert read(disk, 1) == ORIGIN

    def test_an_older_root_is_not_taken(self) -> None:
        """The old transaction is in the metadata snapshot here, as it is in free blocks elsewhere."""
        data = write_thin_metadata(
            {1: ORIGIN, 2: SPARSE}, held={1: SPARSE}, details={1: (0, 0, 0), 2: (4, 0, 0)}, nr_blocks=256
        )
        image = ThinImage(data)
        image.data[:4096] = bytes(4096)
        salvage, _ = repair(image, Overrides(data_block_size=128))
        assert sorted(salvage.devices) == [1, 2]
        assert salvage.missing == ()

    def test_damage_below_found_roots(self, headless: ThinImage) -> None:
        leaf = find_leaf(headless, 2)
        headless.spoil(leaf)
        salvage, disk = repair(headless, Overrides(data_block_size=256))
        assert [(each.dev_id, each.low, each.high) for each in salvage.missing] == [(2, 252, 503)]
        assert read(disk, 2) == without(SNAPSHOT, 252, 503)


def find_leaf(image: ThinImage, place: int) -> int:
    """The block of the second leaf of device 2: root 7, found without a superblock."""
    root = find_salvage(image.reader, Overrides(data_block_size=256)).roots[place]
    return image.get_value(root, 1)


def test_mappings_beyond_the_data_device_are_left_out(image: ThinImage) -> None:
    image.put_value(image.get_root(7), 3, 4000 << 24)
    salvage, disk = repair(image)
    assert salvage.missing == (
        Missing(7, 9, 9, image.get_root(7), "it is mapped beyond the data device of 4000 blocks"),
    )
    assert read(disk, 7) == without(SPARSE, 9, 9)
    saved = np.concatenate([batch.virtual for batch in iter_saved(image.reader, salvage, 7)])
    assert saved.tolist() == sorted(without(SPARSE, 9, 9))


def test_very_many_ranges_beyond_the_data_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(salvage_module, "MOST_RANGES", 10)
    blocks = {block * 2: block for block in range(300)}
    image = ThinImage(write_thin_metadata({1: blocks}, nr_blocks=256))
    salvage, disk = repair(image, Overrides(nr_data_blocks=100))
    assert len(salvage.missing) == 11
    assert (salvage.missing[-1].low, salvage.missing[-1].high) == (220, None)
    assert read(disk, 1) == {block * 2: block for block in range(100)}


def test_trees_of_several_levels() -> None:
    blocks = {block: block for block in range(0, 9000, 3)}
    image = ThinImage(write_thin_metadata({1: blocks, 2: blocks | {3: 20000}}, fan_out=16, nr_blocks=4096))
    inner = image.get_value(image.get_root(1), 1)
    image.spoil(inner)
    salvage = find_salvage(image.reader)
    disk = MemoryDisk(4096 * 4096)
    write_salvage(image.reader, salvage, disk)
    for dev_id, whole in ((1, blocks), (2, blocks | {3: 20000})):
        kept = dict(whole)
        for each in salvage.missing:
            if each.dev_id == dev_id:
                kept = without(kept, each.low, (1 << 64) if each.high is None else each.high)
        assert read(disk, dev_id) == kept
        assert len(kept) < len(whole)


def test_too_small_an_output_is_refused(image: ThinImage) -> None:
    salvage = find_salvage(image.reader)
    disk = MemoryDisk(5 * 4096)
    with pytest.raises(ExhaustedError, match="does not fit 5 blocks"):
        write_salvage(image.reader, salvage, disk)
    assert not disk.data[0].any()


def test_there_is_no_superblock_until_all_else_is_durable(image: ThinImage) -> None:
    disk = LoggedDisk(256 * 4096)
    write_salvage(image.reader, find_salvage(image.reader), disk)
    assert disk.log[:2] == [0, FLUSH]
    assert disk.log[-3:] == [FLUSH, 0, FLUSH]
    assert min(disk.log[2:-3]) > 0


class LossyDisk(MemoryDisk):
    """A disk that loses what is written to one block."""

    def __init__(self, size: int, lost: int) -> None:
        super().__init__(size)
        self.lost = lost

    def write_blocks(self, numbers: NDArray[np.uint64], blocks: NDArray[np.uint8]) -> None:
        kept = numbers != np.uint64(self.lost)
        super().write_blocks(numbers[kept], blocks[kept])


def test_a_disk_that_loses_a_write_is_told_by_the_worst_finding(image: ThinImage) -> None:
    used = image.superblock.metadata_space_map.nr_allocated
    for lost in range(used):
        with pytest.raises(DamagedError, match="what was written is not sound") as caught:
            write_salvage(image.reader, find_salvage(image.reader), LossyDisk(256 * 4096, lost))
        assert caught.value.facts["severity"] == "fatal"
        assert "output device" in caught.value.hint


@pytest.mark.parametrize("nr_data_blocks", [1 << 40, (1 << 64) - 1])
def test_a_data_device_of_any_claimed_size_is_refused_at_once(image: ThinImage, nr_data_blocks: int) -> None:
    salvage = find_salvage(image.reader, Overrides(nr_data_blocks=nr_data_blocks))
    disk = MemoryDisk(256 * 4096)
    disk.data[:] = 0xA5
    with pytest.raises(ExhaustedError, match="data blocks need"):
        write_salvage(image.reader, salvage, disk)
    assert (disk.data == 0xA5).all()


@pytest.mark.parametrize("data", [b"", bytes(4096 * 20), b"x" * 100_000])
def test_what_is_no_metadata_is_refused(data: bytes) -> None:
    with pytest.raises(DamagedError):
        find_salvage(ThinImage(data).reader, Overrides(data_block_size=128))
