from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from drystone.base.errors import NotFoundError
from drystone.formats.era.check import Report, check_metadata, check_superblock
from drystone.formats.era.superblock import Superblock, pack_superblock, read_held_superblock, read_superblock
from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.checksum import BITMAP, seal_block
from drystone.formats.pdata.memory import MemoryBlocks
from drystone.testing.era_metadata import Held, write_era_metadata


def make_image(**more: object) -> bytearray:
    options: dict[str, object] = {"current": {1}, "current_era": 5, **more}
    return bytearray(write_era_metadata([1, 2, 2, 0] * 600, {3: {0, 2}, 4: {0}}, **options))  # type: ignore[arg-type]


def check(image: bytearray, *, held: bool = False) -> Report:
    return check_metadata(MemoryBlocks(bytes(image)), held=held)


def read(image: bytearray) -> Superblock:
    return read_superblock(MemoryBlocks(bytes(image)))


def find_bitmap(image: bytearray) -> int:
    index = read(image).metadata_space_map.bitmap_root
    return int(struct.unpack_from("<Q", image, index * BLOCK + 16)[0])


def set_count(image: bytearray, block: int, raw: int) -> None:
    """Change the two bits of `block` in the first bitmap, and put its checksum right."""
    place = find_bitmap(image) * BLOCK
    at = place + 16 + block // 4
    shift = 2 * (block % 4)
    image[at] = image[at] & ~(3 << shift) | raw << shift
    image[place : place + BLOCK] = seal_block(bytes(image[place : place + BLOCK]), BITMAP)


@pytest.mark.parametrize("current", [None, set(), {1, 5}])
@pytest.mark.parametrize("held", [None, Held([1] * 7, {2: {1}}, 4, current_root=3)])
def test_what_the_kernel_would_write_is_sound(current: set[int] | None, held: Held | None) -> None:
    report = check(make_image(current=current, held=held))
    assert report.is_sound(), [each.describe() for each in (*report.errors, *report.remarks)]
    assert report.superblock is not None
    assert report.superblock.current_era == 5
    report.refuse("it")


def test_shared_blocks_of_a_snapshot_are_counted() -> None:
    held = Held([1, 2, 2, 0] * 600, {3: {0, 2}}, 4)
    assert check(make_image(held=held)).is_sound()
    assert check(make_image(held=held), held=True).is_sound()


def test_a_space_map_that_ends_before_the_last_block_in_use_is_an_error() -> None:
    image = make_image()
    live = read(image)
    short = replace(live.metadata_space_map, nr_blocks=8)
    image[:BLOCK] = pack_superblock(replace(live, metadata_space_map=short))
    report = check(image)
    assert not report.is_sound(ignore_remarks=True)
    assert [each.what for each in report.errors] == [
        f"in use and marked free: references of blocks 8 to {live.metadata_space_map.nr_allocated - 1}"
    ]


@pytest.mark.parametrize("nr_blocks", [1018, 2036, 2399])
def test_a_snapshot_of_another_length_is_an_error_also_where_it_shares_its_blocks(nr_blocks: int) -> None:
    image = make_image(held=Held([1, 2, 2, 0] * 600, {3: {0, 2}}, 4))
    held = read_held_superblock(MemoryBlocks(bytes(image)))
    at = slice(held.location * BLOCK, (held.location + 1) * BLOCK)
    image[at] = pack_superblock(replace(held, nr_blocks=nr_blocks))
    assert check(image).errors
    assert check(image, held=True).errors


def test_a_leaked_block_is_named_and_no_error() -> None:
    image = make_image()
    free = read(image).metadata_space_map.nr_allocated
    set_count(image, free, 2)
    report = check(image)
    assert report.errors == ()
    due = f"leaked: references of block {free} is 1, expected 0"
    assert any(due in each.describe() for each in report.remarks)
    assert report.is_sound(ignore_remarks=True)
    assert not report.is_sound()


@pytest.mark.parametrize(("more", "sound"), [(1, True), (-1, False), (1 << 40, False)])
def test_a_sum_that_promises_no_room_is_a_note(more: int, sound: bool) -> None:
    image = make_image()
    live = read(image)
    root = live.metadata_space_map
    wrong = replace(root, nr_allocated=root.nr_allocated + more)
    image[:BLOCK] = pack_superblock(replace(live, metadata_space_map=wrong))
    report = check(image)
    assert report.errors == ()
    (told,) = report.notes if sound else report.remarks
    assert (told.expected, told.found) == (root.nr_allocated, wrong.nr_allocated)
    assert (report.is_sound(), report.is_sound(ignore_remarks=True)) == (sound, True)
    assert len(report.to_document()["notes"]) == sound


def test_a_block_in_use_that_is_marked_free_is_an_error() -> None:
    image = make_image()
    root = read(image).era_array_root
    set_count(image, root, 0)
    report = check(image)
    assert f"in use and marked free: references of block {root} is 0, expected 1" in report.errors[0].describe()


def test_a_bitmap_with_a_wrong_checksum_is_an_error() -> None:
    image = make_image()
    image[find_bitmap(image) * BLOCK + 2000] ^= 1
    assert "bitmap: checksum" in check(image).errors[0].describe()


def test_a_damaged_current_writeset_is_an_error() -> None:
    image = make_image()
    root = read(image).current_root
    image[root * BLOCK + 1000] ^= 1
    report = check(image)
    assert [each.block for each in report.errors] == [root]
    assert "current writeset of era 5" in report.errors[0].describe()


def test_damage_hides_no_other_damage() -> None:
    image = make_image()
    for root in (read(image).era_array_root, read(image).writeset_tree_root, read(image).current_root):
        image[root * BLOCK + 1000] ^= 1
    report = check(image)
    assert {each.block for each in report.errors} == {
        read(image).era_array_root,
        read(image).writeset_tree_root,
        read(image).current_root,
    }
    assert report.remarks == ()


def test_eras_that_have_not_been_yet() -> None:
    image = bytearray(write_era_metadata([1, 9, 2], {7: {1}}, current_era=5))
    found = [each.describe() for each in check(image).errors]
    assert any("era is 7, expected at most 5" in each for each in found)
    assert any("era of data block 1 is 9, expected at most 5" in each for each in found)


def test_a_damaged_snapshot_superblock_is_an_error() -> None:
    image = make_image(held=Held([1], {}, 3))
    clone = read(image).metadata_snap
    image[clone * BLOCK + 180] ^= 1
    report = check(image)
    assert report.errors[0].block == clone
    assert report.remarks == ()
    assert not check(image, held=True).is_sound()


def test_a_snapshot_that_is_not_held() -> None:
    with pytest.raises(NotFoundError):
        check(make_image(), held=True)


def test_the_superblock_alone() -> None:
    image = make_image()
    image[read(image).era_array_root * BLOCK + 1000] ^= 1
    assert check_superblock(MemoryBlocks(bytes(image))).is_sound()
    image[184] ^= 1
    report = check_superblock(MemoryBlocks(bytes(image)))
    assert "superblock checksum" in report.errors[0].describe()
    assert report.superblock is None
    assert report.to_document()["sound"] is False


def test_a_data_block_size_that_the_kernel_refuses() -> None:
    report = check(make_image(data_block_size=12))
    assert "data block size is 12, expected a multiple of 8 sectors" in report.errors[0].describe()


def test_a_copy_that_was_cut_short() -> None:
    image = make_image()
    whole = read(image).metadata_space_map.nr_blocks
    report = check(image[: -2 * BLOCK])
    assert f"number of blocks is {whole}, expected at most {whole - 2}" in report.errors[0].describe()


def test_a_packed_superblock_is_the_same() -> None:
    image = make_image(held=Held([1], {}, 3), uuid=b"0123456789abcdef", flags=1)
    assert pack_superblock(read(image)) == bytes(image[:BLOCK])
