"""Era metadata as a stream of parts, in the order of the XML: what is dumped, what is restored, what a repair saves.

    Head, then for each writeset, the oldest first: WritesetHead, Bits, Bits, ...; then EraBatch, EraBatch, ...

Bits and eras come ascending and without gaps, so that neither side has to hold more than a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from drystone.formats.era.array import OpenArray, Ranges, open_array
from drystone.formats.era.eras import EraBatch, fold, open_era_array
from drystone.formats.era.layout import BITS_A_LEAF
from drystone.formats.era.superblock import Superblock
from drystone.formats.era.writesets import Writeset, get_bits, open_bitset, read_writesets
from drystone.formats.pdata.blocks import BlockReader

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Head:
    """What the superblock says.

    :ivar data_block_size: sectors. :ivar nr_blocks: data blocks.
    """

    data_block_size: int
    nr_blocks: int
    current_era: int


@dataclass(frozen=True, slots=True)
class WritesetHead:
    """A writeset begins: its era, and how many bits follow."""

    era: int
    nr_bits: int


@dataclass(frozen=True, slots=True)
class Bits:
    """Neighbouring bits of the writeset that began last: bit `begin + i` is `bits[i]`."""

    begin: int
    bits: NDArray[np.bool_]


Part = Head | WritesetHead | Bits | EraBatch

_LEAVES = 4
"""Array blocks of a bitset read at once: the bits of 130,304 blocks."""

_ARRAY_LEAVES = 32 * _LEAVES


def iter_parts(reader: BlockReader, superblock: Superblock) -> Iterator[Part]:
    """All that the metadata holds: the archived writesets, the live superblock's current one after them, the array.

    The current writeset comes as the one of the current era, as if the device had been suspended: that is what the
    kernel makes of it when it takes the metadata up again after a crash.

    :raises DamagedError: at the first damaged block.
    """
    return list_parts(partial(open_array, reader), superblock, read_writesets(reader, superblock))


def iter_logical_parts(reader: BlockReader, superblock: Superblock) -> Iterator[Part]:
    """No writesets, and an array with all of them folded in: the newest era of each block.

    :raises DamagedError: at the first damaged block.
    """
    return list_logical_parts(partial(open_array, reader), superblock, read_writesets(reader, superblock))


def list_parts(open_: OpenArray, superblock: Superblock, writesets: Sequence[Writeset]) -> Iterator[Part]:
    """The parts of these writesets and of the array; what open_ raises."""
    yield describe_head(superblock)
    for writeset in writesets:
        yield WritesetHead(writeset.era, writeset.nr_bits)
        yield from _iter_bits(open_bitset(open_, writeset), writeset.nr_bits)
    array = open_era_array(open_, superblock)
    for index, begin in enumerate(range(0, superblock.nr_blocks, _LEAVES * BITS_A_LEAF)):
        yield EraBatch(begin, array.read(index * _ARRAY_LEAVES, _ARRAY_LEAVES))


def list_logical_parts(open_: OpenArray, superblock: Superblock, writesets: Sequence[Writeset]) -> Iterator[Part]:
    """The parts with these writesets folded in; what open_ raises."""
    yield describe_head(superblock)
    yield from fold(open_, superblock, writesets)


def describe_head(superblock: Superblock) -> Head:
    """The first part."""
    return Head(superblock.data_block_size, superblock.nr_blocks, superblock.current_era)


def _iter_bits(words: Ranges, nr_bits: int) -> Iterator[Bits]:
    for index, begin in enumerate(range(0, nr_bits, BITS_A_LEAF * _LEAVES)):
        count = min(BITS_A_LEAF * _LEAVES, nr_bits - begin)
        yield Bits(begin, get_bits(words.read(index * _LEAVES, _LEAVES), count))
