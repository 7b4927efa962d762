"""The log of a power-cut disk: every write, flush and trim in the order in which the guest's kernel sent them.

With it a disk can be rebuilt as it stood after any prefix, or any subset, of its writes. Layout, all little endian:

    record   kind  u8   1 write, 2 flush, 3 trim
             flags u8   1: forced (FUA), durable before it was answered
             zero  u16
             size  u32  bytes
             offset u64 bytes from the disk's beginning
             data       `size` bytes, of a write only

Every record is durable before its request is answered, also that of a write which is not: the log outlives the guest.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from drystone.base.errors import DamagedError

WRITE, FLUSH, TRIM = 1, 2, 3
_RECORD = struct.Struct("<BBHIQ")
LARGEST_WRITE = 32 << 20
"""Bytes in one request: the NBD protocol's default maximum."""


@dataclass(frozen=True, slots=True)
class Record:
    """One request. `offset` and `size` are in bytes; `data` is empty unless it is a write."""

    kind: int
    offset: int = 0
    size: int = 0
    data: bytes = b""
    forced: bool = False

    def to_bytes(self) -> bytes:
        """The record as it is stored."""
        return _RECORD.pack(self.kind, self.forced, 0, self.size, self.offset) + self.data


def read_records(file: BinaryIO) -> Iterator[Record]:
    """The records of a log, in order. A record that a power cut has torn ends the log.

    :raises DamagedError: a kind that does not exist, or a write larger than any.
    """
    while len(head := file.read(_RECORD.size)) == _RECORD.size:
        kind, flags, _, size, offset = _RECORD.unpack(head)
        if kind not in {WRITE, FLUSH, TRIM} or (kind == WRITE and size > LARGEST_WRITE):
            raise DamagedError(f"the disk's log holds a record of kind {kind} and {size} bytes")
        data = file.read(size) if kind == WRITE else b""
        if kind == WRITE and len(data) < size:
            return
        yield Record(kind, offset, size, data, bool(flags & 1))
