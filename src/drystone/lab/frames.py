"""Frames: what travels on a guest's serial line and on a lab's control socket.

A frame is a JSON object with raw bytes behind it:

    offset  size  what
    0       4     bytes of JSON, big endian
    4       4     bytes of payload, big endian
    8       ...   the JSON object, UTF-8
    ...     ...   the payload

Standard library only: this file also runs in a guest's first process.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping
from typing import Any

from drystone.base.errors import DamagedError

_HEAD = struct.Struct(">II")
LONGEST_HEADER = 4 << 20
"""Bytes of JSON in one frame: a command's arguments and environment fit."""
LONGEST_PAYLOAD = 1 << 20
"""Bytes behind the JSON in one frame."""
WINDOW = 256 << 10
"""Bytes of one stream that may be under way before the receiver has acknowledged some."""
SERIAL_ROOM = 3 << 10
"""Bytes that may wait in a guest's serial line. Its terminal holds 4095; when that is full the kernel stops reading the
line, and User-Mode Linux 6.1 has been seen not to begin again."""
PIECE = 32 << 10
"""Bytes of a stream that are put into one frame, so that streams share a line fairly."""

Header = dict[str, Any]
Frame = tuple[Header, bytes]


def encode_frame(header: Mapping[str, object], payload: bytes = b"") -> bytes:
    """The bytes of one frame."""
    text = json.dumps(header, separators=(",", ":")).encode()
    if len(text) > LONGEST_HEADER or len(payload) > LONGEST_PAYLOAD:
        raise DamagedError(f"a frame of {len(text)} and {len(payload)} bytes is longer than allowed")
    return _HEAD.pack(len(text), len(payload)) + text + payload


class FrameReader:
    """Frames out of a stream of bytes that arrives in pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes, in order.

        :raises DamagedError: lengths out of bounds, or a header that is no JSON object; the stream is of no more use.
        """
        self._buffer += data
        frames: list[Frame] = []
        start = 0
        while len(self._buffer) - start >= _HEAD.size:
            header_size, payload_size = _HEAD.unpack_from(self._buffer, start)
            if header_size > LONGEST_HEADER or payload_size > LONGEST_PAYLOAD:
                raise DamagedError("the stream of frames is out of step", header=header_size, payload=payload_size)
            middle = start + _HEAD.size + header_size
            end = middle + payload_size
            if end > len(self._buffer):
                break
            frames.append(
                (_parse_header(bytes(self._buffer[start + _HEAD.size : middle])), bytes(self._buffer[middle:end]))
            )
            start = end
        del self._buffer[:start]
        return frames


def _parse_header(text: bytes) -> Header:
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DamagedError("a frame's header is no JSON") from error
    if not isinstance(header, dict):
        raise DamagedError("a frame's header is no JSON object")
    return header


class FrameLine:
    """A non-blocking file descriptor that carries frames both ways; what cannot be written yet is kept.

    The constructor takes a descriptor that is already non-blocking; the caller watches it, as `wants_write` says.

    :param room: bytes that the other side takes before it has said (`allow`) that it took some; None for any number.
        `received` counts what this side has taken, for saying so.
    """

    def __init__(self, descriptor: int, room: int | None = None) -> None:
        self.descriptor = descriptor
        self.received = 0
        self._room = room
        self._reader = FrameReader()
        self._out = bytearray()

    @property
    def wants_write(self) -> bool:
        """True while bytes wait that may be written."""
        return bool(self._out) and self._room != 0

    def send(self, header: Mapping[str, object], payload: bytes = b"") -> None:
        """Queue one frame; it goes out now as far as the other side takes it.

        :raises OSError: the other side is gone.
        """
        self._out += encode_frame(header, payload)
        self.flush()

    def flush(self) -> None:
        """Write what waits, as far as it goes.

        :raises OSError: the other side is gone.
        """
        while self.wants_write:
            try:
                piece = bytes(self._out[: min(64 << 10, self._room or 64 << 10)])
                written = os.write(self.descriptor, piece)
            except BlockingIOError:
                return
            del self._out[:written]
            if self._room is not None:
                self._room -= written

    def allow(self, size: int) -> None:
        """The other side has taken `size` bytes more.

        :raises OSError: it is gone.
        """
        if self._room is not None:
            self._room += size
            self.flush()

    def receive(self) -> list[Frame] | None:
        """The frames that have arrived whole; None when the other side has closed.

        :raises DamagedError: see FrameReader.feed.
        """
        try:
            data = os.read(self.descriptor, 64 << 10)
        except BlockingIOError:
            return []
        except OSError:  # a reset socket and a hung-up terminal both mean: gone
            return None
        self.received += len(data)
        return self._reader.feed(data) if data else None
