"""The compiled passes, each held against plain Python on random bytes."""

from __future__ import annotations

import random
import struct
from array import array
from itertools import pairwise

import google_crc32c
import numpy as np
import pytest

from drystone.formats.pdata import native
from drystone.formats.pdata.blocks import BLOCK

RANDOM = random.Random(7)


def make_blocks(count: int) -> bytes:
    return RANDOM.randbytes(count * BLOCK)


@pytest.mark.parametrize("count", [0, 1, 3, 4, 9])
@pytest.mark.parametrize("sum_blocks", [native.sum_blocks, native.sum_blocks_by_tables])
def test_checksums_are_those_of_another_library(count: int, sum_blocks: object) -> None:
    assert callable(sum_blocks)
    blocks = make_blocks(count)
    places = range(0, len(blocks), BLOCK)
    due = [google_crc32c.value(blocks[place + 4 : place + BLOCK]) ^ 0xFFFFFFFF ^ 12345 for place in places]
    assert array("I", sum_blocks(blocks, 12345)).tolist() == due


def test_a_checksum_that_is_known() -> None:
    block = bytes(4) + b"123456789".ljust(BLOCK - 4, b"\0")
    assert google_crc32c.value(b"123456789") == 0xE3069283
    stored = int.from_bytes(native.sum_blocks(block, 0), "little")
    assert stored == google_crc32c.value(block[4:]) ^ 0xFFFFFFFF


@pytest.mark.parametrize("length", [*range(20), 511, 512, 4092, 4096, 100_001])
def test_sums_of_any_bytes(length: int) -> None:
    data = RANDOM.randbytes(length)
    due = google_crc32c.value(data)
    assert native.crc32c(data) == native.crc32c_by_tables(data) == native.crc32c(bytearray(data)) == due
    with pytest.raises(TypeError):
        native.crc32c("text")  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize("bad", [b"x", bytes(BLOCK - 1), bytes(BLOCK + 1)])
def test_parts_of_blocks_are_refused(bad: bytes) -> None:
    numbers = array("Q", [1])
    with pytest.raises(ValueError, match="blocks of 4096 bytes"):
        native.sum_blocks(bad, 0)
    with pytest.raises(ValueError, match="blocks of 4096 bytes"):
        native.find_node_faults(bad, numbers, numbers, numbers, 2, 8, 252, 1)
    with pytest.raises(ValueError, match="blocks of 4096 bytes"):
        native.find_array_faults(bad, numbers, numbers, 8)
    with pytest.raises(ValueError, match="blocks of 4096 bytes"):
        native.join_entries(bad, 8, 0)


def test_columns_of_another_length_are_refused() -> None:
    one, two = array("Q", [1]), array("Q", [1, 2])
    for columns in ((two, one, one), (one, two, one), (one, one, two)):
        with pytest.raises(ValueError, match="one length"):
            native.find_node_faults(bytes(BLOCK), *columns, 2, 8, 252, 1)
    for pair in ((two, one), (one, two)):
        with pytest.raises(ValueError, match="one length"):
            native.find_array_faults(bytes(BLOCK), *pair, 8)


def test_sizes_that_cannot_be_are_refused() -> None:
    one = array("Q", [1])
    with pytest.raises(ValueError, match="fit a node"):
        native.find_node_faults(bytes(BLOCK), one, one, one, 2, 0, 1 << 30, 1)
    for size in (0, BLOCK):
        with pytest.raises(ValueError, match="value size"):
            native.find_array_faults(bytes(BLOCK), one, one, size)
    for size, entries in ((8, -1), (8, 510), (0, 1), (1 << 31, 1)):
        with pytest.raises(ValueError, match="more entries"):
            native.join_entries(bytes(BLOCK), size, entries)
    with pytest.raises(ValueError, match="more bits"):
        native.find_runs(bytes(8), 65, 0)
    with pytest.raises(ValueError, match="more bits"):
        native.find_runs(bytes(7), 1, 0)


def test_random_blocks_fail_by_their_checksums() -> None:
    numbers = array("Q", range(5))
    faults = native.find_node_faults(make_blocks(5), numbers, numbers, numbers, 2, 8, 252, 1)
    assert [(place, what) for place, what, _, _ in faults] == [(place, "checksum") for place in range(5)]
    faults = native.find_array_faults(make_blocks(5), numbers, numbers, 8)
    assert [(place, what) for place, what, _, _ in faults] == [(place, "checksum") for place in range(5)]


@pytest.mark.parametrize(("size", "entries"), [(8, 0), (8, 1), (8, 509), (8, 510), (8, 1018), (4, 1019), (4, 2036)])
def test_entries_are_joined(size: int, entries: int) -> None:
    blocks = make_blocks(2)
    most = (BLOCK - 24) // size
    plain = blocks[24 : 24 + most * size] + blocks[BLOCK + 24 : BLOCK + 24 + most * size]
    assert native.join_entries(blocks, size, entries) == plain[: entries * size]


def test_what_is_above() -> None:
    eras = struct.pack("<6I", 3, 9, 2, (1 << 32) - 1, 9, 0)
    assert native.find_above(eras, (1 << 32) - 1) == (-1, 0)
    assert native.find_above(eras, 9) == (3, 1)
    assert native.find_above(eras, 8) == (1, 3)
    assert native.find_above(b"", 0) == (-1, 0)


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 1000])
@pytest.mark.parametrize("since", [0, 1, 5, 1 << 32])
def test_eras_as_bits(count: int, since: int) -> None:
    eras = [RANDOM.choice([0, 4, 5, 6, (1 << 32) - 1]) for _ in range(count)]
    bits = int.from_bytes(native.mark_eras(struct.pack(f"<{count}I", *eras), since), "little")
    assert [bits >> place & 1 for place in range(count)] == [int(era >= since) for era in eras]
    assert bits >> count == 0


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 128, 1000])
@pytest.mark.parametrize("density", [0.0, 0.02, 0.5, 0.98, 1.0])
def test_runs_of_bits(count: int, density: float) -> None:
    bits = [RANDOM.random() < density for _ in range(count)]
    words = -(-count // 64) + 1
    beyond = RANDOM.getrandbits(words * 64) >> count << count
    plain = (sum(bit << place for place, bit in enumerate(bits)) | beyond).to_bytes(8 * words, "little")
    runs = np.frombuffer(native.find_runs(plain, count, 1000), dtype=np.uint64).reshape(-1, 2).tolist()
    found = [False] * count
    for begin, length in runs:
        assert not any(found[begin - 1000 : begin - 1000 + length])
        found[begin - 1000 : begin - 1000 + length] = [True] * length
    assert found == bits
    assert all(first[0] + first[1] < second[0] for first, second in pairwise(runs))


def test_rows_of_text() -> None:
    largest = (1 << 64) - 1
    runs = struct.pack("=6Q", 0, 1, 10, 20, largest, 0)
    pieces, single = (b"<", b" ", b">"), (b"[", b"]")
    assert native.spell_runs(runs, pieces, False, single, False) == b"<0 1><10 20><%d 0>" % largest
    assert native.spell_runs(runs, pieces, True, single, True) == b"[0]<10 30><%d %d>" % (largest, largest)
    assert native.spell_runs(b"", pieces, True, single, True) == b""
