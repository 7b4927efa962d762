"""What is summed of an object: BLAKE3 of each MiB (a piece), from those its digest, and MD5 where S3's ETag wants it.

MD5 takes four times as long as all the rest, so where buffers are long it is summed in a thread beside, some
buffers behind; hashlib and blake3 release the interpreter's lock meanwhile.
"""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from concurrent.futures import Executor
from dataclasses import dataclass

from blake3 import blake3

from drystone.base.errors import UnavailableError

PIECE = 1 << 20
"""Bytes of a piece; the last one of an object may be shorter."""
SUM = 32
"""Bytes of a piece's sum."""
_LONG = 1 << 16
_LAG = 8 << 20


@dataclass(frozen=True, slots=True)
class Sums:
    """:ivar size: bytes. :ivar pieces: BLAKE3 of each piece, 32 bytes each. :ivar md5: hex; "" when not asked for."""

    size: int
    pieces: bytes
    md5: str = ""

    @property
    def digest(self) -> str:
        """BLAKE3 of `pieces`, in hex."""
        return digest_of(self.pieces)


def digest_of(pieces: bytes) -> str:
    """The digest of an object whose pieces have these sums."""
    return blake3(pieces).hexdigest()


def count_pieces(size: int) -> int:
    """How many pieces `size` bytes have."""
    return -(-size // PIECE)


def is_piece(data: bytes | memoryview, pieces: bytes, number: int) -> bool:
    """Whether `data` is piece `number` (from 0) of an object whose pieces have these sums."""
    return blake3(data).digest() == pieces[number * SUM : (number + 1) * SUM]


class _Beside:
    """MD5 of buffers that wait their turn, in a thread of `executor`: at most _LAG bytes of them."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._sum = hashlib.md5(usedforsecurity=False)
        self._changed = threading.Condition()
        self._waiting: deque[bytes | memoryview] = deque()
        self._size = 0
        self._runs = False

    def update(self, data: bytes | memoryview) -> None:
        """Queue the next bytes, which nobody changes any more.

        :raises UnavailableError: the executor was shut down.
        """
        with self._changed:
            while self._size > _LAG:
                self._changed.wait()
            self._waiting.append(data)
            self._size += len(data)
            if not self._runs:
                try:
                    self._executor.submit(self._drain)
                except RuntimeError as error:
                    raise UnavailableError("the disk was closed while a body came", hint="send it again") from error
                self._runs = True

    def hexdigest(self) -> str:
        """Of all that was queued."""
        with self._changed:
            while self._runs:
                self._changed.wait()
        return self._sum.hexdigest()

    def _drain(self) -> None:
        while True:
            with self._changed:
                if not self._waiting:
                    self._runs = False
                    self._changed.notify_all()
                    return
                data = self._waiting.popleft()
            self._sum.update(data)
            with self._changed:
                self._size -= len(data)
                self._changed.notify_all()


class Summing:
    """Sums of bytes that come one after another.

    :param md5: whether it is wanted too. :param beside: where MD5 of long buffers is done.
    """

    def __init__(self, *, md5: bool, beside: Executor | None = None) -> None:
        self.size = 0
        self._md5 = hashlib.md5(usedforsecurity=False) if md5 else None
        self._executor = beside if md5 else None
        self._beside: _Beside | None = None
        self._pieces = bytearray()
        self._piece = blake3()

    def update(self, data: bytes | memoryview) -> None:
        """The next bytes; they may be reused when it returns (`bytes`, which cannot change, are not copied).

        :raises UnavailableError: `beside` was shut down.
        """
        view = memoryview(data)
        if self._beside is None and self._executor is not None and len(view) >= _LONG and not self.size:
            self._beside = _Beside(self._executor)
        if self._beside is not None:
            self._beside.update(data if isinstance(data, bytes) else bytes(view))
        elif self._md5 is not None:
            self._md5.update(view)
        while view:
            room = PIECE - self.size % PIECE
            part = view[:room]
            self._piece.update(part)
            self.size += len(part)
            if len(part) == room:
                self._pieces += self._piece.digest()
                self._piece = blake3()
            view = view[room:]

    def finish(self) -> Sums:
        """The sums of all that came. May be called again."""
        pieces = bytes(self._pieces) + (self._piece.digest() if self.size % PIECE else b"")
        md5 = self._beside or self._md5
        return Sums(self.size, pieces, md5.hexdigest() if md5 is not None else "")
