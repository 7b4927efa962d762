from __future__ import annotations

import pytest

from drystone.base.errors import DamagedError, UsageError
from drystone.formats.pdata.memory import MemoryBlocks
from drystone.formats.thin.ls import Listed, list_devices
from drystone.formats.thin.ls_text import DEFAULT, FIELDS, find_fields, format_amount, format_table
from drystone.formats.thin.superblock import read_superblock
from drystone.testing.thin_metadata import BlockMap, write_thin_metadata

FIRST = {block: 100 + block for block in range(16)}
DEVICES: dict[int, BlockMap] = {1: FIRST, 2: FIRST | {5: 900}, 3: {0: 100, 1: 950}, 10: {}, 11: {40: 999}}


def list_all(devices: dict[int, BlockMap] = DEVICES, *, share: bool = True, limit: int = 1000) -> list[Listed]:
    reader = MemoryBlocks(write_thin_metadata(devices, fan_out=4, share=share, details={2: (3, 1, 1)}))
    return list_devices(reader, read_superblock(reader), limit, count=True, highest=True)


@pytest.mark.parametrize("share", [True, False])
def test_exclusive_blocks_are_mapped_by_one_device_whatever_leaves_are_shared(share: bool) -> None:
    listed = list_all(share=share)
    assert [(each.details.dev_id, each.exclusive, each.shared, each.highest) for each in listed] == [
        (1, 1, 15, 15),
        (2, 1, 15, 15),
        (3, 1, 1, 1),
        (10, 0, 0, None),
        (11, 1, 0, 40),
    ]


def test_what_is_not_asked_for_is_not_read() -> None:
    reader = MemoryBlocks(write_thin_metadata(DEVICES, fan_out=4))
    superblock = read_superblock(reader)
    list_devices(reader, superblock, 1000, count=True, highest=True)
    most = reader.blocks_read
    assert list_devices(reader, superblock, 1000, count=False, highest=False)[0] == Listed(
        list_all()[0].details, None, None
    )
    assert reader.blocks_read - most < most - 20


def test_a_data_block_beyond_the_end_is_named() -> None:
    with pytest.raises(DamagedError, match="data block is 999, expected below 999"):
        list_all(limit=999)


def test_the_table() -> None:
    fields = find_fields(
        "DEV,MAPPED_BLOCKS,EXCLUSIVE_SECTORS,SHARED_BYTES,SHARED,HIGHEST_BLOCK,HIGHEST_MAPPED,TRANSACTION"
    )
    lines = list(format_table(fields, list_all()[1:4:2], 65536, headers=True))
    assert lines == [
        "DEV MAPPED_BLOCKS EXCLUSIVE_SECTORS SHARED_BYTES SHARED HIGHEST_BLOCK HIGHEST_MAPPED TRANSACTION \n",
        "  2            16               128       983040 960KiB            15        1024KiB           3 \n",
        " 10             0                 0            0     0b             0             0b           0 \n",
    ]
    assert list(format_table(find_fields("DEV,SHARED"), list_all()[3:4], 65536, headers=False, old=True)) == ["10 0 \n"]


def test_no_devices() -> None:
    assert list(format_table([FIELDS[name] for name in DEFAULT], [], 65536, headers=False)) == []
    assert list(format_table([FIELDS["DEV"]], [], 65536, headers=True)) == ["DEV \n"]


@pytest.mark.parametrize("text", ["", "DEV,", "dev", "DEV,FOO", "HIGHEST_BLOCKS"])
def test_fields_that_are_not_known(text: str) -> None:
    with pytest.raises(UsageError, match="is not known"):
        find_fields(text)


@pytest.mark.parametrize(
    ("blocks", "text"),
    [
        (1, "64KiB"),
        (128, "8192KiB"),
        (129, "8MiB"),
        (16 * 8 + 7, "8MiB"),
        (16 * 8 + 8, "9MiB"),
        (16 * 1023 + 8, "1024MiB"),
        (16 * 1024 + 8, "1024MiB"),
        (16 * 8192, "8192MiB"),
        (16 * 8192 + 24, "8GiB"),
        (16 * 8704, "9GiB"),
        (1100048498688, "64PiB"),
        (1 << 50, "64EiB"),
    ],
)
def test_amounts_as_both_versions_print_them(blocks: int, text: str) -> None:
    assert format_amount(blocks * 65536) == text


def test_amounts_in_bytes() -> None:
    assert [format_amount(each) for each in (0, 1, 8192, 8193)] == ["0b", "1b", "8192b", "8KiB"]
    assert format_amount(0, old=True) == "0"
