"""Indexes: what was written is read, anything else is damage."""

from __future__ import annotations

import numpy as np
import pytest

from drystone.backup.format import index_object
from drystone.backup.format.digest import checksum
from drystone.backup.format.index_object import MOST_ENTRIES, Index
from drystone.backup.format.pack import Place
from drystone.backup.reading.locate import find_in
from drystone.backup.tuning import Tuning
from drystone.backup.writing.index import ChunkIndex, index_size, make_index, make_table, merge
from drystone.base.errors import DamagedError, UnsupportedError


def rows(count: int, first: int = 0) -> dict[bytes, tuple[bytes, int, int]]:
    return {
        checksum(b"%d" % number): (bytes([number % 7]) * 16, 32 + 100 * number, 100)
        for number in range(first, first + count)
    }


@pytest.mark.parametrize("count", [0, 1, 100])
def test_what_was_written_is_read(count: int) -> None:
    index = make_index(rows(count))
    again = index_object.parse(index_object.encode(index), "it")
    assert again.packs == index.packs == sorted(index.packs)
    for name in ("digests", "pack", "offset", "length"):
        assert (getattr(again, name) == getattr(index, name)).all()
    table = make_table(again)
    for leaf, row in rows(count).items():
        assert list(find_in(again, leaf)) == [Place(*row)]
        assert table.find(leaf) == Place(*row)
    assert list(find_in(again, bytes(32))) == []
    assert table.find(b"\xff" * 32) is None


def test_every_flipped_bit_is_found() -> None:
    data = index_object.encode(make_index(rows(3)))
    for at in range(len(data)):
        with pytest.raises(DamagedError):
            index_object.parse(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], "it")
        with pytest.raises(DamagedError):
            index_object.parse(data[:at], "it")


def sealed(data: bytes) -> bytes:
    """As a writer with a defect would make it."""
    return data[:-32] + checksum(data[:-32])


def test_what_does_not_fit_is_damage() -> None:
    index = make_index(rows(5))
    data = bytearray(index_object.encode(index))
    data[8] = 3
    with pytest.raises(UnsupportedError, match="version 3"):
        index_object.parse(sealed(bytes(data)), "it")
    wrong: list[Index] = [
        Index(index.packs, index.digests[::-1], index.pack, index.offset, index.length),
        Index(index.packs[::-1], index.digests, index.pack, index.offset, index.length),
        Index(index.packs[:-1], index.digests, index.pack, index.offset, index.length),
        Index(index.packs, index.digests, index.pack, index.offset * 0, index.length),
        Index(index.packs, index.digests, index.pack, index.offset, index.length * 0),
        Index(index.packs, index.digests, index.pack, index.offset + (1 << 30), index.length),
    ]
    for each in wrong:
        with pytest.raises(DamagedError):
            index_object.parse(index_object.encode(each), "it")


def test_digests_that_differ_late_are_in_order_too() -> None:
    names = sorted(bytes(31) + bytes([number]) for number in range(1, 9))
    index = make_index(dict.fromkeys(names, (b"p" * 16, 32, 100)))
    assert index_object.parse(index_object.encode(index), "it").digests.tobytes() == b"".join(names)
    swapped = index.digests.copy()
    swapped[[2, 3]] = swapped[[3, 2]]
    with pytest.raises(DamagedError, match="order"):
        index_object.parse(
            index_object.encode(Index(index.packs, swapped, index.pack, index.offset, index.length)), "it"
        )


def test_a_chunk_index_finds_what_was_added_and_hands_all_of_it_on() -> None:
    index = ChunkIndex(1000, 10, (make_table(make_index(rows(50, 1000))),))
    handed: list[Index] = []
    for leaf, row in rows(95).items():
        assert index.find(leaf) is None
        index.add(leaf, Place(*row))
        handed += index.finished()
    for leaf, row in {**rows(95), **rows(50, 1000)}.items():
        assert index.find(leaf) == Place(*row)
    handed += index.finished(last=True)
    assert sum(len(each.digests) for each in handed) == 95
    whole = index_object.parse(index_object.encode(merge(handed)), "it")
    assert {each.tobytes() for each in whole.digests} == set(rows(95))


def test_with_much_memory_an_index_is_no_larger_than_one_can_be() -> None:
    index = ChunkIndex(1 << 20, 1 << 19)
    place = Place(b"p" * 16, 32, 100)
    for number in range(MOST_ENTRIES + 1):
        index.add(number.to_bytes(32, "big"), place)
    assert [len(each.digests) for each in index.finished(last=True)] == [MOST_ENTRIES, 1]


@pytest.mark.parametrize("memory", [48 << 20, 96 << 20, 1400 << 20, 4 << 30, 64 << 30])
def test_indexes_are_of_a_size_that_can_be_and_few_whatever_the_memory(memory: int) -> None:
    tuning = Tuning(memory=memory)
    size = index_size(tuning.own_entries, tuning.index_spill)
    assert min(tuning.own_entries, MOST_ENTRIES) // 2 < size <= MOST_ENTRIES


def test_a_small_chunk_index_forgets_and_hands_on_all_the_same() -> None:
    index = ChunkIndex(20, 10)
    handed: list[Index] = []
    for leaf, row in rows(95).items():
        index.add(leaf, Place(*row))
        handed += index.finished()
    assert len(handed) >= 4, "on the way, not at the end"
    handed += index.finished(last=True)
    assert np.sum([len(each.digests) for each in handed]) == 95
    found = [leaf for leaf in rows(95) if index.find(leaf) is not None]
    assert 5 <= len(found) <= 30
