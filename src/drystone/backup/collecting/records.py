"""Records of packs read in long ranges, for copying them as they are and for looking at all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drystone.backup.format.codec import Codec
from drystone.backup.format.pack import HEAD, Kind, Place, Record, make_record
from drystone.backup.vault import Vault
from drystone.base.errors import DamagedError

RANGE = 4 << 20
"""Bytes that are read at once."""
GAP = 64 << 10
"""Bytes that nobody wants and that are read all the same, for one request instead of two."""


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring records of a pack: rows of its index (dtype INDEX) by offset, and the range that holds them."""

    pack: bytes
    rows: NDArray[np.void]
    begin: int
    end: int

    @property
    def place(self) -> Place:
        """The range."""
        return Place(self.pack, self.begin, self.end - self.begin)

    def cut(self, data: memoryview, row: np.void) -> memoryview:
        """The bytes of one record out of the range's."""
        at = int(row["offset"]) - self.begin
        return data[at : at + int(row["length"])]


def runs(pack: bytes, rows: NDArray[np.void]) -> Iterator[Run]:
    """The rows of a pack's index in runs of at most RANGE bytes, or of one record."""
    rows = rows[np.argsort(rows["offset"], kind="stable")]
    ends = rows["offset"].astype(np.int64) + rows["length"]
    first = 0
    for at in range(1, len(rows) + 1):
        begin = int(rows["offset"][first])
        goes_on = at < len(rows) and int(rows["offset"][at]) - int(ends[at - 1]) <= GAP
        if goes_on and int(ends[at]) - begin <= RANGE:
            continue
        yield Run(pack, rows[first:at], begin, int(ends[first:at].max()))
        first = at


def copy_record(vault: Vault, pack: bytes, row: np.void, data: memoryview) -> Record:
    """The record `data` for another pack: its payload as it was compressed, decrypted where it is encrypted.

    Its sum must be that of the head which the pack's index tells, and of the payload: so head and index agree.

    :raises DamagedError: it is not as it was written.
    """
    name, plain = bytes(row["digest"]), int(row["plain"])
    try:
        kind, codec = Kind(row["kind"]), Codec(row["codec"])
    except ValueError as error:
        raise DamagedError(f"the index of pack {pack.hex()} tells of a record that nobody knows: {error}") from error
    stored = make_record(kind, codec, name, data[HEAD:], plain)
    if stored.crc != int.from_bytes(data[:4], "little"):
        raise DamagedError(f"the record at byte {row['offset']} of pack {pack.hex()} is wrong: its checksum differs")
    opener = vault.opener(Place(pack, int(row["offset"]), len(data)))
    if opener is None:
        return stored
    return make_record(kind, codec, name, opener(data[:HEAD], data[HEAD:]), plain, encrypted=True)
