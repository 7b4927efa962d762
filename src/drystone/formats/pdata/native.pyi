"""Passes over the bytes of many metadata blocks, in C (native.c): what is done to every byte and needs no numpy.

A buffer is whatever hands out its bytes in one piece: bytes, bytearray, memoryview, array, a numpy array. `blocks` are
whole blocks of 4096 bytes; numbers are u64 in the machine's own order, one for each block. Blocks may hold any bytes:
no function reads beyond the buffers that it is given. A fault is (place, what, expected, found), the first of each
block that has any, in the order of places.

:raises ValueError: a buffer has another length than the others ask for.
"""

from typing import Any, TypeAlias

from numpy.typing import NDArray
from typing_extensions import Buffer

Bytes: TypeAlias = Buffer | NDArray[Any]
Faults: TypeAlias = list[tuple[int, str, int | str, int]]

def sum_blocks(blocks: Bytes, salt: int, /) -> bytes:
    """The checksums that belong at the heads of blocks: u32 each, in the machine's own order."""

def sum_blocks_by_tables(blocks: Bytes, salt: int, /) -> bytes:
    """The same without the processor's own instruction, as on machines that have none."""

def crc32c(data: Bytes, /) -> int:
    """CRC-32C of any bytes, as RFC 3720 has it: u32. For kilobytes: it keeps the interpreter's lock."""

def crc32c_by_tables(data: Bytes, /) -> int:
    """The same without the processor's own instruction."""

def find_node_faults(
    blocks: Bytes,
    numbers: Bytes,
    lows: Bytes,
    highs: Bytes,
    flags: int,
    value_size: int,
    most: int,
    fewest: int,
    /,
) -> Faults:
    """What is wrong with btree nodes. See btree.find_faults.

    :param numbers: where each was read. :param lows: its keys must be at least these. :param highs: and at most these.
    :param flags: 1 for internal nodes, 2 for leaves. :param most: entries that fit. :param fewest: that must be there.
    """

def find_array_faults(blocks: Bytes, numbers: Bytes, sizes: Bytes, value_size: int, /) -> Faults:
    """What is wrong with array blocks. See array_blocks.find_array_faults.

    :param numbers: where each was read. :param sizes: entries due in each, u64.
    """

def join_entries(blocks: Bytes, value_size: int, entries: int, /) -> bytes:
    """The first `entries` entries of array blocks that are all full but the last."""

def find_above(eras: Bytes, most: int, /) -> tuple[int, int]:
    """Of eras (u32, little-endian), the place of the first that is above `most`, -1 when none is; how many are."""

def mark_eras(eras: Bytes, since: int, /) -> bytes:
    """A bit for each of `eras` (u32, little-endian), set from `since` on; in whole 64-bit words, the lowest first."""

def find_runs(bits: Bytes, count: int, begin: int, /) -> bytes:
    """Runs of set bits among the first `count`: u64 pairs of place and length; bit 0 has the place `begin`.

    :param bits: whole 64-bit words, little-endian, the lowest bit first.
    """

def spell_runs(
    runs: Bytes,
    pieces: tuple[bytes, bytes, bytes],
    ends: bool,
    single: tuple[bytes, bytes],
    singles: bool,
    /,
) -> bytes:
    """A row of text for each of `runs`: pieces[0], the place, pieces[1], the length, pieces[2].

    :param ends: where the run ends (excluded) instead of its length.
    :param singles: runs of one are `single[0]`, the place, `single[1]` instead.
    """
