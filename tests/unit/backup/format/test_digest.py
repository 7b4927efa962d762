"""The hashes are those of the reference."""

from __future__ import annotations

import struct

import numpy as np
from blake3 import blake3

from drystone.backup.format.digest import NOTHING, Hasher
from drystone.backup.format.manifest import Shape, root_of


def test_the_root_is_that_of_the_reference() -> None:
    # Two segments of two chunks, the second segment zeros, written out by hand from docs/reference/backup-format.md.
    leaf = blake3(b"\1" * 65536).digest()
    first = blake3(b"drystone/segment/1\0" + struct.pack("<I", 2) + leaf + bytes(32)).digest()
    root = blake3(b"drystone/image/1\0" + struct.pack("<QII", 200_000, 65536, 2) + first + bytes(32)).digest()
    leaves = np.zeros((2, 32), dtype=np.uint8)
    leaves[0] = np.frombuffer(leaf, dtype=np.uint8)
    hasher = Hasher()
    assert hasher.segment(leaves) == first
    assert hasher.root(200_000, 65536, 2, [first, NOTHING]) == root
    assert root_of(Shape(200_000, 65536, 2), np.array([0], dtype=np.uint32), [first], hasher) == root
