"""Sizes: text to whole bytes and back. Powers of 1024 throughout."""

from __future__ import annotations

import re

from drystone.base.errors import UsageError

SECTOR = 512
"""Bytes in a sector, the unit of device-mapper tables, whatever the disk's own block is."""

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_PATTERN = r"([0-9]+)([kmgtKMGT]?)"
_LARGEST = (1 << 63) - 1


def parse_size(text: str) -> int:
    """Bytes from `4096`, `10G`, `2m`: a whole number with k, m, g or t in either case (powers of 1024).

    :raises UsageError: anything else, and sizes of 2**63 bytes or more.
    """
    match = re.fullmatch(_PATTERN, text)
    if match is None:
        raise UsageError(f"size {text!r} is not a whole number with k, m, g or t", hint="write 10G, 512m or 1048576")
    size = int(match[1]) * _UNITS[match[2].lower()]
    if size > _LARGEST:
        raise UsageError(f"size {text!r} is larger than a block device can be")
    return size


def to_sectors(size: int, what: str = "size") -> int:
    """Sectors of 512 bytes in `size` bytes.

    :raises UsageError: `size` is no multiple of 512 bytes.
    """
    if size % SECTOR:
        raise UsageError(f"{what} {size} is no multiple of {SECTOR} bytes")
    return size // SECTOR


def format_size(size: int) -> str:
    """`size` bytes for people: `3.2 GiB`, `512 B`."""
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB", "PiB"):
        if abs(value) < 1024 or unit == "PiB":
            return f"{size} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError("unreachable")
