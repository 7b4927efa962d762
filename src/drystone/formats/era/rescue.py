"""Era metadata without its superblock: all parts that lie on the device, of whatever version, taken together.

The kernel does not overwrite a block that is in use, so that beside the newest version of a tree there are older ones.
Of each block the newest era that any of them has is taken: that may say that a block was written later than it was, but
not that it was written earlier. Bitsets that no writeset tree refers to are taken for the current writeset.

That holds only while every block can be told. One that cannot, and is not all zeros, may have been the newest version
of anything: then all data blocks are taken as written in the newest era.

What only the superblock has comes from that of a metadata snapshot, or is given by the caller.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drystone.base.errors import DamagedError
from drystone.formats.era import layout
from drystone.formats.era.array import Ranges
from drystone.formats.era.eras import ERA
from drystone.formats.era.lengths import correct_nr_bits
from drystone.formats.era.parts import Part, list_logical_parts
from drystone.formats.era.salvage import ALL_SET, NOWHERE, AnyOf, Loss, SalvagedArray, note_losses
from drystone.formats.era.scan import Finds, find_all
from drystone.formats.era.superblock import Superblock
from drystone.formats.era.writesets import Writeset
from drystone.formats.pdata.array_blocks import view_array_blocks
from drystone.formats.pdata.blocks import BlockReader
from drystone.formats.pdata.btree import BATCH
from drystone.formats.pdata.damage import Damage
from drystone.formats.pdata.layout import WORD, WORD_BITS, count_array_entries
from drystone.formats.pdata.spacemap import SpaceMapRoot
from drystone.formats.pdata.survey import Survey

MOST_AHEAD = 1000
"""How far the current era of a damaged superblock may be ahead of all eras that are found, to be believed."""


_NO_SUPERBLOCK = Superblock(
    location=0,
    flags=0,
    uuid=bytes(16),
    version=layout.VERSION,
    metadata_space_map=SpaceMapRoot(0, 0, 0, 0),
    data_block_size=0,
    metadata_block_size=layout.METADATA_BLOCK_SECTORS,
    nr_blocks=0,
    current_era=0,
    current_nr_bits=0,
    current_root=0,
    writeset_tree_root=0,
    era_array_root=0,
    metadata_snap=0,
)
"""What is known when no superblock is found: nothing."""

_NONE = np.zeros(0, dtype=np.uint64)
"""Old versions of arrays share blocks, so that no block is doubted for that."""


class Rescue:
    """One reading of metadata whose superblock is lost. Like salvage.Salvage otherwise.

    :ivar losses: what was lost so far; complete when the parts were taken to their end.
    :ivar remarks: what was assumed, a line each.
    :param reason: what is wrong with the superblock. :param data_block_size: sectors; None: what a metadata snapshot
        has. :param nr_blocks: data blocks; None: as many as a snapshot or an era array has.
    """

    def __init__(
        self, reader: BlockReader, reason: Damage, *, data_block_size: int | None = None, nr_blocks: int | None = None
    ) -> None:
        self.losses: list[Loss] = []
        self.remarks: list[str] = []
        self._reader = reader
        self._data_block_size = data_block_size
        self._nr_blocks = nr_blocks
        self._survey = Survey(reader)
        self._survey.report(reason)
        self._superblock: Superblock | None = None
        self._versions: dict[str, list[Writeset]] = {}
        self._finds: Finds | None = None

    @property
    def damages(self) -> list[Damage]:
        """What is wrong with which block, each once."""
        return list(dict.fromkeys(self._survey.damages))

    def iter_parts(self, *, logical: bool = True) -> Iterator[Part]:
        """All that was found, folded into the array whatever `logical` says: among the writesets are old ones, and the
        kernel would overwrite newer eras of the array with theirs.

        :raises DamagedError: nothing tells the size of a data block.
        """
        del logical
        finds = self._finds = find_all(self._reader)
        superblock = self._superblock = self._find_facts(finds)
        writesets = self._list_writesets(finds, superblock)
        return list_logical_parts(self.open, superblock, writesets)

    def open(self, name: str, value: np.dtype[Any], root: int, length: int, /) -> Ranges:
        """An array that is put together out of all versions of it, whatever its root."""
        del root
        assert self._superblock is not None
        assert self._finds is not None
        if value == ERA:
            whole = Loss(name, 0, length, self._superblock.current_era)
            conflicts = np.array(sorted(self._finds.conflicts), dtype=np.int64).reshape(-1, 2)
            return RescuedArray(self._reader, self._finds, self.losses, length, whole, conflicts)
        return AnyOf(tuple(self._open_bitset(name, each) for each in self._versions[name]))

    def _open_bitset(self, name: str, writeset: Writeset) -> SalvagedArray:
        """One version. What cannot be read of a bitset that nothing refers to is no loss: it is an old one, maybe."""
        words = -(-writeset.nr_bits // WORD_BITS)
        whole = Loss(name, 0, writeset.nr_bits, writeset.era)
        if writeset.current:
            return SalvagedArray(Survey(self._reader), [], WORD, writeset.root, words, whole, 0, _NONE)
        return SalvagedArray(self._survey, self.losses, WORD, writeset.root, words, whole, ALL_SET, _NONE)

    def _list_writesets(self, finds: Finds, superblock: Superblock) -> list[Writeset]:
        """One for each era, and all its versions by name; none when all blocks count as written anyway.

        A root that several eras refer to was used again: its bits are taken for those of the newest.
        """
        if finds.doubt:
            return []
        era = superblock.current_era
        newest = {
            root: (each, nr_bits) for each in sorted(finds.writesets) for nr_bits, root in sorted(finds.writesets[each])
        }
        found: dict[int, list[Writeset]] = {}
        for root, (each, nr_bits) in newest.items():
            writeset = correct_nr_bits(self._reader, Writeset(min(each, era), nr_bits, root))
            found.setdefault(writeset.era, []).append(writeset)
        loose = [correct_nr_bits(self._reader, Writeset(era, 0, root, current=True)) for root in sorted(finds.bitsets)]
        if loose or era not in found:
            found.setdefault(era, []).extend(loose or [Writeset(era, superblock.nr_blocks, NOWHERE)])
        chosen = [max(versions, key=lambda each: each.nr_bits) for _, versions in sorted(found.items())]
        self._versions = {each.name: found[each.era] for each in chosen}
        return chosen

    def _find_facts(self, finds: Finds) -> Superblock:
        """A superblock with the size of a data block, their number, and the current era; its roots are not used.

        :raises DamagedError: nothing tells the size of a data block.
        """
        base = max(finds.superblocks, key=lambda each: each.current_era, default=_NO_SUPERBLOCK)
        size = self._data_block_size or base.data_block_size
        if not size:
            what = "neither block 0 nor a metadata snapshot has an era superblock"
            hint = "era_repair takes it as --data-block-size"
            raise DamagedError(f"{what}: the size of a data block is not known", hint=hint, block=0)
        era = min(max([*finds.writesets, finds.newest, base.current_era]) + 1, layout.LARGEST_ERA)
        self.remarks.append(f"the current era is taken to be {era}; it may have been higher: copy everything once")
        if finds.doubt:
            self.remarks.append(f"{finds.doubt}: it may have been newer than all that was found")
        nr_blocks = self._nr_blocks
        if nr_blocks is None:
            most = len(finds.known) * count_array_entries(ERA.itemsize)
            nr_blocks = min(max(base.nr_blocks, finds.nr_blocks), most)
            if finds.doubt:
                self.remarks.append(f"{nr_blocks} data blocks were found; if there are more, say so with --nr-blocks")
        return replace(
            base,
            location=0,
            data_block_size=size,
            current_era=era,
            nr_blocks=nr_blocks,
            current_root=0,
            metadata_snap=0,
        )


@dataclass(frozen=True, slots=True)
class RescuedArray:
    """The era array out of all its blocks that were found; see Ranges."""

    reader: BlockReader
    finds: Finds
    losses: list[Loss]
    length: int
    whole: Loss
    conflicts: NDArray[np.int64]
    """finds.conflicts as an array, shape (n, 2)."""

    def read(self, first: int, count: int) -> NDArray[Any]:
        """See Ranges."""
        per_block = count_array_entries(ERA.itemsize)
        count = max(min(count, -(-self.length // per_block) - first), 0)
        entries = np.zeros((count, per_block), dtype=ERA)
        known = np.zeros((count, per_block), dtype=np.bool_)
        for begin in range(0, len(blocks := self._find_blocks(first, count)), BATCH):
            self._fold_in(blocks[begin : begin + BATCH], first, entries, known)
        known.reshape(-1)[max(self.length - first * per_block, 0) :] = True
        entries[~known] = self.whole.era
        note_losses(self.losses, self.whole, first * per_block, ~known.reshape(-1))
        read: NDArray[Any] = entries.reshape(-1)[: self.length - first * per_block]
        capped: NDArray[Any] = np.minimum(read, np.uint32(self.whole.era))
        return capped

    def _find_blocks(self, first: int, count: int) -> NDArray[np.int64]:
        """(number in the array, block) of all versions of these array blocks: shape (n, 2)."""
        if self.finds.doubt:
            return np.empty((0, 2), dtype=np.int64)
        indices = self.finds.indices
        blocks = np.flatnonzero((indices >= first) & (indices < first + count))
        low, high = np.searchsorted(self.conflicts[:, 0], [first, first + count]).tolist()
        return np.concatenate((np.stack((indices[blocks], blocks), axis=1), self.conflicts[low:high]))

    def _fold_in(self, table: NDArray[np.int64], first: int, entries: NDArray[Any], known: NDArray[np.bool_]) -> None:
        """Raise entries to those of these blocks."""
        blocks = self.reader.read_blocks(table[:, 1].astype(np.uint64))
        records = view_array_blocks(blocks, ERA)
        for (index, _), record in zip(table.tolist(), records, strict=True):
            used = int(record["nr_entries"])
            here = entries[index - first, :used]
            np.maximum(here, record["values"][:used], out=here)
            known[index - first, :used] = True
