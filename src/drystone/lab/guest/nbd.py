"""A disk that loses, at a power cut, what was not flushed: a server of NBD's transmission phase over one socket.

The backing file is mapped privately, so a write stays in this process until a flush (or the write's own FUA) puts it
into the file and syncs it. Ending the guest ends this process and with it exactly the writes that were not flushed.
Like a disk's own cache, it is bounded: more than `limit` unflushed bytes are written back unasked.

Protocol: the NBD project's doc/proto.md, simple replies only.
"""

from __future__ import annotations

import errno
import mmap
import os
import struct
from collections.abc import Iterable
from typing import Protocol

from drystone.base.errors import DamagedError
from drystone.lab.disklog import FLUSH, LARGEST_WRITE, TRIM, WRITE, Record

REQUEST = struct.Struct(">IHHQQI")
REPLY = struct.Struct(">IIQ")
REQUEST_MAGIC = 0x25609513
REPLY_MAGIC = 0x67446698
FLAG_FUA = 1
CMD_READ, CMD_WRITE, CMD_DISC, CMD_FLUSH, CMD_TRIM = range(5)
_PAGE = mmap.PAGESIZE


class Stream(Protocol):
    """The part of a connected socket that the server uses."""

    def recv_into(self, buffer: memoryview, /) -> int:
        """Fill the beginning of `buffer`; 0 at the end."""

    def sendall(self, data: bytes, /) -> None:
        """Send all of it."""


class CachedFile:
    """A file behind a write cache that only `flush` empties. Offsets and sizes are in bytes.

    :param descriptor: the open backing file; it stays the caller's.
    :param size: how much of it is the disk.
    :param limit: unflushed bytes that are kept at most.
    """

    def __init__(self, descriptor: int, size: int, limit: int) -> None:
        self.size = size
        self._descriptor = descriptor
        self._limit = limit
        self._map = mmap.mmap(descriptor, size, mmap.MAP_PRIVATE)
        self._private_pages: set[int] = set()
        """Pages that differ from the file: what it held when they were first written, and all writes since."""

    def read(self, offset: int, size: int) -> bytes:
        """What the guest has written last, flushed or not."""
        return self._map[offset : offset + size]

    def write(self, offset: int, data: bytes) -> None:
        """Keep `data` until the next flush.

        :raises OSError: the cache was full and could not be written back.
        """
        self._map[offset : offset + len(data)] = data
        self._private_pages.update(_pages(offset, len(data)))
        if len(self._private_pages) * _PAGE > self._limit:
            self.flush()

    def write_through(self, offset: int, data: bytes) -> None:
        """Durable when it returns; other unflushed bytes stay unflushed.

        :raises OSError: the file could not be written.
        """
        _write_at(self._descriptor, offset, data)
        os.fdatasync(self._descriptor)
        if not self._private_pages.isdisjoint(_pages(offset, len(data))):
            self._map[offset : offset + len(data)] = data
            self._private_pages.update(_pages(offset, len(data)))

    def flush(self) -> None:
        """Everything written so far is durable when it returns.

        :raises OSError: the file could not be written; nothing is forgotten.
        """
        extents = [(begin, min(end, self.size)) for begin, end in _extents(self._private_pages)]
        for begin, end in extents:
            _write_at(self._descriptor, begin, self._map[begin:end])
        os.fdatasync(self._descriptor)
        for begin, end in extents:
            # The file holds these bytes now: give the private copies' memory back.
            self._map.madvise(mmap.MADV_DONTNEED, begin, end - begin)
        self._private_pages.clear()

    def close(self) -> None:
        """Forget what was not flushed."""
        self._map.close()


def _pages(offset: int, size: int) -> range:
    return range(offset // _PAGE, -(-(offset + size) // _PAGE))


def _extents(pages: Iterable[int]) -> list[tuple[int, int]]:
    """Extents (begin, end) in bytes, in order: neighbouring pages make one."""
    found: list[tuple[int, int]] = []
    for page in sorted(pages):
        begin, end = page * _PAGE, (page + 1) * _PAGE
        if found and found[-1][1] == begin:
            found[-1] = (found[-1][0], end)
        else:
            found.append((begin, end))
    return found


def _write_at(descriptor: int, offset: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def receive(stream: Stream, size: int) -> bytes | None:
    """Exactly `size` bytes; None when the other side closed before."""
    buffer = bytearray(size)
    view = memoryview(buffer)
    while view:
        count = stream.recv_into(view)
        if count == 0:
            return None
        view = view[count:]
    return bytes(buffer)


def serve(stream: Stream, disk: CachedFile, log: int = -1) -> None:
    """Answer requests until the other side closes or says goodbye. `log` is an open file for records, or -1.

    :raises DamagedError: what came is no request; nothing can be said to the other side any more.
    :raises OSError: the stream broke.
    """
    while (head := receive(stream, REQUEST.size)) is not None:
        magic, flags, command, handle, offset, size = REQUEST.unpack(head)
        if magic != REQUEST_MAGIC:
            raise DamagedError(f"an NBD request begins with {magic:#x}")
        if command == CMD_DISC:
            return
        if command == CMD_WRITE and size > LARGEST_WRITE:
            raise DamagedError(f"an NBD write of {size} bytes")
        data = receive(stream, size if command == CMD_WRITE else 0)
        if data is None:
            return
        number, answer = 0, b""
        try:
            answer = _execute(disk, log, command, bool(flags & FLAG_FUA), offset, size, data)
        except OSError as error:
            number = error.errno or errno.EIO
        stream.sendall(REPLY.pack(REPLY_MAGIC, number, handle) + answer)


def _execute(disk: CachedFile, log: int, command: int, forced: bool, offset: int, size: int, data: bytes) -> bytes:
    if command != CMD_FLUSH and offset + size > disk.size:
        raise OSError(errno.ENOSPC if command == CMD_WRITE else errno.EINVAL, "beyond the end of the disk")
    if command == CMD_READ:
        if size > LARGEST_WRITE:
            raise OSError(errno.EINVAL, "a read larger than any")
        return disk.read(offset, size)
    if command == CMD_WRITE:
        _record(log, Record(WRITE, offset, size, data, forced))
        (disk.write_through if forced else disk.write)(offset, data)
    elif command == CMD_FLUSH:
        _record(log, Record(FLUSH))
        disk.flush()
    elif command == CMD_TRIM:
        # A hint: the bytes keep their values, as holes cannot be made through hostfs.
        _record(log, Record(TRIM, offset, size))
    else:
        raise OSError(errno.EINVAL, "no such command")
    return b""


def _record(log: int, record: Record) -> None:
    if log >= 0:
        _write_log(log, record.to_bytes())


def _write_log(log: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(log, view) :]
    os.fdatasync(log)
