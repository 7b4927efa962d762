"""Documents and data in one stream between servers: so a body can be followed by what became known at its end.

A frame is a length (32 bits, big-endian) and that many bytes; the length's highest bit marks a document (JSON). A
stream without its closing document was broken off: nothing it brought may be used. The format is ours.
"""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Iterator

from drystone.base.errors import UnavailableError, UsageError

_LENGTH = struct.Struct(">I")
_DOCUMENT = 1 << 31
_DOCUMENT_LIMIT = 4 << 20
"""Bytes of a document; ours are below 100 KiB."""

Piece = tuple[bool, bytes | memoryview]
"""Whether it is a (whole) document, and the bytes."""


def frame_data(data: bytes | memoryview) -> bytes:
    """The head that goes before `data`, which is below 2 GiB."""
    return _LENGTH.pack(len(data))


def frame_document(document: bytes) -> bytes:
    """A whole frame."""
    return _LENGTH.pack(len(document) | _DOCUMENT) + document


class Unframer:
    """Takes a stream apart. Data is handed on as it comes, in pieces of any size; a document when it is whole."""

    def __init__(self) -> None:
        self._left = 0  # bytes of the frame that are still to come
        self._in_document = False
        self._held = bytearray()  # of a head or a document that is not whole yet

    def feed(self, data: bytes) -> Iterator[Piece]:
        """What `data` brought. The pieces of data are views of it.

        :raises UsageError: a document is too long.
        """
        view = memoryview(data)
        while view:
            if self._left == 0:
                view = self._feed_head(view)
                if self._left == 0 and self._in_document:
                    self._in_document = False
                    yield True, b""
            elif self._in_document:
                taken = view[: self._left]
                self._held += taken
                self._left -= len(taken)
                view = view[len(taken) :]
                if self._left == 0:
                    document = bytes(self._held)
                    self._held.clear()
                    self._in_document = False
                    yield True, document
            else:
                taken = view[: self._left]
                self._left -= len(taken)
                view = view[len(taken) :]
                yield False, taken

    def _feed_head(self, view: memoryview) -> memoryview:
        """Take what belongs to a frame's head; the rest."""
        wanted = _LENGTH.size - len(self._held)
        self._held += view[:wanted]
        if len(self._held) == _LENGTH.size:
            (length,) = _LENGTH.unpack(self._held)
            self._held.clear()
            self._in_document = bool(length & _DOCUMENT)
            self._left = length & ~_DOCUMENT
            if self._in_document and self._left > _DOCUMENT_LIMIT:
                raise UsageError(f"a document of {self._left} bytes between servers, {_DOCUMENT_LIMIT} are allowed")
        return view[wanted:]


class FrameReader:
    """A stream of frames: a document, data, a document and so on."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self._unframer = Unframer()
        self._waiting: Iterator[Piece] = iter(())
        self._document: bytes | None = None

    async def _next(self) -> Piece:
        while True:
            for piece in self._waiting:
                return piece
            try:
                data = await anext(self._pieces)
            except StopAsyncIteration:
                raise UnavailableError("the stream from another server broke off") from None
            self._waiting = self._unframer.feed(data)

    async def document(self) -> bytes:
        """The next document. :raises UnavailableError: the stream ended. :raises UsageError: data comes first."""
        if self._document is not None:
            document, self._document = self._document, None
            return document
        is_document, data = await self._next()
        if not is_document:
            raise UsageError("data came where a document was expected")
        return bytes(data)

    async def data(self) -> AsyncIterator[bytes | memoryview]:
        """The data up to the next document. :raises UnavailableError: the stream ended before that."""
        while True:
            is_document, piece = await self._next()
            if is_document:
                self._document = bytes(piece)
                return
            yield piece
