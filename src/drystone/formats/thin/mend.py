"""Small repairs in place: space maps counted anew, and the flag that asks for a check cleared.

Both space maps are written anew into blocks that are free by the counts and by the old maps; then, when those are
durable, the superblock that leads to them. A power cut at any moment leaves the old maps or the new ones.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from drystone.base.errors import ExhaustedError
from drystone.formats.pdata.allocator import Allocator
from drystone.formats.pdata.bitmaps import SpaceMapKind, survey_counts
from drystone.formats.pdata.blocks import BlockDisk
from drystone.formats.pdata.counts import ReferenceCounts
from drystone.formats.pdata.spacemap_writer import write_data_space_map, write_metadata_space_map
from drystone.formats.pdata.survey import Survey
from drystone.formats.thin import layout
from drystone.formats.thin.check import Report
from drystone.formats.thin.findings import Severity
from drystone.formats.thin.superblock import Superblock, read_superblock, write_superblock

MENDABLE = frozenset({"leaked", "freed", "low-count", "high-count", "wrong-summary"})
"""Kinds of findings that counting anew mends."""

_PIECE = 1 << 16
"""Blocks whose counts are looked at together."""


def can_mend(report: Report) -> bool:
    """Whether counting anew mends all that was found, and there is something to mend."""
    wrong = [finding for finding in report.findings if finding.severity is not Severity.NOTE]
    return bool(wrong) and all(finding.kind in MENDABLE for finding in wrong)


def mend_space_maps(disk: BlockDisk, report: Report) -> None:
    """Write both space maps of the live metadata anew, by the references that a check has counted.

    Durable when it returns. Until the superblock is written nothing that it leads to is changed.

    :param report: of a full check, for which can_mend holds.
    :raises ExhaustedError: there is no room for the new maps beside the old ones; nothing was changed.
    """
    superblock = report.superblock
    assert superblock is not None
    assert report.metadata_counts is not None
    assert report.data_counts is not None
    allocator = _find_free(disk, superblock, report.metadata_counts)
    data = write_data_space_map(disk, allocator, report.data_counts)
    metadata = write_metadata_space_map(disk, allocator)
    write_superblock(disk, replace(superblock, data_space_map=data, metadata_space_map=metadata))


def clear_needs_check(disk: BlockDisk) -> None:
    """Clear the flag in the live superblock; durable when it returns."""
    live = read_superblock(disk)
    write_superblock(disk, replace(live, flags=live.flags & ~layout.NEEDS_CHECK))


def _find_free(disk: BlockDisk, superblock: Superblock, counts: ReferenceCounts) -> _FreeBlocks:
    """An allocator of the blocks that are free now, which counts the references of the trees alone.

    :param counts: of the trees and of both old space maps.
    """
    old = Survey(disk)
    for kind, root in (
        (SpaceMapKind.DATA, superblock.data_space_map),
        (SpaceMapKind.METADATA, superblock.metadata_space_map),
    ):
        for _ in survey_counts(old, kind, root):
            pass
    found = _FreeBlocks(superblock.metadata_space_map.nr_blocks, counts)
    found.counts = ReferenceCounts(found.nr_blocks)
    for begin in range(0, found.nr_blocks, _PIECE):
        end = min(begin + _PIECE, found.nr_blocks)
        kept = counts.get_range(begin, end).astype(np.int64) - old.counts.get_range(begin, end)
        found.counts.add(np.repeat(np.arange(begin, end, dtype=np.uint64), np.maximum(kept, 0)))
    return found


class _FreeBlocks(Allocator):
    """Hands out blocks of metadata that is in use: ascending, each free by `taken`."""

    def __init__(self, nr_blocks: int, taken: ReferenceCounts) -> None:
        super().__init__(nr_blocks)
        self._taken = taken
        self._at = 0
        self._ready: NDArray[np.uint64] = np.empty(0, dtype=np.uint64)

    def allocate(self, count: int, *, referred: bool = True) -> NDArray[np.uint64]:
        """The numbers of `count` more blocks, ascending, with gaps.

        :param referred: see Allocator. :raises ExhaustedError: the metadata is full.
        """
        while len(self._ready) < count:
            if self._at >= self.nr_blocks:
                raise ExhaustedError(
                    "the metadata has no room for new space maps beside the old ones",
                    hint="thin_repair writes the metadata to a larger device",
                )
            end = min(self._at + _PIECE, self.nr_blocks)
            free = np.flatnonzero(self._taken.get_range(self._at, end) == 0) + self._at
            self._ready = np.concatenate((self._ready, free.astype(np.uint64)))
            self._at = end
        numbers, self._ready = self._ready[:count], self._ready[count:]
        if referred:
            self.counts.add(numbers)
        return numbers
