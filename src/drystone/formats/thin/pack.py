"""Packing thin metadata: all blocks that hold something, made small, in one file; and the way back.

The format is that of thin_metadata_pack 1.x, pack version 3: what one of them packs the other unpacks.

    u64 magic, u64 version 3, u64 block size 4096, u64 blocks of the metadata device
    sections: u64 length, so many bytes of zlib; unpacked: blocks one after the other, each
        u64 number, then code until 4096 bytes are there (packed_numbers.py, and these:)
        9n bytes     n bytes as they are             an x bytes   x bytes as they are, x a number of n bytes
        bn b codes   n * 256 + b mappings: first their data blocks, then their times; (block << 24) + time each

Blocks are told by their checksums, so what is free but has been metadata is packed too, and a block that is damaged is
not: 1.x refuses it when unpacking. Numbers are little-endian. Memory: some 50 MB, a dozen batches of blocks.
"""

from __future__ import annotations

import struct
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from drystone.base.errors import DamagedError, UnsupportedError
from drystone.formats.pdata.blocks import BLOCK, MOST_BLOCKS, BlockReader, BlockWriter
from drystone.formats.pdata.btree import view_nodes
from drystone.formats.pdata.checksum import BTREE_NODE, SALTS
from drystone.formats.pdata.layout import INTERNAL, LEAF
from drystone.formats.pdata.scan import ScanBatch, scan_blocks
from drystone.formats.pdata.superblock import clear_superblock_block, write_superblock_block
from drystone.formats.thin import layout
from drystone.formats.thin.mappings import MAPPINGS
from drystone.formats.thin.packed_numbers import decode_numbers, decode_step, encode_rows

MAGIC = 0xA537A0AA6309EF77
VERSION = 3
HEADER = struct.Struct("<4Q")

_NUMBER = struct.Struct("<Q")
_BLOCKS_A_SECTION = 1024
_WORKERS = 2
_LONGEST = 1 << 16
"""Bytes of code for one block at most: nine for every eight are enough."""

_PIECE = 1 << 20
_HEAD = 32
_FEW, _MANY, _MAPPINGS = 9, 10, 11


@dataclass(frozen=True, slots=True)
class Packed:
    """How many blocks were packed or unpacked, and how many were left out as neither empty nor sound."""

    blocks: int
    left_out: int = 0


def iter_packed(reader: BlockReader, tally: list[Packed]) -> Iterator[bytes]:
    """The bytes of the packed file. At the end what was done is appended to `tally`.

    :raises OSError: the device failed.
    """
    yield HEADER.pack(MAGIC, VERSION, BLOCK, reader.size // BLOCK)
    packed = left_out = 0
    with ThreadPoolExecutor(_WORKERS) as pool:
        waiting: deque[Future[bytes]] = deque()
        for batch in scan_blocks(reader, batch=_BLOCKS_A_SECTION):
            sound = np.isin(batch.salts, list(SALTS.values()))
            packed += int(sound.sum())
            left_out += int((~sound & batch.blocks.any(axis=1)).sum())
            if sound.any():
                waiting.append(pool.submit(_pack_section, batch, sound))
            while len(waiting) > _WORKERS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    tally.append(Packed(packed, left_out))


def read_header(file: BinaryIO) -> int:
    """Blocks of the metadata device that was packed. All sections are read and their checksums checked, and the file is
    left where they begin: so that a file that was cut short is known before anything is written.

    :raises DamagedError: it is no packed metadata, or is damaged. :raises UnsupportedError: of another version.
    """
    head = file.read(HEADER.size)
    if len(head) < HEADER.size or _NUMBER.unpack_from(head)[0] != MAGIC:
        raise DamagedError(
            "this is no packed thin metadata", what="magic", expected=MAGIC, hint="thin_metadata_pack makes it"
        )
    _, version, size, blocks = HEADER.unpack(head)
    if version != VERSION:
        raise UnsupportedError(f"packed metadata of version {version}, expected {VERSION}", found=version)
    if size != BLOCK or not 0 < blocks <= MOST_BLOCKS:
        raise DamagedError(
            f"packed metadata of {blocks} blocks of {size} bytes, expected 1 to {MOST_BLOCKS} of {BLOCK}",
            what="header",
            found=blocks,
        )
    for length in _iter_sections(file):
        for _ in _inflate(file, length):
            pass
    file.seek(HEADER.size)
    return int(blocks)


def unpack(file: BinaryIO, blocks: int, disk: BlockWriter) -> Packed:
    """Write the blocks of a packed file, whose header was read, to `disk`; those that it lacks are left as they are.

    Durable when it returns. The superblock is cleared first and written last.

    :param blocks: what read_header gave. `disk` has that many at least.
    :raises DamagedError: the file is damaged.
    """
    count = 0
    superblock: bytes | None = None
    numbers: list[int] = []
    data: list[bytes] = []

    def flush() -> None:
        if numbers:
            order = np.argsort(np.array(numbers), kind="stable")
            found = np.frombuffer(b"".join(data), dtype=np.uint8).reshape(-1, BLOCK)
            disk.write_blocks(np.array(numbers, dtype=np.uint64)[order], found[order])
            numbers.clear()
            data.clear()

    clear_superblock_block(disk)
    for number, block in _iter_blocks(file):
        if number >= blocks:
            raise DamagedError(f"packed block {number} is not below {blocks}", block=number, what="block number")
        count += 1
        if number == 0:
            superblock = block
            continue
        numbers.append(number)
        data.append(block)
        if len(numbers) == _BLOCKS_A_SECTION:
            flush()
    flush()
    if superblock is None:
        disk.flush()
    else:
        write_superblock_block(disk, 0, superblock)
    return Packed(count)


def _pack_section(batch: ScanBatch, sound: NDArray[np.bool_]) -> bytes:
    """A section with the sound blocks of a batch."""
    nodes = view_nodes(batch.blocks, MAPPINGS, leaf=True)
    node = (
        sound
        & (batch.salts == BTREE_NODE)
        & (nodes["value_size"] == 8)
        & (nodes["max_entries"] == nodes["keys"].shape[1])
    )
    codes: dict[int, list[bytes]] = {}
    for kind in (LEAF, INTERNAL):
        places = np.flatnonzero(node & (nodes["flags"] == kind))
        if len(places):
            parts = _encode_nodes(nodes["keys"][places], nodes["values"][places], mappings=kind == LEAF)
            codes.update(zip(places.tolist(), parts, strict=True))
    out: list[bytes] = []
    for place in np.flatnonzero(sound).tolist():
        raw = batch.blocks[place].tobytes()
        out.append(_NUMBER.pack(batch.begin + place))
        if place in codes:
            out += [_copy(raw[:_HEAD]), *codes[place], _copy(raw[_HEAD + 16 * nodes["keys"].shape[1] :])]
        else:
            out.append(_copy(raw))
    packed = zlib.compress(b"".join(out))
    return _NUMBER.pack(len(packed)) + packed


def _encode_nodes(keys: NDArray[np.uint64], values: NDArray[np.uint64], *, mappings: bool) -> Iterable[list[bytes]]:
    """The code of keys and values of nodes with values of 8 bytes."""
    heads = encode_rows(keys)
    if not mappings:
        return [list(each) for each in zip(heads, encode_rows(values), strict=True)]
    count = values.shape[1]
    mark = bytes([_MAPPINGS << 4 | count >> 8, count & 0xFF])
    data = encode_rows(values >> np.uint64(layout.TIME_BITS))
    times = encode_rows(values & np.uint64((1 << layout.TIME_BITS) - 1))
    return [[head, mark, high, low] for head, high, low in zip(heads, data, times, strict=True)]


def _copy(data: bytes) -> bytes:
    """The code for bytes as they are."""
    width = 1 if len(data) < 256 else 2
    return bytes([_MANY << 4 | width]) + len(data).to_bytes(width, "little") + data


def _iter_blocks(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Numbers and bytes of all packed blocks, in the order of the file."""
    for length in _iter_sections(file):
        waiting = bytearray()
        for piece in _inflate(file, length):
            waiting += piece
            at = 0
            while len(waiting) - at > _LONGEST:
                number, block, at = _decode_block(waiting, at)
                yield number, block
            del waiting[:at]
        at = 0
        while at < len(waiting):
            number, block, at = _decode_block(waiting, at)
            yield number, block


def _iter_sections(file: BinaryIO) -> Iterator[int]:
    """The length of each section, with the file where its stream begins."""
    while head := file.read(_NUMBER.size):
        if len(head) < _NUMBER.size:
            raise DamagedError("the packed file was cut short", what="section")
        yield _NUMBER.unpack(head)[0]


def _inflate(file: BinaryIO, length: int) -> Iterator[bytes]:
    """What a section of `length` bytes unpacks to, at most _PIECE bytes at a time."""
    stream = zlib.decompressobj()
    try:
        while length and not stream.eof:
            data = file.read(min(length, _PIECE))
            if not data:
                raise DamagedError("the packed file was cut short", what="section")
            length -= len(data)
            while data and not stream.eof:
                yield stream.decompress(data, _PIECE)
                data = stream.unconsumed_tail
    except zlib.error as error:
        raise DamagedError(f"a section of the packed file is damaged: {error}", what="section") from error
    if length or not stream.eof or stream.unused_data:
        raise DamagedError("a section of the packed file does not end where it should", what="section")


def _decode_block(code: bytes | bytearray, at: int) -> tuple[int, bytes, int]:
    """A block's number, its bytes, and where the code goes on."""
    window = bytes(code[at : at + _LONGEST])
    try:
        number = int.from_bytes(window[:8], "little")
        place = 8
        out = bytearray()
        last = 0
        while len(out) < BLOCK:
            byte = window[place]
            operation, low = byte >> 4, byte & 15
            if operation in (_FEW, _MANY):
                place += 1
                length = low
                if operation == _MANY:
                    length = int.from_bytes(window[place : place + low], "little")
                    place += low
                if length > BLOCK:
                    raise DamagedError(f"packed bytes are {length}, expected at most {BLOCK}", what="packed code")
                out += window[place : place + length]
                place += length
            elif operation == _MAPPINGS:
                count = low << 8 | window[place + 1]
                data, place = decode_numbers(window, place + 2, count)
                times, place = decode_numbers(window, place, count)
                out += _join(data, times)
            else:
                numbers: list[int] = []
                last, place = decode_step(window, place, last, numbers)
                out += struct.pack(f"<{len(numbers)}Q", *numbers)
    except IndexError as error:
        raise DamagedError("a packed block ends too early", what="packed code") from error
    if len(out) != BLOCK or place > len(window):
        raise DamagedError(f"packed block {number} has {len(out)} bytes, expected {BLOCK}", block=number)
    return number, bytes(out), at + place


def _join(data: list[int], times: list[int]) -> bytes:
    """Mappings out of their data blocks and times."""
    joined = np.array(data, dtype=np.uint64) << np.uint64(layout.TIME_BITS)
    return (joined + np.array(times, dtype=np.uint64)).astype("<u8").tobytes()
