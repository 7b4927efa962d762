"""Which blocks were written since an era, as runs; see eras.py for how the era of a block is known.

Imports no numpy: what is done to every era and every bit is in C. Memory: one step, whatever the size of the device
and however many writesets there are.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from drystone.formats.era import layout
from drystone.formats.era.array import StoredArray, open_stored
from drystone.formats.era.superblock import Superblock
from drystone.formats.era.writesets import Writeset, count_words, read_writesets
from drystone.formats.pdata import native
from drystone.formats.pdata.blocks import BlockReader

RUN = struct.Struct("=QQ")
"""Begin and length of a run, in data blocks."""


def iter_changed_runs(reader: BlockReader, superblock: Superblock, since: int) -> Iterator[bytes]:
    """Runs of data blocks written in era `since` or later, each as RUN has it, many at a time.

    Ascending, merged, also across arrays. The last data block may reach beyond the end of the device. Writesets of
    eras before `since` are not read.

    :raises DamagedError: at the first damaged block.
    """
    eras = open_stored(reader, "era array", layout.ERA_SIZE, superblock.era_array_root, superblock.nr_blocks)
    least = min(max(since, 0), layout.LARGEST_ERA + 1)
    bitsets = [_open_bitset(reader, each) for each in read_writesets(reader, superblock) if each.era >= since]
    held: tuple[int, int] | None = None
    for index, begin in enumerate(range(0, superblock.nr_blocks, layout.STEP)):
        count = min(layout.STEP, superblock.nr_blocks - begin)
        plain = eras.read_bytes(index * layout.ARRAY_LEAVES_A_STEP, layout.ARRAY_LEAVES_A_STEP)
        words = (each.read_bytes(index * layout.LEAVES_A_STEP, layout.LEAVES_A_STEP) for each in bitsets)
        runs = native.find_runs(_join_bits(native.mark_eras(plain, least), words), count, begin)
        held, whole = _hold_last(held, runs, begin + count)
        if whole:
            yield whole
    if held is not None:
        yield RUN.pack(*held)


def _open_bitset(reader: BlockReader, writeset: Writeset) -> StoredArray:
    return open_stored(reader, writeset.name, layout.WORD_SIZE, writeset.root, count_words(writeset))


def _join_bits(bits: bytes, others: Iterator[bytes]) -> bytes:
    """The bits that are set in any; those beyond the end of `bits` are left out."""
    size = len(bits)
    joined = int.from_bytes(bits, "little")
    for words in others:
        joined |= int.from_bytes(words[:size], "little")
    return joined.to_bytes(size, "little")


def _hold_last(held: tuple[int, int] | None, runs: bytes, end: int) -> tuple[tuple[int, int] | None, bytes]:
    """Put the run that is held before `runs`, as one with the first where they touch; and hold the last one when it
    reaches to `end`, as it may go on: the run that is held now, and the others.
    """
    if held is not None:
        first = RUN.unpack_from(runs) if runs else None
        if first is not None and first[0] == sum(held):
            runs = RUN.pack(held[0], held[1] + first[1]) + runs[RUN.size :]
        else:
            runs = RUN.pack(*held) + runs
        held = None
    if runs:
        last = RUN.unpack_from(runs, len(runs) - RUN.size)
        if sum(last) == end:
            return (last[0], last[1]), runs[: -RUN.size]
    return held, runs
