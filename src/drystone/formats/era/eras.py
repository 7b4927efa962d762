"""When each block was last written: era array, archived writesets and the current one, folded into one answer.

The last era of a block is the highest of: its entry in the era array, the eras of the archived writesets that hold its
bit, and the current era if the current writeset holds its bit. The current writeset is read from the live superblock
only. A writeset that the kernel is digesting is partly in the array already, which does not change the highest.

An array block holds 1018 eras, a block of a bitset the bits of 32576 blocks, which is 32 times as many. So a step of a
multiple of 32576 blocks takes whole blocks of either. Memory: one step, whatever the size of the device and however
many writesets there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from drystone.formats.era import layout
from drystone.formats.era.array import OpenArray, Ranges, open_array
from drystone.formats.era.changed import iter_changed_runs
from drystone.formats.era.superblock import Superblock
from drystone.formats.era.writesets import Writeset, get_bits, open_bitset, read_writesets
from drystone.formats.pdata.blocks import BlockReader

if TYPE_CHECKING:
    from numpy.typing import NDArray

ERA = np.dtype("<u4")


@dataclass(frozen=True, slots=True)
class EraBatch:
    """Neighbouring blocks: block `begin + i` was last written in era `eras[i]`, 0 when never."""

    begin: int
    eras: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.eras)


def open_era_array(open_: OpenArray, superblock: Superblock) -> Ranges:
    """The era array, to be read in ranges."""
    return open_("era array", ERA, superblock.era_array_root, superblock.nr_blocks)


def iter_eras(reader: BlockReader, superblock: Superblock) -> Iterator[EraBatch]:
    """The last era of every data block, ascending and without gaps, from block 0 to nr_blocks - 1.

    `superblock` is the live one or that of a metadata snapshot (read_held_superblock). The live one holds what the
    current era wrote so far; a snapshot holds all that was written in eras below its current_era.

    :raises DamagedError: at the first damaged block.
    """
    return fold(partial(open_array, reader), superblock, read_writesets(reader, superblock))


def fold(open_: OpenArray, superblock: Superblock, writesets: Sequence[Writeset]) -> Iterator[EraBatch]:
    """The era array with these writesets folded in; what open_ raises."""
    array = open_era_array(open_, superblock)
    bitsets = [(each.era, open_bitset(open_, each)) for each in writesets]
    for index, begin in enumerate(range(0, superblock.nr_blocks, layout.STEP)):
        eras = np.array(array.read(index * layout.ARRAY_LEAVES_A_STEP, layout.ARRAY_LEAVES_A_STEP), dtype=np.uint32)
        for era, words in bitsets:
            bits = get_bits(words.read(index * layout.LEAVES_A_STEP, layout.LEAVES_A_STEP), len(eras))
            np.maximum(eras, bits * np.uint32(era), out=eras)
        yield EraBatch(begin, eras)


def iter_changed(reader: BlockReader, superblock: Superblock, since: int) -> Iterator[NDArray[np.uint64]]:
    """Ranges of data blocks written in era `since` or later: arrays of shape (n, 2), begin and length in data blocks.

    Ascending, merged, also across arrays. The last data block may reach beyond the end of the device. Writesets of
    eras before `since` are not read.

    :raises DamagedError: at the first damaged block.
    """
    for runs in iter_changed_runs(reader, superblock, since):
        yield np.frombuffer(bytearray(runs), dtype=np.uint64).reshape(-1, 2)


def find_ranges(flags: NDArray[np.bool_], begin: int) -> NDArray[np.uint64]:
    """Ranges of True: arrays of shape (n, 2), begin and length; the first of `flags` is number `begin`."""
    turns = np.empty(len(flags) + 1, dtype=np.bool_)
    turns[0], turns[-1] = flags[:1].any(), flags[-1:].any()
    np.not_equal(flags[1:], flags[:-1], out=turns[1:-1])
    ranges = np.flatnonzero(turns).reshape(-1, 2).astype(np.uint64)
    ranges[:, 1] -= ranges[:, 0]
    ranges[:, 0] += np.uint64(begin)
    return ranges
