"""Indexes: where chunks are, by their digest, as arrays (docs/reference/backup-format.md, Indexes)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drystone.backup.format.digest import DIGEST, checksum
from drystone.backup.format.keys import PACK_ID
from drystone.backup.format.pack import check_places
from drystone.base.errors import DamagedError, UnsupportedError

VERSION = 2
MOST_ENTRIES = 1 << 18
"""12 MB: a reader holds whole ones."""

_MAGIC = b"DRYINDX\n"
_FRONT = struct.Struct("<8sIIII")


@dataclass(frozen=True, slots=True)
class Index:
    """Entries ascending by digest; a digest may come more than once.

    :ivar packs: ids, ascending. :ivar digests: shape (n, 32).
    :ivar pack: u32, place in `packs`. :ivar offset, length: u32, bytes, of the record with its head.
    """

    packs: list[bytes]
    digests: NDArray[np.uint8]
    pack: NDArray[np.uint32]
    offset: NDArray[np.uint32]
    length: NDArray[np.uint32]


def encode(index: Index) -> bytes:
    """The object, before it is sealed. At most MOST_ENTRIES entries."""
    front = _FRONT.pack(_MAGIC, VERSION, len(index.digests), len(index.packs), 0)
    data = b"".join(
        (
            front,
            *index.packs,
            index.digests.tobytes(),
            *(column.astype("<u4").tobytes() for column in (index.pack, index.offset, index.length)),
        )
    )
    return data + checksum(data)


def parse(data: bytes, what: str) -> Index:
    """An index out of its object; `what` names it in errors.

    :raises DamagedError: it is not what was written. :raises UnsupportedError: a newer version.
    """
    if len(data) < _FRONT.size + DIGEST:
        raise DamagedError(f"{what} has {len(data)} bytes: no index")
    magic, version, count, pack_count, _ = _FRONT.unpack_from(data)
    if magic != _MAGIC:
        raise DamagedError(f"{what} does not begin as an index does")
    if checksum(memoryview(data)[:-DIGEST]) != data[-DIGEST:]:
        raise DamagedError(f"{what} is not as it was written: its digest differs")
    if version > VERSION:
        raise UnsupportedError(
            f"{what} is of version {version}; this program reads up to {VERSION}", hint="use a newer drystone"
        )
    at = _FRONT.size + pack_count * PACK_ID
    if count > MOST_ENTRIES or len(data) != at + count * (DIGEST + 12) + DIGEST:
        raise DamagedError(f"{what} has {len(data)} bytes, and its tables need others")
    packs = [data[begin : begin + PACK_ID] for begin in range(_FRONT.size, at, PACK_ID)]
    if packs != sorted(set(packs)):
        raise DamagedError(f"{what}: its packs are not in order")
    digests = np.frombuffer(data, np.uint8, count * DIGEST, at).reshape(count, DIGEST)
    at += count * DIGEST
    pack, offset, length = (np.frombuffer(data, "<u4", count, at + 4 * count * column) for column in range(3))
    found = Index(packs, digests, pack, offset, length)
    _check(found, what)
    return found


def _check(index: Index, what: str) -> None:
    words = index.digests.view(">u8")
    for column in range(4):
        # Where all columns before are equal, this one must not fall.
        before = (words[1:, :column] == words[:-1, :column]).all(axis=1)
        if (before & (words[1:, column] < words[:-1, column])).any():
            raise DamagedError(f"{what}: its digests are not in order")
    check_places(len(index.packs), index.pack, index.offset, index.length, what)
