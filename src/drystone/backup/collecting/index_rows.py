"""Indexes as rows: made from packs' own indexes, put together, and freed of packs that go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from drystone.backup.format.digest import DIGEST
from drystone.backup.format.index_object import MOST_ENTRIES, Index
from drystone.backup.format.pack import Kind


def index_of_pack(pack: bytes, entries: NDArray[np.void]) -> Index:
    """The chunks of a pack, from its own index (dtype INDEX); not sorted."""
    rows = entries[entries["kind"] == Kind.CHUNK]
    digests = np.frombuffer(rows["digest"].tobytes(), np.uint8).reshape(-1, DIGEST)
    return Index([pack], digests, np.zeros(len(rows), np.uint32), rows["offset"], rows["length"])


def without(index: Index, gone: set[bytes]) -> Index:
    """The rows that are not in packs that go."""
    if gone.isdisjoint(index.packs):
        return index
    stays = np.array([pack not in gone for pack in index.packs], dtype=bool)
    rows = stays[index.pack]
    numbers = np.cumsum(stays, dtype=np.uint32) - np.uint32(1)
    return Index(
        [pack for pack in index.packs if pack not in gone],
        index.digests[rows],
        numbers[index.pack[rows]].astype(np.uint32),
        index.offset[rows],
        index.length[rows],
    )


def joined(parts: Iterable[Index], most: int = MOST_ENTRIES) -> Iterator[Index]:
    """All rows of the parts, sorted, each once, in as few indexes as the format allows; none when there are no rows."""
    parts = [part for part in parts if len(part.digests)]
    if not parts:
        return
    packs = sorted({pack for part in parts for pack in part.packs})
    numbers = {pack: number for number, pack in enumerate(packs)}
    digests = np.concatenate([part.digests for part in parts])
    pack = np.concatenate([np.array([numbers[each] for each in part.packs], np.uint32)[part.pack] for part in parts])
    offset = np.concatenate([part.offset for part in parts]).astype(np.uint32)
    length = np.concatenate([part.length for part in parts]).astype(np.uint32)
    words = np.ascontiguousarray(digests).view(">u8")
    order = np.lexsort((offset, pack, words[:, 3], words[:, 2], words[:, 1], words[:, 0]))
    words, pack, offset = words[order], pack[order], offset[order]
    same = (words[1:] == words[:-1]).all(axis=1) & (pack[1:] == pack[:-1]) & (offset[1:] == offset[:-1])
    first = np.concatenate(([True], ~same))
    order, pack, offset = order[first], pack[first], offset[first]
    for begin in range(0, len(order), most):
        rows = slice(begin, begin + most)
        used, places = np.unique(pack[rows], return_inverse=True)
        yield Index(
            [packs[number] for number in used],
            digests[order[rows]],
            places.astype(np.uint32),
            offset[rows],
            length[order[rows]],
        )
