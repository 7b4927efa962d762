"""Reading every block of a device in order, and telling its kind by its checksum's salt: how lost trees are found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drystone.formats.pdata.blocks import BlockReader, count_blocks
from drystone.formats.pdata.btree import BATCH
from drystone.formats.pdata.checksum import SALTS, checksum_blocks
from drystone.formats.pdata.readahead import read_ahead


@dataclass(frozen=True, slots=True)
class ScanBatch:
    """Neighbouring blocks.

    :ivar begin: number of the first. :ivar blocks: shape (n, 4096).
    :ivar salts: uint32, of each block the salt that makes its checksum right: one of checksum.SALTS, or any number when
        it is no block of persistent-data. Compare: `batch.salts == checksum.BTREE_NODE`.
    """

    begin: int
    blocks: NDArray[np.uint8]
    salts: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.salts)


def scan_blocks(reader: BlockReader, *, batch: int = BATCH) -> Iterator[ScanBatch]:
    """All blocks in order, `batch` at a time."""
    limit = count_blocks(reader)
    parts = (np.arange(first, min(first + batch, limit), dtype=np.uint64) for first in range(0, limit, batch))
    for numbers, blocks in read_ahead(reader, parts, lambda part: part):
        stored = blocks[:, :4].copy().view("<u4").reshape(-1)
        yield ScanBatch(int(numbers[0]), blocks, stored ^ checksum_blocks(blocks, 0))


def count_kinds(reader: BlockReader) -> dict[str, int]:
    """How many blocks of each kind of checksum.SALTS there are; kinds that are not there are left out."""
    found: Counter[str] = Counter()
    for batch in scan_blocks(reader):
        for kind, salt in SALTS.items():
            found[kind] += int(np.count_nonzero(batch.salts == salt))
    return {kind: count for kind, count in found.items() if count}
