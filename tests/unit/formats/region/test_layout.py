"""The layout is the one of docs/reference/region-format.md: numbers from the page, not from the code."""

from __future__ import annotations

import struct
from uuid import UUID

import google_crc32c
import pytest
from blake3 import blake3
from msgspec.structs import replace

from drystone.base.errors import DamagedError
from drystone.formats.region.drafts import Draft, first_root
from drystone.formats.region.layout import ENTRIES, MOST_KEPT, ROOM, count_levels
from drystone.formats.region.slots import Root, Slot, build_slot, first_page_zero
from drystone.formats.region.transactions import first_change, next_change
from drystone.formats.region.trees import Reached

GROUP = UUID("00112233-4455-6677-8899-aabbccddeeff")
REGION = UUID("ffeeddcc-bbaa-9988-7766-554433221100")


def test_a_slot_byte_by_byte() -> None:
    committed = Root(7, 4001, 3, b"h" * 32, b"p" * 32, b"d" * 32)
    after = Root(8, 5, 4, b"H" * 32, b"h" * 32, b"D" * 32)
    data = build_slot(Slot(GROUP, REGION, 9, 256, 5, committed, after, (b"r" * 32,), 1))
    assert len(data) == 512
    assert data[:8] == b"DVM-SLOT"
    assert struct.unpack_from("<HBBI", data, 8) == (1, 1, 5, 1)
    assert data[16:32] == GROUP.bytes
    assert data[32:48] == REGION.bytes
    assert struct.unpack_from("<QQ", data, 48) == (9, 256)
    assert struct.unpack_from("<QQQQ", data, 64) == (7, 4001, 3, 0)
    assert data[96:192] == b"h" * 32 + b"p" * 32 + b"d" * 32
    assert struct.unpack_from("<QQQQ", data, 192) == (8, 5, 4, 0)
    assert data[224:320] == b"H" * 32 + b"h" * 32 + b"D" * 32
    assert data[320:448] == b"r" * 32 + bytes(96)
    assert not any(data[448:508])
    assert struct.unpack_from("<I", data, 508)[0] == google_crc32c.value(data[:508])


def test_a_transaction_hashes_its_data_and_its_past() -> None:
    first = first_change(GROUP)
    content = blake3(b"").digest()
    head = b"drystone region 1\n" + GROUP.bytes
    assert first.hash == blake3(head + struct.pack("<QQ", 0, 0) + bytes(32) + content).digest()
    data = b"a" * 4000 + b"b"
    leaves = blake3(b"\0" + b"a" * 4000).digest() + blake3(b"\0b").digest()
    second = next_change(first, data)
    content = blake3(leaves).digest()
    assert second.hash == blake3(head + struct.pack("<QQ", 1, 4001) + first.hash + content).digest()


def test_numbers_of_transactions_have_an_end() -> None:
    change = replace(first_change(GROUP), sequence=(1 << 64) - 2)
    last = next_change(change, b"")
    assert (last.sequence, len(last.hash)) == ((1 << 64) - 1, 32)
    with pytest.raises(DamagedError, match="cannot be followed"):
        next_change(last, b"")


def test_the_first_root_page_byte_by_byte() -> None:
    change = first_change(GROUP)
    root, page = first_root(change)
    assert page[:8] == b"DVM-PAGE"
    assert struct.unpack_from("<HBBI", page, 8) == (1, 3, 0, 1)
    assert page[16:32] == GROUP.bytes
    assert struct.unpack_from("<QQ", page, 32) == (0, 0)
    assert page[48:80] == change.hash
    assert struct.unpack_from("<QQQQ", page, 96) == (0, 0, 0, 0)
    assert page[128:224] == change.content + bytes(64)
    assert not any(page[224:])
    assert root == Root(0, 0, 1, change.hash, bytes(32), blake3(page).digest())


def test_data_and_tables_byte_by_byte() -> None:
    change = next_change(first_change(GROUP), b"a" * 4000 + b"bc")
    draft = Draft("here", 16, Reached())
    version = draft.add_version(change, b"a" * 4000 + b"bc")
    whole, rest, table = draft.pages[1], draft.pages[2], draft.pages[3]
    assert whole[96:] == b"a" * 4000
    assert struct.unpack_from("<HBBI", rest, 8) == (1, 1, 0, 2)
    assert struct.unpack_from("<QQ", rest, 32) == (1, 1)
    assert rest[48:80] == change.hash
    assert rest[96:] == b"bc" + bytes(3998)
    assert struct.unpack_from("<HBBI", table, 8) == (1, 2, 1, 2)
    entries = struct.pack("<Q", 1) + blake3(b"\0" + b"a" * 4000).digest()
    entries += struct.pack("<Q", 2) + blake3(b"\0bc").digest()
    assert table[96:] == entries.ljust(4000, b"\0")
    assert version.top is not None
    assert (version.top.page, version.top.digest) == (3, blake3(table).digest())


def test_slot_0_begins_a_region() -> None:
    root, _ = first_root(first_change(GROUP))
    page = first_page_zero(Slot(GROUP, REGION, 1, 16, 2, root))
    assert page[:8] == b"DVM-SLOT"
    assert not any(page[512:])


@pytest.mark.parametrize(
    ("length", "levels"),
    [(0, 0), (1, 1), (4000, 1), (400_000, 1), (400_001, 2), (40_000_000, 2), (40_000_001, 3), (64 << 20, 3)],
)
def test_levels_of_tables(length: int, levels: int) -> None:
    assert count_levels(length) == levels


def test_room() -> None:
    assert (ROOM, ENTRIES, MOST_KEPT) == (4000, 100, 31)
