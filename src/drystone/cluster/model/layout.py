"""From what is asked for to the groups of a volume: sizes in bytes become extents."""

from __future__ import annotations

from drystone.base.errors import UsageError
from drystone.cluster.model.dlv import Group, Role
from drystone.cluster.model.extents import EXTENT, to_extents

LONGEST_DLV_NAME = 80
"""Characters: its devices' names are up to 40 longer, and device-mapper takes 127."""
LARGEST_SIZE = 1 << 54
"""Bytes of a volume: 16 PiB."""
MOST_MIRRORS = 3
MOST_STRIPES = 16
SECTORS_A_BLOCK = 128
"""Of a thin pool, unless another number is asked for: 64 KiB."""
SECTORS_A_CHUNK = 128
"""Of a stripe: a block of the pool lies on one mirror."""

_METADATA_BYTES_A_BLOCK = 64
"""Twice what a mapping takes in a half-full leaf (16 bytes each, leaves at least half full), for snapshots."""
_LARGEST_METADATA = 16 << 30
"""Bytes: about what the kernel uses of a pool's metadata device (THIN_METADATA_MAX_SECTORS, dm-thin-metadata.h)."""


def check_shape(size: int, initial_size: int, mirrors: int, stripes: int) -> None:
    """:raises UsageError: a volume cannot be like that."""
    if not 0 < size <= LARGEST_SIZE or size % 4096:
        raise UsageError(f"size {size} is not a multiple of 4096 bytes from 4096 to {LARGEST_SIZE}")
    if not 0 < initial_size <= size:
        raise UsageError(f"initial size {initial_size} is not from 1 byte to the size, {size}")
    if not 1 <= mirrors <= MOST_MIRRORS:
        raise UsageError(f"{mirrors} mirrors: 1 to {MOST_MIRRORS} can be had")
    if not 1 <= stripes <= MOST_STRIPES:
        raise UsageError(f"{stripes} stripes: 1 to {MOST_STRIPES} can be had")


def first_groups(size: int, initial_size: int, stripes: int, block: int) -> tuple[Group, Group]:
    """The metadata group and the first data group of a new volume.

    :param size: bytes of the volume, :param initial_size: that the data group holds at least. :param block: sectors.
    """
    metadata = min(-(-size // (block * 512)) * _METADATA_BYTES_A_BLOCK, _LARGEST_METADATA)
    return (
        Group(number=0, role="metadata", stripes=1, extents=to_extents(metadata)),
        another_group(1, "data", initial_size, stripes),
    )


def another_group(number: int, role: Role, size: int, stripes: int) -> Group:
    """A group that holds `size` bytes at least. :param stripes: of data; metadata has one."""
    wide = stripes if role == "data" else 1
    return Group(number=number, role=role, stripes=wide, extents=-(-size // (wide * EXTENT)))
