"""Images in the format qcow2, version 3, written from the beginning to the end; clusters of zeros are left out.

Source: QEMU's docs/interop/qcow2.txt. Clusters of 64 KiB, references counted in 16 bits, no backing file, no snapshots.

    header        the first cluster; written last
    level 1       a table of level 2 tables, as many clusters as it needs
    data          clusters, or compressed ones one behind the other; the level 2 table of each 512 MiB behind its data
    references    blocks of counts, then the table of these blocks
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import numpy as np

from drystone.base.errors import UsageError

CLUSTER = 1 << 16
"""Bytes of a cluster."""

LARGEST = (1 << 22) * (CLUSTER // 8) * CLUSTER
"""Bytes of an image whose level 1 table has 32 MiB, which is the most that QEMU opens: 2 PiB."""

_BITS = 16
_ENTRIES = CLUSTER // 8
"""Entries of a level 2 table: it maps 512 MiB."""
_COUNTS = CLUSTER // 2
"""Counts in a block of references."""
_COPIED = 1 << 63
_COMPRESSED = 1 << 62
_SECTOR = 512
_SECTORS_SHIFT = 62 - (_BITS - 8)
_HEADER = struct.Struct(">4sIQIIQIIQQIIQQQQII")
_WINDOW = -12
"""zlib's window: 4 KiB, without a header, as QEMU unpacks it."""

Write = Callable[[int, bytes | memoryview], None]
"""(offset in the file, bytes). Called in the order of the file, but for the first cluster and the level 1 table."""


def deflate(cluster: memoryview) -> bytes | None:
    """A cluster's compressed bytes; None when that does not pay. For many threads."""
    packer = zlib.compressobj(1, zlib.DEFLATED, _WINDOW)
    packed = packer.compress(cluster) + packer.flush()
    # A compressed cluster takes whole sectors to read.
    return packed if len(packed) <= CLUSTER - 2 * _SECTOR else None


class Qcow2Writer:
    """Takes clusters in ascending order, and lays them out.

    :param size: bytes of the image; in the file they are whole sectors, for QEMU leaves the rest of the last one out.

    :raises UsageError: more than the format has room for.
    """

    def __init__(self, size: int, write: Write) -> None:
        if size > LARGEST:
            raise UsageError(f"an image of {size} bytes is too large for qcow2: {LARGEST} are the most")
        self._size = -(-size // _SECTOR) * _SECTOR
        self._write = write
        tables = -(-size // (_ENTRIES * CLUSTER))
        self._level1 = np.zeros(max(tables, 1), dtype=">u8")
        self._level2 = np.zeros(_ENTRIES, dtype=">u8")
        self._table = 0
        self._end = CLUSTER + _rounded(self._level1.nbytes)
        """Where the next cluster goes; within a cluster when compressed ones come one behind the other."""
        self._counts = np.zeros(1024, dtype=np.uint16)
        self._count(0, self._end)

    def add(self, number: int, cluster: memoryview) -> None:
        """A cluster that is not zeros, all of its 65,536 bytes."""
        self._turn_to(number)
        self._align()
        offset = self._end
        self._write(offset, cluster)
        self._end += CLUSTER
        self._count(offset, CLUSTER)
        self._level2[number % _ENTRIES] = offset | _COPIED

    def add_compressed(self, number: int, packed: bytes) -> None:
        """What `deflate` made of a cluster."""
        self._turn_to(number)
        offset = self._end
        self._write(offset, packed)
        self._end += len(packed)
        self._count(offset, len(packed))
        more = (offset + len(packed) - 1) // _SECTOR - offset // _SECTOR
        self._level2[number % _ENTRIES] = _COMPRESSED | more << _SECTORS_SHIFT | offset

    def finish(self) -> None:
        """Write the last tables, the references and the header."""
        self._end_table()
        self._align()
        table, clusters = self._write_references()
        self._write(CLUSTER, self._level1.tobytes().ljust(_rounded(self._level1.nbytes), b"\0"))
        header = _HEADER.pack(
            b"QFI\xfb", 3, 0, 0, _BITS, self._size, 0, len(self._level1), CLUSTER, table, clusters,
            0, 0, 0, 0, 0, 4, _HEADER.size,
        )  # fmt: skip
        self._write(0, header.ljust(CLUSTER, b"\0"))

    def _turn_to(self, number: int) -> None:
        """Have the level 2 table of a cluster at hand."""
        if number // _ENTRIES != self._table:
            self._end_table()
            self._table = number // _ENTRIES

    def _end_table(self) -> None:
        if not self._level2.any():
            return
        self._align()
        self._write(self._end, self._level2.tobytes())
        self._level1[self._table] = self._end | _COPIED
        self._count(self._end, CLUSTER)
        self._end += CLUSTER
        self._level2[:] = 0

    def _align(self) -> None:
        if rest := -self._end % CLUSTER:
            self._write(self._end, bytes(rest))
            self._end += rest

    def _count(self, offset: int, length: int) -> None:
        """A reference more to each cluster that a range touches."""
        first, last = offset // CLUSTER, (offset + length - 1) // CLUSTER
        if last >= len(self._counts):
            self._counts = np.concatenate((self._counts, np.zeros(max(len(self._counts), last), dtype=np.uint16)))
        self._counts[first : last + 1] += 1

    def _write_references(self) -> tuple[int, int]:
        """Where the table of references is, and how many clusters it has."""
        used = self._end // CLUSTER
        blocks = clusters = 0
        while True:  # the blocks and the table are counted, too
            wanted = -(-(used + blocks + clusters) // _COUNTS)
            room = _rounded(8 * wanted) // CLUSTER
            if (wanted, room) == (blocks, clusters):
                break
            blocks, clusters = wanted, room
        self._count(self._end, (blocks + clusters) * CLUSTER)
        counts = np.zeros(blocks * _COUNTS, dtype=">u2")
        total = used + blocks + clusters
        counts[:total] = self._counts[:total]
        table = np.arange(blocks, dtype=">u8") * CLUSTER + self._end
        self._write(self._end, counts.tobytes())
        at = self._end + blocks * CLUSTER
        self._write(at, table.astype(">u8").tobytes().ljust(clusters * CLUSTER, b"\0"))
        return at, clusters


def _rounded(size: int) -> int:
    """Bytes of whole clusters, one at least."""
    return max(1, -(-size // CLUSTER)) * CLUSTER
