"""Bitsets of persistent-data: an array of u64 words; bit 64 * i + j is bit j of word i, the lowest first.

How many bits there are is stored elsewhere. Source: persistent-data/dm-bitset.c of Linux 6.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drystone.formats.pdata.array import ArrayKind, survey_array
from drystone.formats.pdata.blocks import BlockReader
from drystone.formats.pdata.layout import WORD, WORD_BITS
from drystone.formats.pdata.survey import Survey


@dataclass(frozen=True, slots=True)
class BitBatch:
    """Neighbouring bits: bit `begin + i` is `bits[i]`; at least one. `begin` is a multiple of 64.

    :ivar bits: bool, without the last word's bits that are beyond the end.
    """

    begin: int
    bits: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.bits)


def iter_bits(reader: BlockReader, name: str, root: int, nr_bits: int, *, batch: int = 16) -> Iterator[BitBatch]:
    """All `nr_bits` bits, ascending: out of at most `batch` array blocks (32576 bits each) at a time.

    :param name: for messages: `writeset 7`.
    :raises DamagedError: at the first damaged block, or the bitset has another length.
    """
    return survey_bits(Survey(reader, strict=True, batch=batch), name, root, nr_bits, count=False)


def survey_bits(
    survey: Survey, name: str, root: int, nr_bits: int, *, owner: int | None = None, count: bool = True
) -> Iterator[BitBatch]:
    """The sound bits of a bitset that may be damaged; see survey_array. Damages' keys are bits."""
    kind = ArrayKind(name, WORD, WORD_BITS)
    words = -(-nr_bits // WORD_BITS)
    for batch in survey_array(survey, kind, root, words, owner=owner, count=count, end=nr_bits):
        begin = batch.begin * WORD_BITS
        yield BitBatch(begin, unpack_bits(batch.values, min(len(batch) * WORD_BITS, nr_bits - begin)))


def unpack_bits(words: NDArray[np.uint64], nr_bits: int) -> NDArray[np.bool_]:
    """The first `nr_bits` bits of words."""
    plain = np.ascontiguousarray(words, dtype=WORD).view(np.uint8)
    return np.unpackbits(plain, count=nr_bits, bitorder="little").view(np.bool_)


def pack_bits(bits: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Bits as words, the last one filled up with zeros."""
    packed = np.packbits(bits, bitorder="little")
    words = np.zeros(-(-len(bits) // WORD_BITS) * WORD.itemsize, dtype=np.uint8)
    words[: len(packed)] = packed
    return words.view(WORD)
