from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from drystone.base.errors import DamagedError
from drystone.formats.era.check import check_metadata
from drystone.formats.era.eras import EraBatch, iter_eras
from drystone.formats.era.parts import Bits, Head, WritesetHead
from drystone.formats.era.repair import Overrides, open_damaged, repair
from drystone.formats.era.rescue import Rescue
from drystone.formats.era.salvage import Salvage
from drystone.formats.era.superblock import pack_superblock, read_held_superblock, read_superblock
from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.checksum import BTREE_NODE, ERA_SUPERBLOCK, seal_block
from drystone.formats.pdata.memory import MemoryBlocks, MemoryDisk
from drystone.testing.era_metadata import Held, write_era_metadata

SIZE = 34_000


def make_image(*, held: bool = False) -> bytes:
    random = np.random.default_rng(5)
    eras = random.integers(0, 5, SIZE)
    bits = [set(np.flatnonzero(random.random(SIZE) < 0.3).tolist()) for _ in range(4)]
    shown = Held(np.minimum(eras, 3).tolist(), {4: bits[3]}, 5) if held else None
    return write_era_metadata(
        eras.tolist(), {5: bits[0], 6: bits[1], 7: bits[2]}, current=bits[3], current_era=8, held=shown
    )


def read_eras(reader: MemoryBlocks | MemoryDisk) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
    return np.concatenate([batch.eras for batch in iter_eras(reader, read_superblock(reader))])


def list_used(image: bytes) -> Iterator[int]:
    for number in range(1, len(image) // BLOCK):
        if any(image[number * BLOCK : (number + 1) * BLOCK]):
            yield number


def damage(image: bytes, *numbers: int) -> bytes:
    data = bytearray(image)
    for number in numbers:
        data[number * BLOCK + 100] ^= 0xFF
    return bytes(data)


def test_nothing_is_lost_of_sound_metadata() -> None:
    image = make_image()
    disk = MemoryDisk(4 << 20)
    outcome = repair(MemoryBlocks(image), disk)
    assert outcome.losses == ()
    assert outcome.damages == ()
    assert np.array_equal(read_eras(disk), read_eras(MemoryBlocks(image)))


def test_no_write_is_missed_whichever_block_is_damaged() -> None:
    image = make_image()
    truth = read_eras(MemoryBlocks(image))
    lost = 0
    for number in list_used(image):
        disk = MemoryDisk(4 << 20)
        outcome = repair(MemoryBlocks(damage(image, number)), disk)
        found = read_eras(disk)
        assert (found >= truth).all(), number
        worse = np.flatnonzero(found > truth)
        told = np.zeros(SIZE, dtype=bool)
        for loss in outcome.losses:
            told[loss.begin : loss.end] = True
        assert told[worse].all(), number
        lost += bool(outcome.losses)
    assert lost > 35


@pytest.mark.parametrize("held", [False, True])
def test_no_write_is_missed_without_a_superblock(held: bool) -> None:
    image = make_image(held=held)
    truth = read_eras(MemoryBlocks(image))
    for number in [0, *list(list_used(image))[::9]]:
        disk = MemoryDisk(4 << 20)
        outcome = repair(MemoryBlocks(damage(image, 0, number) if number else damage(image, 0)), disk)
        assert outcome.superblock.current_era == 8
        assert (read_eras(disk) >= truth).all()
        assert number or np.array_equal(read_eras(disk), truth)
        assert any(each.tree == "superblock" for each in outcome.damages)


def test_a_superblock_of_zeros_is_replaced_by_that_of_the_snapshot() -> None:
    image = make_image(held=True)
    truth = read_eras(MemoryBlocks(image))
    disk = MemoryDisk(4 << 20)
    outcome = repair(MemoryBlocks(bytes(BLOCK) + image[BLOCK:]), disk)
    assert (read_eras(disk) >= truth).all()
    assert outcome.superblock.data_block_size == 128
    assert outcome.superblock.nr_blocks == SIZE
    assert "current era is taken" in outcome.remarks[0]


def test_no_write_is_missed_with_the_snapshot_alone() -> None:
    image = make_image(held=True)
    truth = read_eras(MemoryBlocks(image))
    disk = MemoryDisk(4 << 20)
    for number in list_used(image):
        if number == read_superblock(MemoryBlocks(image)).metadata_snap:
            continue
        outcome = repair(MemoryBlocks(bytes(BLOCK) + damage(image, number)[BLOCK:]), disk)
        found = read_eras(disk)
        assert (found[:SIZE] >= np.minimum(truth, outcome.superblock.current_era)).all(), number
        assert len(found) >= SIZE
        assert "copy everything" in outcome.remarks[0]


def test_a_current_era_that_cannot_be_is_not_believed() -> None:
    image = bytearray(make_image())
    truth = read_eras(MemoryBlocks(bytes(image)))
    for wrong in (3, 0xFFFFFFFF):
        image[184:188] = wrong.to_bytes(4, "little")
        disk = MemoryDisk(4 << 20)
        outcome = repair(MemoryBlocks(bytes(image)), disk)
        assert outcome.superblock.current_era == 8
        assert (read_eras(disk) >= truth).all()
        assert "not believed" in outcome.remarks[1]


def test_numbers_that_cannot_be_do_not_make_the_result_large() -> None:
    image = bytearray(write_era_metadata([1, 2, 3], {4: {1}}, current_era=5, nr_bits={4: 100}))
    image[180:184] = (2**31 - 1).to_bytes(4, "little")
    image[:BLOCK] = seal_block(bytes(image[:BLOCK]), ERA_SUPERBLOCK)
    root = read_superblock(MemoryBlocks(bytes(image))).era_array_root
    for damaged, taken in ((bytes(image), 3), (damage(bytes(image), root), len(image) // BLOCK * 1018)):
        source = open_damaged(MemoryBlocks(damaged))
        assert next(source.iter_parts()) == Head(128, taken, 5)
        assert source.remarks == [f"2147483647 data blocks are not possible, {taken} are taken"]


def test_bits_beyond_the_last_block_are_left_out() -> None:
    source = open_damaged(MemoryBlocks(write_era_metadata([1, 2, 3], {4: {1, 90}}, current_era=5, nr_bits={4: 100})))
    parts = list(source.iter_parts())
    assert parts[1] == WritesetHead(4, 3)
    assert isinstance(parts[2], Bits)
    assert parts[2].bits.tolist() == [False, True, False]
    assert source.losses == []


def test_eras_that_have_not_been_yet_are_taken_for_the_newest() -> None:
    image = write_era_metadata([1, 9_000_000, 3], {8_000_000: {0}}, current={2}, current_era=5)
    source = open_damaged(MemoryBlocks(image))
    eras = [era for part in source.iter_parts(logical=True) if isinstance(part, EraBatch) for era in part.eras.tolist()]
    assert eras == [5, 5, 5]
    assert ["era is 8000000, expected at most 4" in each.describe() for each in source.damages] == [True, False]


def test_without_any_superblock_there_is_nothing_to_begin_with() -> None:
    disk = MemoryDisk(4 << 20)
    with pytest.raises(DamagedError, match="size of a data block is not known"):
        repair(MemoryBlocks(bytes(BLOCK) + make_image()[BLOCK:]), disk)
    assert not disk.data.any()


def test_a_file_of_less_than_a_block_is_refused() -> None:
    with pytest.raises(DamagedError):
        open_damaged(MemoryBlocks(bytes(100)))


def test_an_era_that_is_the_largest_there_is_stays_so_without_a_superblock() -> None:
    image = damage(write_era_metadata([1, 2, 0xFFFFFFFF, 0], {3: {0}}, current_era=4), 0)
    reader = MemoryBlocks(image)
    disk = MemoryDisk(4 << 20)
    repair(reader, disk, overrides=Overrides(data_block_size=128))
    assert read_eras(disk)[2] == 0xFFFFFFFF


def test_sizes_that_are_given_make_up_for_lost_superblocks() -> None:
    image = make_image()
    truth = read_eras(MemoryBlocks(image))
    for nr_blocks in (None, SIZE, SIZE + 5):
        disk = MemoryDisk(4 << 20)
        overrides = Overrides(data_block_size=256, nr_blocks=nr_blocks)
        superblock = repair(MemoryBlocks(bytes(BLOCK) + image[BLOCK:]), disk, overrides).superblock
        assert (superblock.data_block_size, superblock.nr_blocks) == (256, nr_blocks or SIZE)
        assert (read_eras(disk)[:SIZE] >= truth).all()
    source = open_damaged(MemoryBlocks(image), overrides=Overrides(data_block_size=8, nr_blocks=100))
    assert next(source.iter_parts()) == Head(8, 100, 8)


def test_a_device_that_grew_after_its_snapshot_keeps_its_size_without_a_superblock() -> None:
    image = write_era_metadata(
        [block % 7 + 1 for block in range(3000)],
        {8: {2999, 5}},
        current={7, 2500},
        current_era=9,
        held=Held([1] * 1000, {}, 4),
    )
    truth = read_eras(MemoryBlocks(image))
    disk = MemoryDisk(1 << 20)
    outcome = repair(MemoryBlocks(bytes(BLOCK) + image[BLOCK:]), disk)
    assert outcome.superblock.nr_blocks == 3000
    assert (read_eras(disk) >= truth).all()
    assert outcome.losses == ()


def test_truncated_metadata_keeps_its_number_of_data_blocks() -> None:
    image = make_image()
    for size in (1, 2, 9):
        disk = MemoryDisk(4 << 20)
        outcome = repair(MemoryBlocks(image[: size * BLOCK]), disk)
        assert outcome.superblock.nr_blocks == SIZE
        assert (read_eras(disk) >= read_eras(MemoryBlocks(image))).all()


@pytest.mark.parametrize("nr_blocks", [1, 1018, 2036, 33_999])
def test_too_few_data_blocks_are_not_believed(nr_blocks: int) -> None:
    image = make_image()
    live = read_superblock(MemoryBlocks(image))
    disk = MemoryDisk(4 << 20)
    outcome = repair(MemoryBlocks(pack_superblock(replace(live, nr_blocks=nr_blocks)) + image[BLOCK:]), disk)
    assert np.array_equal(read_eras(disk), read_eras(MemoryBlocks(image)))
    assert outcome.damages[0].describe() == (
        f"block 0: superblock: number of data blocks is {nr_blocks}, expected {SIZE}"
    )


@pytest.mark.parametrize("nr_bits", [0, 10, 64, 32_576, 33_000])
def test_too_few_bits_are_not_believed(nr_bits: int) -> None:
    image = make_image()
    truth = read_eras(MemoryBlocks(image))
    live = read_superblock(MemoryBlocks(image))
    node = bytearray(image[live.writeset_tree_root * BLOCK :][:BLOCK])
    for place in range(3):
        struct.pack_into("<I", node, 32 + 8 * 201 + 12 * place, nr_bits)
    current = pack_superblock(replace(live, current_nr_bits=nr_bits))
    for block, data in ((live.writeset_tree_root, seal_block(bytes(node), BTREE_NODE)), (0, current)):
        damaged = image[: block * BLOCK] + data + image[(block + 1) * BLOCK :]
        with pytest.raises(DamagedError, match="writeset of era"):
            read_eras(MemoryBlocks(damaged))
        disk = MemoryDisk(4 << 20)
        outcome = repair(MemoryBlocks(damaged), disk)
        assert np.array_equal(read_eras(disk), truth)
        assert {each.what for each in outcome.damages} == {"number of bits"}


def test_more_writesets_than_blocks_are_refused_and_taken_for_lost() -> None:
    image = write_era_metadata([1] * 10, {era: {era % 10} for era in range(2, 90)}, current_era=200)
    live = read_superblock(MemoryBlocks(image))
    few = bytes(BLOCK) + image[live.writeset_tree_root * BLOCK :][:BLOCK]
    node = bytearray(few[BLOCK:])
    struct.pack_into("<Q", node, 8, 1)
    few = pack_superblock(replace(live, writeset_tree_root=1)) + seal_block(bytes(node), BTREE_NODE)
    with pytest.raises(DamagedError, match="number of writesets is 88, expected at most 2"):
        read_eras(MemoryBlocks(few))
    assert any("number of writesets" in each.what for each in check_metadata(MemoryBlocks(few)).errors)
    disk = MemoryDisk(1 << 20)
    repair(MemoryBlocks(few), disk)
    assert read_eras(disk).min() == 200


def test_which_reader_is_used() -> None:
    image = make_image()
    assert isinstance(open_damaged(MemoryBlocks(image)), Salvage)
    assert isinstance(open_damaged(MemoryBlocks(damage(image, 0))), Salvage)
    assert isinstance(open_damaged(MemoryBlocks(bytes(BLOCK) + image[BLOCK:])), Rescue)


def test_a_lost_writeset_tree_makes_all_blocks_written_in_the_newest_era_it_may_have_held() -> None:
    image = make_image()
    root = read_superblock(MemoryBlocks(image)).writeset_tree_root
    source = Salvage(MemoryBlocks(damage(image, root)), read_superblock(MemoryBlocks(image)))
    eras = np.concatenate([part.eras for part in source.iter_parts(logical=True) if isinstance(part, EraBatch)])
    assert eras.min() == 7
    assert [(each.what, each.begin, each.end, each.era) for each in source.losses] == [
        ("writeset of era 7", 0, SIZE, 7)
    ]
    assert [each.block for each in source.damages] == [root]


def test_a_pointer_to_another_block_of_the_array_is_not_believed() -> None:
    image = make_image()
    truth = read_eras(MemoryBlocks(image))
    root = read_superblock(MemoryBlocks(image)).era_array_root
    node = bytearray(image[root * BLOCK :][:BLOCK])
    pointers = 32 + 8 * 252
    node[pointers : pointers + 8] = node[pointers + 80 : pointers + 88]
    disk = MemoryDisk(4 << 20)
    damaged = image[: root * BLOCK] + seal_block(bytes(node), BTREE_NODE) + image[(root + 1) * BLOCK :]
    outcome = repair(MemoryBlocks(damaged), disk)
    assert (read_eras(disk) >= truth).all()
    assert [(each.begin, each.end) for each in outcome.losses] == [(0, 1018), (10_180, 11_198)]
    assert len(outcome.damages) == 2


def test_a_pointer_to_an_older_block_makes_the_repair_doubtful() -> None:
    image = write_era_metadata([3] * 3000, {}, current_era=9, held=Held([1] * 3000, {}, 4))
    roots = [read(MemoryBlocks(image)).era_array_root for read in (read_superblock, read_held_superblock)]
    live, held = (bytearray(image[root * BLOCK :][:BLOCK]) for root in roots)
    pointers = slice(32 + 8 * 252, 32 + 8 * 252 + 8)
    live[pointers] = held[pointers]
    damaged = image[: roots[0] * BLOCK] + seal_block(bytes(live), BTREE_NODE) + image[(roots[0] + 1) * BLOCK :]
    assert "copy everything once" in repair(MemoryBlocks(damaged), MemoryDisk(1 << 20)).remarks[-1]
    assert repair(MemoryBlocks(image), MemoryDisk(1 << 20)).remarks == ()
