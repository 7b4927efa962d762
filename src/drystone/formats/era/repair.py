"""Repair: what can be read of damaged era metadata, written somewhere else as sound metadata, and checked there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from drystone.base.errors import DamagedError
from drystone.formats.era import layout
from drystone.formats.era.check import check_metadata, make_superblock_damage
from drystone.formats.era.layout import STEP
from drystone.formats.era.lengths import correct_nr_blocks
from drystone.formats.era.parts import Bits, Head, Part, WritesetHead
from drystone.formats.era.rescue import MOST_AHEAD, Rescue
from drystone.formats.era.restore import write_parts
from drystone.formats.era.salvage import Loss, Salvage, find_newest_era
from drystone.formats.era.superblock import Superblock, guess_superblock, read_held_superblock, read_superblock
from drystone.formats.pdata.blocks import BlockDisk, BlockReader, count_blocks
from drystone.formats.pdata.damage import Damage

_DOUBTFUL_POINTERS = (
    "the trees refer to blocks more often than the space map counts, so a pointer may lead to a wrong block: "
    "copy everything once"
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a repair wrote, and what was lost.

    :ivar superblock: of the new metadata. :ivar damages: of the old metadata.
    :ivar losses: what could not be read, and what it was taken for. :ivar remarks: what was assumed, a line each.
    """

    superblock: Superblock
    damages: tuple[Damage, ...]
    losses: tuple[Loss, ...]
    remarks: tuple[str, ...]

    def to_document(self) -> dict[str, Any]:
        """As a JSON object; blocks are data blocks, `end` is one past the last."""
        return {
            "current_era": self.superblock.current_era,
            "nr_blocks": self.superblock.nr_blocks,
            "damages": [each.describe() for each in self.damages],
            "losses": [
                {"what": each.what, "begin": each.begin, "end": each.end, "taken_for_era": each.era}
                for each in self.losses
            ],
            "remarks": list(self.remarks),
        }


@dataclass(frozen=True, slots=True)
class Overrides:
    """What to take instead of what the superblock tells; None leaves it.

    :ivar data_block_size: sectors. :ivar nr_blocks: data blocks.
    """

    data_block_size: int | None = None
    nr_blocks: int | None = None

    def apply(self, superblock: Superblock) -> Superblock:
        """The superblock with these in place of its own."""
        if self.data_block_size is not None:
            superblock = replace(superblock, data_block_size=self.data_block_size)
        return superblock if self.nr_blocks is None else replace(superblock, nr_blocks=self.nr_blocks)


def open_damaged(reader: BlockReader, *, held: bool = False, overrides: Overrides | None = None) -> Salvage | Rescue:
    """What reads past damage: from the superblock, or from what is left of it, else from all that lies on the device.

    :param held: read the metadata snapshot.
    :raises NotFoundError: no snapshot is held. :raises DamagedError: its superblock is damaged, or there is none and
        nothing to begin with.
    """
    overrides = overrides or Overrides()
    if held:
        return _open_sound(reader, read_held_superblock(reader), overrides)
    try:
        return _open_sound(reader, read_superblock(reader), overrides)
    except DamagedError as error:
        if not count_blocks(reader):
            raise
        reason = make_superblock_damage(error, 0)
    remains = guess_superblock(reader.read_blocks(np.zeros(1, dtype=np.uint64)).tobytes())
    if remains is None:
        return Rescue(reader, reason, data_block_size=overrides.data_block_size, nr_blocks=overrides.nr_blocks)
    return _open_remains(reader, remains, reason, overrides)


def _open_sound(reader: BlockReader, superblock: Superblock, overrides: Overrides) -> Salvage:
    """Begin with a superblock whose checksum is right. An era above its current one makes that doubtful, unless it is
    so far above that the era must be wrong itself.
    """
    superblock, damages, remarks = _settle_sizes(reader, superblock, overrides)
    newest = find_newest_era(reader, superblock)
    if not superblock.current_era < newest <= superblock.current_era + MOST_AHEAD:
        return Salvage(reader, superblock, damages=damages, remarks=remarks)
    damage = Damage(superblock.location, "superblock", "current era", f"{newest} or more", superblock.current_era)
    return _correct_era(reader, superblock, newest, [damage, *damages], remarks)


def _open_remains(reader: BlockReader, remains: Superblock, reason: Damage, overrides: Overrides) -> Salvage:
    """Begin with a superblock whose checksum is wrong: its fields are believed where what they lead to is sound.

    A current era that is below an era that was found, or far above all, is not believed.
    """
    remains, damages, more = _settle_sizes(reader, remains, overrides)
    newest = find_newest_era(reader, remains)
    remarks = [
        "the superblock's checksum is wrong; its fields are believed as far as what they lead to is sound",
        *more,
    ]
    if newest <= remains.current_era <= newest + MOST_AHEAD:
        return Salvage(reader, remains, damages=[reason, *damages], remarks=remarks)
    return _correct_era(reader, remains, newest, [reason, *damages], remarks)


def _settle_sizes(
    reader: BlockReader, superblock: Superblock, overrides: Overrides
) -> tuple[Superblock, list[Damage], list[str]]:
    """The superblock with the sizes that are asked for, or else a number of data blocks that leaves none out."""
    superblock = overrides.apply(superblock)
    return (superblock, [], []) if overrides.nr_blocks is not None else correct_nr_blocks(reader, superblock)


def _correct_era(
    reader: BlockReader, superblock: Superblock, newest: int, damages: list[Damage], remarks: list[str]
) -> Salvage:
    era = min(newest + 1, layout.LARGEST_ERA)
    remark = f"the current era {superblock.current_era} is not believed, {era} is taken: copy everything once"
    superblock = replace(superblock, current_era=era)
    return Salvage(reader, superblock, damages=damages, remarks=[*remarks, remark])


def repair(reader: BlockReader, disk: BlockDisk, overrides: Overrides | None = None) -> Outcome:
    """Write what can be read on `reader` to `disk`, which is another device; durable and checked when this returns.

    Where it is not known whether a block was written it is taken as written, in the newest era that is possible: so
    whoever asks for what changed since an era misses nothing. The result has all writesets folded into the array: the
    kernel, when it digests a writeset, overwrites what the array has, be that newer.

    :raises DamagedError: there is nothing to begin with, or the result is not sound. :raises ExhaustedError: `disk` is
        too small.
    """
    source = open_damaged(reader, overrides=overrides)
    remarks = [_DOUBTFUL_POINTERS] if check_metadata(reader).has_extra_pointers() else []
    superblock = write_parts(disk, _fold(source))
    check_metadata(disk).refuse("the repaired metadata")
    return Outcome(superblock, tuple(source.damages), tuple(source.losses), (*source.remarks, *remarks))


def _fold(source: Salvage | Rescue) -> Iterator[Part]:
    """The array with everything folded in, and an empty writeset of the current era, as there is after a suspend."""
    for part in source.iter_parts(logical=True):
        yield part
        if isinstance(part, Head):
            head = part
    yield WritesetHead(head.current_era, head.nr_blocks)
    for begin in range(0, head.nr_blocks, STEP):
        yield Bits(begin, np.zeros(min(STEP, head.nr_blocks - begin), dtype=np.bool_))
