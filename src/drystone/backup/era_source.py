"""An era device as the source of a backup: all of it, or what was written since an era."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Self

import numpy as np

from drystone.backup.era_plan import Choice, EraFacts, choose
from drystone.backup.era_state import EraState
from drystone.backup.ranges import Ranges, clip, whole
from drystone.backup.source import DeviceSource
from drystone.base.errors import MismatchError, UsageError
from drystone.formats.era.eras import iter_changed
from drystone.formats.era.superblock import Superblock, parse_superblock, read_superblock
from drystone.formats.era.tag import read_sessions, read_tag
from drystone.formats.pdata.superblock import read_superblock_block
from drystone.kernel.blockdev import BlockDevice, open_device

Hold = Callable[[], AbstractContextManager[int]]
"""Holds a metadata snapshot of the device, which begins a new era, and then waits until every write that the device has
let through is finished, which begins another; yields where the snapshot is."""


@dataclass(frozen=True, slots=True)
class EraDisk:
    """An active era device.

    :ivar path: of the device. :ivar metadata: of its metadata device. :ivar size: bytes. :ivar hold: see `Hold`.
    :ivar roll: begins a new era.
    :ivar keeps_writesets, discards_until: as in EraFacts.
    """

    path: str
    metadata: str
    size: int
    hold: Hold
    roll: Callable[[], None]
    keeps_writesets: bool = True
    discards_until: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """What a backup is to read.

    :ivar state: of the backup that will be made, without its UUIDs.
    :ivar ranges: bytes that were written since `choice.since`; everything when that is None.
    """

    choice: Choice
    state: EraState
    ranges: Ranges


def read_changes(disk: EraDisk, state: EraState | None, missing: str = "", at_era: int | None = None) -> Reading:
    """Begin a new era, and find what was written before it and after `state`.

    The era comes first, the data second: what is written while the data is read has a new era, and is in the next
    backup. A write is recorded before it is passed on, and may be on its way while the era changes and its block is
    read: `hold` waits for those that the snapshot tells of. All others have the snapshot's era or a later one, and are
    in the next backup.

    The data is read in the era after the snapshot's, if nobody else begins one. Whoever has read it calls `disk.roll`:
    that begins the `end_era` of the state.

    Whoever has a snapshot of the data, taken before, says of which era it is (`at_era`).

    :raises UsageError: `at_era` has not come yet. :raises DamagedError: the metadata is wrong.
    :raises MismatchError: the metadata device holds the metadata of another device.
    """
    with disk.hold() as location, open_device(disk.metadata) as reader:
        block = read_superblock_block(reader, location)
        superblock = parse_superblock(block, location=location)
        facts = _read_facts(disk, superblock, block)
        if at_era is not None and not 0 < at_era <= facts.era:
            raise UsageError(f"era {at_era} has not come yet: {disk.path} is at era {facts.era}")
        choice = choose(facts, state, missing, at_era)
        next_era = facts.era if at_era is None else at_era
        found = EraState(
            tag=facts.tag,
            session=facts.sessions[0].number if facts.sessions else 0,
            next_era=next_era,
            end_era=facts.era + 2,
            block_size=facts.block_size,
            size=facts.size,
        )
        return Reading(choice, found, _read_ranges(reader, superblock, found, choice.since))


def _read_facts(disk: EraDisk, superblock: Superblock, block: bytes) -> EraFacts:
    """:param block: what the superblock was parsed from. :raises MismatchError: it is another device's."""
    blocks = -(-disk.size // superblock.data_block_bytes)
    if superblock.nr_blocks != blocks:
        raise MismatchError(
            f"{disk.metadata} knows {superblock.nr_blocks} blocks, {disk.path} has {blocks}",
            hint="is it the metadata of that device?",
        )
    return EraFacts(
        tag=read_tag(block),
        sessions=read_sessions(block),
        era=superblock.current_era,
        block_size=superblock.data_block_bytes,
        blocks=superblock.nr_blocks,
        size=disk.size,
        keeps_writesets=disk.keeps_writesets,
        discards_until=disk.discards_until,
    )


def _read_ranges(reader: BlockDevice, superblock: Superblock, state: EraState, since: int | None) -> Ranges:
    """The bytes that were written in era `since` or later; everything when it is None."""
    if since is None:
        return whole(state.size)
    batches = list(iter_changed(reader, superblock, since))
    blocks = np.concatenate(batches) if batches else np.empty((0, 2), dtype=np.uint64)
    return clip(blocks * np.uint64(state.block_size), state.size)


class EraSource(DeviceSource):
    """The data of an era device: what `reading` says, from the device at `path`, which may be a snapshot of it.

    :raises MismatchError: the device at `path` has another size than the era device. And as DeviceSource.
    """

    def __init__(self, path: str, reading: Reading) -> None:
        super().__init__(path)
        self._reading = reading

    def __enter__(self) -> Self:
        super().__enter__()
        if self.size != self._reading.state.size:
            self.__exit__(None, None, None)
            raise MismatchError(
                f"{self.path} has another size than the era device, which has {self._reading.state.size} bytes"
            )
        return self

    @property
    def relative(self) -> bool:
        """Whether only changes since the base are told."""
        return self._reading.choice.since is not None

    def extents(self) -> Ranges:
        """Everything, or what was written since the base."""
        return self._reading.ranges


class EraSourceInUse(EraSource):
    """The data from the era device itself, which may be written to meanwhile. As EraSource."""

    def __init__(self, disk: EraDisk, reading: Reading) -> None:
        super().__init__(disk.path, reading)
        self._disk = disk

    def written_since(self) -> Ranges:
        """What was written in the era of `reading` or later: the next backup will read it. Eras are begun.

        :raises DamagedError: the metadata is wrong.
        """
        # Before the metadata snapshot, which begins eras as well: the state says that this one comes next, when the
        # data has been read.
        self._disk.roll()
        state = self._reading.state
        with self._disk.hold() as location, open_device(self._disk.metadata) as reader:
            return _read_ranges(reader, read_superblock(reader, location=location), state, state.next_era)
