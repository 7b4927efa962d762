"""How much of the machine a backup or restore may use."""

from __future__ import annotations

import os
from dataclasses import dataclass

from drystone.backup.format.codec import LEVEL
from drystone.backup.format.segment import SLOTS
from drystone.base.errors import UsageError
from drystone.base.sizes import format_size
from drystone.kernel.blockdev import BLOCK

CHUNK_SIZE = 1 << 20
"""Bytes: docs/explanation/backups.md has the measurement that chose it."""

_LEAST_MEMORY = 48 << 20
_BATCH = 1 << 20
_PIECE = 2 << 20
FETCH = 2 << 20
"""Bytes that are fetched at once, when records of neighbours in the image are neighbours in a pack."""
PACK_SIZE = 32 << 20
_LOOSE_ENTRY = 320
"""Bytes of memory that an entry takes by itself: a key of 32 bytes, a place, and the dict's own."""
_INDEX_ENTRY = 104
"""Bytes of memory that an entry of the index takes: 52 in its table, and as many while it is sorted."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """The limits of one run.

    :ivar memory: bytes for buffers, packs and the index together; what the interpreter takes comes on top.
    :ivar threads: that read, hash and compress, or fetch, unpack and write; 0: one more than there are cores.
    :ivar chunk_size: bytes, for a volume's first backup; later ones keep it.
    :ivar segment_slots: chunks a map segment, likewise.
    :ivar pack: bytes of a full pack; see `pack_size` for stores that take an object as a whole only.
    :ivar level: zstd's.
    :ivar checkpoint: bytes of the source after which it is put down how far a backup has come.
    :ivar seed: of the sample that proves a delta; None: another one each time.

    :raises UsageError: less memory than a run needs.
    """

    memory: int = 96 << 20
    threads: int = 0
    chunk_size: int = CHUNK_SIZE
    segment_slots: int = SLOTS
    pack: int = PACK_SIZE
    level: int = LEVEL
    checkpoint: int = 1 << 30
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.memory < _LEAST_MEMORY:
            raise UsageError(
                f"{format_size(self.memory)} of memory is too little; {format_size(_LEAST_MEMORY)} will do"
            )

    @property
    def workers(self) -> int:
        """Threads to start."""
        return self.threads or len(os.sched_getaffinity(0)) + 1

    @property
    def pack_size(self) -> int:
        """Bytes of a full pack that is put as a whole. Four are in memory at once: two being filled, two being put."""
        return min(self.pack, self.memory // 6)

    @property
    def piece_size(self) -> int:
        """Bytes of a pack that are put at once where a store takes parts. Four are in memory, and no pack."""
        return min(_PIECE, self.memory // 16) // BLOCK * BLOCK

    @property
    def batch_size(self) -> int:
        """Bytes that one thread reads at once."""
        return _BATCH

    def batches_of(self, chunk_size: int) -> int:
        """Batches under way at once: each holds its plain bytes, and at the worst as many compressed ones.

        Two at least, also of the largest chunks in the least memory.
        """
        room = self.memory - self.memory // 8 - 4 * self.pack_size
        return max(2, min(self.workers + 2, room // (2 * max(_BATCH, chunk_size))))

    @property
    def fetches(self) -> int:
        """Ranges of `FETCH` bytes under way at once: each holds what was fetched, twice on its way from the store, and
        what is unpacked of it."""
        return max(1, min(self.workers + 1, self.memory // (4 * FETCH)))

    @property
    def index_spill(self) -> int:
        """Chunks that are collected one by one before they are sorted into a table. Two lots of them are held."""
        return self.memory // 16 // (2 * _LOOSE_ENTRY)

    @property
    def index_entries(self) -> int:
        """Chunks that the indexes in memory hold: the repository's, and the backup's own."""
        return self.memory // 16 // _INDEX_ENTRY

    @property
    def own_entries(self) -> int:
        """Of these the backup's own: the repository's may be as many, and as many may wait to be put."""
        return self.index_entries // 3
