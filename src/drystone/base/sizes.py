"""Sizes: text to whole bytes and back. Powers of 1024 throughout."""

from __future__ import annotations

from drystone.base.characters import DIGITS, is_made_of
from drystone.base.errors import UsageError

SECTOR = 512
"""Bytes in a sector, the unit of device-mapper tables, whatever the disk's own block is."""

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
LARGEST = (1 << 63) - 1
"""Bytes that a block device can have."""
_MOST_DIGITS = 640
"""That Python turns into a number, whatever limit it was told (PYTHONINTMAXSTRDIGITS)."""


def parse_size(text: str) -> int:
    """Bytes from `4096`, `10G`, `2m`: a whole number with k, m, g or t in either case (powers of 1024).

    :raises UsageError: anything else, and sizes of 2**63 bytes or more.
    """
    number, unit = (text[:-1], text[-1].lower()) if text[-1:] in tuple("kmgtKMGT") else (text, "")
    if not is_made_of(number, DIGITS):
        raise UsageError(f"size {text!r} is not a whole number with k, m, g or t", hint="write 10G, 512m or 1048576")
    if len(number) > _MOST_DIGITS or (size := int(number) * _UNITS[unit]) > LARGEST:
        raise UsageError(f"size {text[:40]!r} is larger than a block device can be")
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
