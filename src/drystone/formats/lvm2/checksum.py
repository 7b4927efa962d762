"""LVM2's checksum: the reflected CRC-32 of zlib, begun at 0xf597a6cf and not inverted at the end."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

INITIAL = 0xF597A6CF
_INVERT = 0xFFFFFFFF


def checksum(*pieces: bytes | memoryview) -> int:
    """The checksum of the bytes of `pieces`, one after the other."""
    return _continued(pieces, INITIAL ^ _INVERT) ^ _INVERT


def _continued(pieces: Iterable[bytes | memoryview], value: int) -> int:
    for piece in pieces:
        value = zlib.crc32(piece, value)
    return value
