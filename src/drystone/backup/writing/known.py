"""What a new backup may refer to: chunks that the repository's indexes tell of, whose packs are to stay."""

from __future__ import annotations

import contextlib

import numpy as np
from numpy.typing import NDArray

from drystone.backup.format.index_object import Index
from drystone.backup.reading.locate import Locator
from drystone.backup.writing.index import Table, make_table
from drystone.backup.writing.spoilt import Spoilt


def load_known(locator: Locator, spoilt: Spoilt, most: int, objects: int) -> tuple[Table, ...]:
    """Tables of the newest entries of the repository's indexes: `most` entries of so many `objects` at most.

    Left out is what lies in a pack that is doomed, removed or moved, and records known as damaged. Whether a pack is
    there is asked when a chunk is found in it (`Presence`). Cost: the indexes that are read.
    """
    tables: list[Table] = []
    left = most
    unwanted = locator.state.going() | {bytes.fromhex(each) for each in locator.state.moved}
    with contextlib.closing(locator.indexes(objects)) as indexes:
        for index in indexes:
            if left <= 0:
                break
            keep = _usable(index, unwanted, spoilt)
            if keep.sum() > left:
                keep[np.flatnonzero(keep)[left:]] = False
            left -= int(keep.sum())
            tables.append(make_table(index, keep))
    return tuple(tables)


def _usable(index: Index, unwanted: set[bytes], spoilt: Spoilt) -> NDArray[np.bool_]:
    wanted = np.array([pack not in unwanted for pack in index.packs], dtype=bool)
    keep: NDArray[np.bool_] = wanted[index.pack] if len(index.packs) else np.zeros(0, dtype=bool)
    return keep & ~spoilt.mark(index.packs, index.pack, index.offset)
