"""Indexes put together and freed of packs, against plain sets."""

from __future__ import annotations

import random

import numpy as np

from drystone.backup.collecting.index_rows import index_of_pack, joined, without
from drystone.backup.format import index_object
from drystone.backup.format.index_object import Index
from drystone.backup.format.pack import INDEX, Kind

Row = tuple[bytes, bytes, int, int]
EMPTY = Index([], np.empty((0, 32), np.uint8), *(np.empty(0, np.uint32) for _ in range(3)))


def rows_of(index: Index) -> list[Row]:
    columns = zip(index.digests, index.pack.tolist(), index.offset.tolist(), index.length.tolist(), strict=True)
    return [(bytes(digest), index.packs[pack], offset, length) for digest, pack, offset, length in columns]


def pack_index(rng: random.Random, pack: bytes, digests: list[bytes]) -> Index:
    entries = np.array(
        [(each, 32 + 100 * at, 100, 60, Kind.CHUNK, 0, 0) for at, each in enumerate(digests)]
        + [(rng.randbytes(32), 32 + 100 * len(digests), 70, 60, Kind.SEGMENT, 0, 0)],
        dtype=INDEX,
    )
    return index_of_pack(pack, entries)


def test_joined_indexes_hold_every_row_once_in_order() -> None:
    rng = random.Random(3)
    common = [rng.randbytes(32) for _ in range(5)] + [bytes(31) + b"\0", bytes(31) + b"\1", b"\xff" * 32]
    parts = [
        pack_index(rng, rng.randbytes(16), [*common, *(rng.randbytes(32) for _ in range(rng.randrange(40)))])
        for _ in range(6)
    ]
    wanted = {row for part in parts for row in rows_of(part)}
    found = list(joined([*parts, parts[2], EMPTY], most=50))
    assert {row for index in found for row in rows_of(index)} == wanted
    assert sum(len(index.digests) for index in found) == len(wanted)
    assert all(len(index.digests) == 50 for index in found[:-1])
    for index in found:
        parsed = index_object.parse(index_object.encode(index), "an index")  # order and places are checked there
        assert rows_of(parsed) == rows_of(index)


def test_packs_that_go_leave_no_row() -> None:
    rng = random.Random(4)
    parts = [pack_index(rng, rng.randbytes(16), [rng.randbytes(32) for _ in range(9)]) for _ in range(4)]
    (index,) = joined(parts)
    gone = {parts[1].packs[0], parts[2].packs[0], bytes(16)}
    left = without(index, gone)
    assert rows_of(left) == [row for row in rows_of(index) if row[1] not in gone]
    assert len(rows_of(left)) == 18
    assert without(index, {bytes(16)}) is index
    assert list(joined([without(parts[0], set(parts[0].packs)), EMPTY])) == []
