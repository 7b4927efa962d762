"""The hashes of a backup: of chunks, of segments, and of the whole image (docs/reference/backup-format.md)."""

from __future__ import annotations

import struct
from collections.abc import Iterable

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

DIGEST = 32
"""Bytes of a digest."""

NOTHING = bytes(DIGEST)
"""The leaf of a chunk of zeros, and the digest of a segment of such chunks."""

HASH = "blake3"
"""The hash scheme, as a repository names it."""

_SEGMENT = b"drystone/segment/1\0"
_IMAGE = b"drystone/image/1\0"

Leaves = NDArray[np.uint8]
"""Shape (slots, 32)."""


def digest(data: bytes | bytearray | memoryview) -> bytes:
    """BLAKE3 of plain bytes."""
    return blake3(data).digest()


def segment_digest(leaves: Leaves) -> bytes:
    """The digest over the leaves of one segment; NOTHING when all of them are."""
    if not leaves.any():
        return NOTHING
    return blake3(_SEGMENT + struct.pack("<I", len(leaves)) + leaves.tobytes()).digest()


def image_root(size: int, chunk_size: int, slots: int, segment_digests: Iterable[bytes]) -> bytes:
    """The root over an image of `size` bytes, from the digests of all its segments in order."""
    hasher = blake3(_IMAGE + struct.pack("<QII", size, chunk_size, slots))
    for each in segment_digests:
        hasher.update(each)
    return hasher.digest()
