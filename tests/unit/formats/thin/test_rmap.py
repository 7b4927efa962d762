from __future__ import annotations

import pytest

from drystone.formats.pdata.memory import MemoryBlocks
from drystone.formats.thin.rmap import find_uses, format_uses, merge_regions
from drystone.formats.thin.superblock import read_superblock
from drystone.testing.thin_metadata import BlockMap, write_thin_metadata

FIRST: BlockMap = {block + 7: (block, block % 2) for block in range(20)}
DEVICES: dict[int, BlockMap] = {1: FIRST, 2: {block: block for block in range(10)}, 5: FIRST, 9: {0: 0, 50: 3, 51: 300}}


def spell(*regions: tuple[int, int], first_only: bool = False) -> list[str]:
    reader = MemoryBlocks(write_thin_metadata(DEVICES, fan_out=4))
    uses = find_uses(reader, read_superblock(reader), merge_regions(regions), first_only=first_only)
    return format_uses(uses).tobytes().decode().splitlines()


def test_all_devices_in_order_of_data_blocks() -> None:
    assert spell((0, 5)) == [
        "data 0..1 -> thin(9) 0..1",
        "data 0..5 -> thin(1) 7..12",
        "data 0..5 -> thin(2) 0..5",
        "data 0..5 -> thin(5) 7..12",
        "data 3..4 -> thin(9) 50..51",
    ]


def test_only_the_first_of_those_that_share_a_leaf() -> None:
    assert "data 0..5 -> thin(5) 7..12" not in spell((0, 5), first_only=True)
    assert len(spell((0, 5), first_only=True)) == 4


def test_several_regions() -> None:
    assert spell((300, 301), (18, 19), (0, 1))[-3:] == [
        "data 18..19 -> thin(1) 25..26",
        "data 18..19 -> thin(5) 25..26",
        "data 300..301 -> thin(9) 51..52",
    ]


def test_nothing_is_there() -> None:
    assert spell((1000, 2000)) == []


@pytest.mark.parametrize(
    ("regions", "merged"),
    [
        ([(5, 9), (0, 5)], [(0, 9)]),
        ([(0, 10), (2, 3)], [(0, 10)]),
        ([(0, 1), (2, 3)], [(0, 1), (2, 3)]),
    ],
)
def test_regions_are_merged(regions: list[tuple[int, int]], merged: list[tuple[int, int]]) -> None:
    assert merge_regions(regions) == merged
