"""The superblock of dm-era metadata: one block, out of which everything else is found. Imports no numpy.

A metadata snapshot is a copy of the superblock somewhere else ("clone"). Only its writeset tree and its era array are
counted as used; its current writeset is not, and must not be read: the kernel may have put other things there.
"""

from __future__ import annotations

from dataclasses import dataclass

from drystone.base.errors import DamagedError, NotFoundError
from drystone.base.sizes import SECTOR
from drystone.formats.era import layout
from drystone.formats.pdata.blocks import BLOCK, BlockReader
from drystone.formats.pdata.checksum import ERA_SUPERBLOCK, seal_block
from drystone.formats.pdata.damage import describe_damage
from drystone.formats.pdata.spacemap import SpaceMapRoot, pack_space_map_root, parse_space_map_root
from drystone.formats.pdata.superblock import SuperblockKind, check_head, read_superblock_block

KIND = SuperblockKind("era", layout.MAGIC, ERA_SUPERBLOCK, (layout.VERSION,))


@dataclass(frozen=True, slots=True)
class Superblock:
    """Every field of an era superblock. Roots and locations are metadata block numbers."""

    location: int
    """0 for the live superblock, else where the metadata snapshot's copy is."""
    flags: int
    uuid: bytes
    """16 bytes, zero as the kernel writes them."""
    version: int
    metadata_space_map: SpaceMapRoot
    data_block_size: int
    """Sectors of 512 bytes."""
    metadata_block_size: int
    """Sectors; always 8."""
    nr_blocks: int
    """Data blocks: the last one may be shorter than the others."""
    current_era: int
    current_nr_bits: int
    """Bits of the current writeset."""
    current_root: int
    """Root of the current writeset's bitset; 0 when there is none. Of no meaning in a snapshot."""
    writeset_tree_root: int
    era_array_root: int
    metadata_snap: int
    """Location of the metadata snapshot's superblock; 0 when none is held."""

    @property
    def live(self) -> bool:
        """Whether it is the superblock of the device itself, and not that of a metadata snapshot."""
        return self.location == 0

    @property
    def data_block_bytes(self) -> int:
        """Bytes in a data block."""
        return self.data_block_size * SECTOR


def parse_superblock(block: bytes, *, location: int = 0, sealed: bool = True) -> Superblock:
    """The superblock in the 4096 bytes of `block`, which were read at metadata block `location`.

    Checked: length, magic, checksum, own location, version, both block sizes, the number of blocks. The magic comes
    before the checksum, so that a file that is no era metadata at all is said to be that.

    :param sealed: False: the checksum is not looked at.
    :raises DamagedError: one of them is wrong.
    """
    check_head(KIND, block, location, sealed=sealed)
    _, flags, _, uuid, _, version, space_map, *rest = layout.SUPERBLOCK.unpack_from(block)
    superblock = Superblock(location, flags, uuid, version, parse_space_map_root(space_map), *rest)
    for what, least, most, value in (
        ("metadata block size in sectors", layout.METADATA_BLOCK_SECTORS, layout.METADATA_BLOCK_SECTORS, rest[1]),
        ("data block size in sectors", 1, layout.LARGEST_DATA_BLOCK, rest[0]),
        ("number of data blocks", 0, layout.MOST_DATA_BLOCKS, rest[2]),
    ):
        if not least <= value <= most:
            due = str(least) if least == most else f"{least} to {most}"
            raise describe_damage(location, what, expected=due, found=value)
    return superblock


def guess_superblock(block: bytes) -> Superblock | None:
    """What is left of the live superblock in 4096 bytes whose checksum is wrong; None when the magic is wrong too, or
    the numbers cannot be.
    """
    try:
        return parse_superblock(block[:8] + bytes(8) + block[16:], sealed=False)
    except DamagedError:
        return None


def read_superblock(reader: BlockReader, *, location: int = 0) -> Superblock:
    """Read and parse the superblock at metadata block `location`.

    :raises DamagedError: see parse_superblock, or `location` is beyond the end. :raises OSError: the device failed.
    """
    return parse_superblock(read_superblock_block(reader, location), location=location)


def read_held_superblock(reader: BlockReader) -> Superblock:
    """The superblock of the held metadata snapshot.

    :raises NotFoundError: no snapshot is held. :raises DamagedError: see parse_superblock.
    """
    live = read_superblock(reader)
    if not live.metadata_snap:
        raise NotFoundError(
            "no metadata snapshot is held", hint="send take_metadata_snap to the era device, or read without it"
        )
    return read_superblock(reader, location=live.metadata_snap)


def pack_superblock(superblock: Superblock) -> bytes:
    """The 4096 bytes of it, with checksum, for its own location."""
    body = layout.SUPERBLOCK.pack(
        0,
        superblock.flags,
        superblock.location,
        superblock.uuid,
        layout.MAGIC,
        superblock.version,
        pack_space_map_root(superblock.metadata_space_map),
        superblock.data_block_size,
        superblock.metadata_block_size,
        superblock.nr_blocks,
        superblock.current_era,
        superblock.current_nr_bits,
        superblock.current_root,
        superblock.writeset_tree_root,
        superblock.era_array_root,
        superblock.metadata_snap,
    ).ljust(BLOCK, b"\0")
    return seal_block(body, ERA_SUPERBLOCK)
