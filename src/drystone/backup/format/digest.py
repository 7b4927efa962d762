"""The hashes of a backup: of chunks, of segments, and of the whole image (docs/reference/backup-format.md)."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from blake3 import blake3

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DIGEST = 32
"""Bytes of a digest."""

NOTHING = bytes(DIGEST)
"""The leaf of a chunk of zeros, and the digest of a segment of such chunks."""

_SEGMENT = b"drystone/segment/1\0"
_IMAGE = b"drystone/image/1\0"


def checksum(data: bytes | bytearray | memoryview) -> bytes:
    """BLAKE3 without a key, 32 bytes: of stored bytes, to tell damage."""
    return blake3(data).digest()


@dataclass(frozen=True, slots=True)
class Hasher:
    """H of the format: BLAKE3 of plain bytes, keyed where the repository is encrypted.

    :ivar key: 32 bytes; None for no key.
    """

    key: bytes | None = field(default=None, repr=False)

    def digest(self, data: bytes | bytearray | memoryview) -> bytes:
        """The digest of a chunk's plain bytes."""
        return blake3(data).digest() if self.key is None else blake3(data, key=self.key).digest()

    def segment(self, leaves: NDArray[np.uint8]) -> bytes:
        """The digest over the leaves of one segment, of shape (slots, 32); NOTHING when all of them are."""
        if not leaves.any():
            return NOTHING
        return self.digest(_SEGMENT + struct.pack("<I", len(leaves)) + leaves.tobytes())

    def root(self, size: int, chunk_size: int, slots: int, segment_digests: Iterable[bytes]) -> bytes:
        """The root over an image of `size` bytes, from the digests of all its segments in order."""
        front = _IMAGE + struct.pack("<QII", size, chunk_size, slots)
        hasher = blake3(front) if self.key is None else blake3(front, key=self.key)
        for each in segment_digests:
            hasher.update(each)
        return hasher.digest()
