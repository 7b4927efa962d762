"""The superblock of dm-thin metadata: one block, out of which everything else is found. Imports no numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from drystone.base.errors import NotFoundError, UnsupportedError
from drystone.base.sizes import SECTOR
from drystone.formats.pdata.blocks import BLOCK, BlockDisk, BlockReader
from drystone.formats.pdata.checksum import THIN_SUPERBLOCK, seal_block
from drystone.formats.pdata.damage import describe_damage
from drystone.formats.pdata.spacemap import SpaceMapRoot, pack_space_map_root, parse_space_map_root
from drystone.formats.pdata.superblock import (
    SuperblockKind,
    check_head,
    read_superblock_block,
    write_superblock_block,
)
from drystone.formats.thin import layout

KIND = SuperblockKind("thin", layout.MAGIC, THIN_SUPERBLOCK, layout.VERSIONS)


@dataclass(frozen=True, slots=True)
class Superblock:
    """Every field of a thin superblock. Roots and locations are metadata block numbers."""

    location: int
    """0 for the live superblock, else where the metadata snapshot's copy is."""
    flags: int
    uuid: bytes
    """16 bytes, zero as the kernel writes them."""
    version: int
    time: int
    """Counts snapshots; a mapping younger than a device's last snapshot is its own alone."""
    transaction_id: int
    held_root: int
    """Location of the reserved metadata snapshot's superblock; 0 when there is none."""
    data_space_map: SpaceMapRoot
    metadata_space_map: SpaceMapRoot
    data_mapping_root: int
    device_details_root: int
    data_block_size: int
    """Sectors of 512 bytes."""
    metadata_block_size: int
    """Sectors; always 8."""
    metadata_nr_blocks: int
    compat_flags: int
    compat_ro_flags: int
    incompat_flags: int

    @property
    def needs_check(self) -> bool:
        """Whether the kernel asks for a check before it writes again."""
        return bool(self.flags & layout.NEEDS_CHECK)

    @property
    def data_block_bytes(self) -> int:
        """Bytes in a data block."""
        return self.data_block_size * SECTOR


def parse_superblock(block: bytes, *, location: int = 0) -> Superblock:
    """The superblock in the 4096 bytes of `block`, which were read at metadata block `location`.

    Checked: length, magic, checksum, own location, version, both block sizes. The magic comes before the checksum,
    so that a file that is no thin metadata at all is said to be that.

    :raises DamagedError: one of them is wrong. :raises UnsupportedError: features that this reader does not know.
    """
    check_head(KIND, block, location)
    superblock = _from_fields(location, layout.SUPERBLOCK.unpack_from(block))
    _check_features(superblock)
    return superblock


def pack_superblock(superblock: Superblock) -> bytes:
    """The 4096 bytes of that superblock, its checksum and its location in place."""
    body = layout.SUPERBLOCK.pack(
        0,
        superblock.flags,
        superblock.location,
        superblock.uuid,
        layout.MAGIC,
        superblock.version,
        superblock.time,
        superblock.transaction_id,
        superblock.held_root,
        pack_space_map_root(superblock.data_space_map),
        pack_space_map_root(superblock.metadata_space_map),
        superblock.data_mapping_root,
        superblock.device_details_root,
        superblock.data_block_size,
        superblock.metadata_block_size,
        superblock.metadata_nr_blocks,
        superblock.compat_flags,
        superblock.compat_ro_flags,
        superblock.incompat_flags,
    ).ljust(BLOCK, b"\0")
    return seal_block(body, THIN_SUPERBLOCK)


def read_superblock(reader: BlockReader, *, location: int = 0) -> Superblock:
    """Read and parse the superblock at metadata block `location`.

    :raises DamagedError: see parse_superblock, or `location` is beyond the end. :raises OSError: the device failed.
    """
    return parse_superblock(read_superblock_block(reader, location), location=location)


def read_held_superblock(reader: BlockReader, live: Superblock | None = None) -> Superblock:
    """The superblock of the reserved metadata snapshot. Its space map roots are zero: the snapshot holds none.

    :param live: the live superblock, when it was read already.
    :raises NotFoundError: no snapshot is reserved. :raises DamagedError: see parse_superblock.
    """
    live = live or read_superblock(reader)
    if not live.held_root:
        raise NotFoundError(
            "no metadata snapshot is reserved", hint="send reserve_metadata_snap to the pool, or read without it"
        )
    return read_superblock(reader, location=live.held_root)


def write_superblock(disk: BlockDisk, superblock: Superblock) -> None:
    """Write the superblock to its location, after all that was written before is durable; durable when it returns."""
    write_superblock_block(disk, superblock.location, pack_superblock(superblock))


def _from_fields(location: int, fields: tuple[Any, ...]) -> Superblock:
    (_, flags, _, uuid, _, version, time, transaction_id, held_root, data_map, metadata_map, *rest) = fields
    return Superblock(
        location,
        flags,
        uuid,
        version,
        time,
        transaction_id,
        held_root,
        parse_space_map_root(data_map),
        parse_space_map_root(metadata_map),
        *rest,
    )


def _check_features(superblock: Superblock) -> None:
    size = superblock.data_block_size
    if not layout.SMALLEST_DATA_BLOCK <= size <= layout.LARGEST_DATA_BLOCK or size % layout.SMALLEST_DATA_BLOCK:
        raise describe_damage(
            superblock.location, "data block size", expected="128 to 2097152 sectors, a multiple of 128", found=size
        )
    if superblock.metadata_block_size != layout.METADATA_BLOCK_SECTORS:
        raise describe_damage(
            superblock.location,
            "metadata block size",
            expected=f"{layout.METADATA_BLOCK_SECTORS} sectors",
            found=superblock.metadata_block_size,
        )
    if superblock.incompat_flags:
        raise UnsupportedError(
            f"block {superblock.location}: incompatible features {superblock.incompat_flags:#x} are not known",
            block=superblock.location,
            found=superblock.incompat_flags,
        )
