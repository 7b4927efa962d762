"""Reads of one version: every piece is compared with its sum before a byte of it is handed out."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from drystone.base.errors import DamagedError, UsageError
from drystone.fleet.disk.health import Trouble
from drystone.fleet.disk.rows import Row
from drystone.fleet.disk.sums import PIECE, count_pieces, is_piece
from drystone.fleet.objects import ObjectInfo

Buffer = bytearray | memoryview


class Reader:
    """One version whose file is held open: changes and removals that come later do not touch it.

    Several threads may read pieces at once, each into a buffer of its own.

    :ivar info: of the version. :ivar made: see Change. :ivar pieces: how many there are.
    """

    def __init__(self, row: Row, handle: int, trouble: Trouble) -> None:
        self._handle = handle
        self.row = row
        self.info: ObjectInfo = row.entry.info
        self.made = row.entry.made
        self.pieces = count_pieces(self.info.size)
        self._sums = row.pieces
        self._trouble = trouble

    def read_piece(self, number: int, buffer: Buffer | None = None) -> memoryview:
        """Piece `number` (from 0), checked: a view of `buffer`, or of a new one.

        :param buffer: of at least PIECE bytes, or as many as the object has.
        :raises DamagedError: the bytes are not those that were written; facts: key, version_id, piece, offset.
        :raises UnavailableError: the disk is bad.
        """
        if not 0 <= number < self.pieces:
            raise UsageError(f"{self.info.key!r} has {self.pieces} pieces, not one with number {number}")
        length = min(PIECE, self.info.size - number * PIECE)
        view = memoryview(bytearray(length) if buffer is None else buffer)[:length]
        got = 0
        with self._trouble.told("read"):
            try:
                while got < length:
                    count = os.preadv(self._handle, [view[got:]], number * PIECE + got)
                    if not count:
                        break
                    got += count
            except OSError as error:
                if error.errno != errno.EIO or self._trouble.is_too_much():
                    raise
                got = 0  # a bad sector is a damaged piece; writing it again may mend it
        if got < length or not is_piece(view, self._sums, number):
            raise DamagedError(
                f"piece {number} of {self.info.key!r} on disk {self._trouble.name} is damaged",
                key=self.info.key,
                version_id=self.info.version_id,
                piece=number,
                offset=number * PIECE,
            )
        return view

    def read(self, begin: int, end: int) -> Iterator[memoryview]:
        """Bytes [begin, end), a view for each piece, of one buffer: use each before you ask for the next.

        :raises DamagedError: as read_piece; what was handed out before is right.
        """
        end = min(end, self.info.size)
        if begin >= end:
            return
        buffer = bytearray(min(PIECE, self.info.size))
        for number in range(begin // PIECE, count_pieces(end)):
            view = self.read_piece(number, buffer)
            offset = number * PIECE
            yield view[max(begin - offset, 0) : end - offset]

    def sums(self) -> bytes:
        """BLAKE3 of each piece, 32 bytes each."""
        return self._sums

    def modified(self) -> float:
        """The file's own time, seconds since 1970."""
        return os.fstat(self._handle).st_mtime

    def close(self) -> None:
        """Harmless when repeated."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            with contextlib.suppress(OSError):
                os.close(handle)

    def __del__(self) -> None:
        """Who asked for it may have gone before it was handed over."""
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
