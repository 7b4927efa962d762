"""Extents: what space on dpvs is counted in."""

from __future__ import annotations

EXTENT = 4 << 20
"""Bytes."""


def to_extents(size: int) -> int:
    """The fewest extents that hold `size` bytes."""
    return -(-size // EXTENT)


def whole_extents(size: int) -> int:
    """The extents that fit into `size` bytes."""
    return size // EXTENT
