"""Which blocks of new metadata are taken: one after the other from block 1 on, block 0 being the superblock's."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drystone.base.errors import ExhaustedError
from drystone.formats.pdata.blocks import BLOCK, MOST_BLOCKS
from drystone.formats.pdata.counts import ReferenceCounts


class Allocator:
    """Hands out metadata blocks.

    :ivar counts: references to every block, block 0 has one. Whoever refers to a block a second time adds to it:
        `allocator.counts.add(numbers)`.
    :ivar nr_blocks: how many blocks the metadata has: what is asked for, at most MOST_BLOCKS.
    :ivar next: the block that comes next.
    """

    def __init__(self, nr_blocks: int) -> None:
        self.nr_blocks = min(nr_blocks, MOST_BLOCKS)
        self.counts = ReferenceCounts(self.nr_blocks)
        self.counts.add(np.zeros(min(self.nr_blocks, 1), dtype=np.uint64))
        self.next = 1

    def allocate(self, count: int, *, referred: bool = True) -> NDArray[np.uint64]:
        """The numbers of `count` more blocks, ascending neighbours.

        :param referred: each has one reference from now on; False: whoever refers to one counts that.

        :raises ExhaustedError: the metadata is full.
        """
        if count > self.nr_blocks - self.next:
            raise ExhaustedError(
                f"the metadata does not fit {self.nr_blocks} blocks of {BLOCK} bytes",
                hint="write to a larger device or file",
                nr_blocks=self.nr_blocks,
            )
        blocks = np.arange(self.next, self.next + count, dtype=np.uint64)
        self.next += count
        if referred:
            self.counts.add(blocks)
        return blocks
