"""Writing era metadata out of its parts, as the kernel would have left it after a suspend: no current writeset.

Order on the disk: block 0 is zeroed and flushed, then everything else is written and flushed, then the superblock. So
whatever happens in between, what is there is either no era metadata or all of it.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from drystone.base.errors import DamagedError, ExhaustedError
from drystone.formats.era import layout
from drystone.formats.era.eras import ERA, EraBatch
from drystone.formats.era.parts import Bits, Head, Part, WritesetHead
from drystone.formats.era.superblock import Superblock, pack_superblock
from drystone.formats.era.writeset_tree import TREE
from drystone.formats.pdata.allocator import Allocator
from drystone.formats.pdata.array_writer import ArrayWriter, BitsetWriter
from drystone.formats.pdata.blocks import BLOCK, BlockDisk, count_blocks
from drystone.formats.pdata.btree_writer import TreeWriter
from drystone.formats.pdata.spacemap_writer import write_metadata_space_map
from drystone.formats.pdata.superblock import clear_superblock_block, write_superblock_block


def write_parts(disk: BlockDisk, parts: Iterable[Part]) -> Superblock:
    """Write the metadata that `parts` tell to `disk`; durable when this returns. The superblock that was written.

    Writesets may come in any order; of each, and of the array, all bits and eras, ascending.

    :raises ExhaustedError: the disk is too small; it holds no metadata then.
    :raises DamagedError: an era is told twice, or is above the current one; or `parts` raises it. When parts came
        before that, the disk holds no metadata any more. Or data blocks cannot have the size told: nothing is written.
    """
    writing: _Writing | None = None
    for part in parts:
        if isinstance(part, Head):
            writing = _Writing(disk, part)
        elif writing is None:
            raise DamagedError("era metadata begins without a superblock")
        elif isinstance(part, WritesetHead):
            writing.begin_writeset(part)
        elif isinstance(part, Bits):
            writing.add_bits(part)
        else:
            writing.add_eras(part)
    if writing is None:
        raise DamagedError("there is no era metadata to write")
    return writing.finish()


class _Writing:
    """Metadata in the making."""

    def __init__(self, disk: BlockDisk, head: Head) -> None:
        if not count_blocks(disk):
            raise ExhaustedError(f"{disk.size} bytes hold no metadata, which takes {BLOCK} and more")
        if head.data_block_size % layout.DATA_BLOCK_UNIT:
            due = f"a multiple of {layout.DATA_BLOCK_UNIT} sectors"
            raise DamagedError(
                f"the data block size is {head.data_block_size}, expected {due}",
                expected=due,
                found=head.data_block_size,
            )
        self._disk = disk
        self._head = head
        self._allocator = Allocator(count_blocks(disk))
        self._array = ArrayWriter(disk, self._allocator, ERA)
        self._bits: BitsetWriter | None = None
        self._writesets: dict[int, tuple[int, int]] = {}
        self._era = 0
        self._begun = False

    def begin_writeset(self, head: WritesetHead) -> None:
        """The bits that follow are those of this one."""
        self._check_era(head.era, "a writeset")
        self._end_writeset()
        if head.era in self._writesets:
            raise DamagedError(f"there are two writesets of era {head.era}", era=head.era)
        self._begin()
        self._era = head.era
        self._bits = BitsetWriter(self._disk, self._allocator)

    def add_bits(self, part: Bits) -> None:
        """More bits of the writeset that began last."""
        assert self._bits is not None
        assert self._bits.nr_bits == part.begin
        self._bits.append(part.bits)

    def add_eras(self, part: EraBatch) -> None:
        """More eras of the array."""
        self._check_era(int(part.eras.max(initial=0)), "a block")
        self._begin()
        assert self._array.length == part.begin
        self._array.append(part.eras)

    def finish(self) -> Superblock:
        """Write the rest, the superblock last."""
        self._begin()
        self._end_writeset()
        if self._array.length != self._head.nr_blocks:
            raise DamagedError(f"the era array has {self._array.length} blocks, the superblock {self._head.nr_blocks}")
        tree = TreeWriter(self._disk, self._allocator, TREE.value)
        eras = sorted(self._writesets)
        values = np.array([self._writesets[era] for era in eras], dtype=TREE.value)
        tree.append(np.array(eras, dtype=np.uint64), values)
        writeset_root, array_root = tree.finish(), self._array.finish()
        space_map = write_metadata_space_map(self._disk, self._allocator)
        superblock = Superblock(
            location=0,
            flags=0,
            uuid=bytes(16),
            version=layout.VERSION,
            metadata_space_map=space_map,
            data_block_size=self._head.data_block_size,
            metadata_block_size=layout.METADATA_BLOCK_SECTORS,
            nr_blocks=self._head.nr_blocks,
            current_era=self._head.current_era,
            current_nr_bits=self._head.nr_blocks,
            current_root=0,
            writeset_tree_root=writeset_root,
            era_array_root=array_root,
            metadata_snap=0,
        )
        write_superblock_block(self._disk, superblock.location, pack_superblock(superblock))
        return superblock

    def _begin(self) -> None:
        """What was on the disk is no metadata from here on. Not before there is something to write."""
        if not self._begun:
            self._begun = True
            clear_superblock_block(self._disk)

    def _end_writeset(self) -> None:
        if self._bits is not None:
            nr_bits = self._bits.nr_bits
            self._writesets[self._era] = (nr_bits, self._bits.finish())
            self._bits = None

    def _check_era(self, era: int, what: str) -> None:
        if era > self._head.current_era:
            raise DamagedError(
                f"{what} has era {era}, which is above the current one, {self._head.current_era}",
                expected=f"at most {self._head.current_era}",
                found=era,
            )
