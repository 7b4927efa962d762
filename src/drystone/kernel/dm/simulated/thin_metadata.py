"""The metadata of a thin pool as a value: devices, mappings, times, the held snapshot.

A mapping's time and a device's snapshot time decide what is shared, as in the kernel: a block that was mapped before
its device was last snapshotted is copied at the next write, also when the snapshot is gone.

How many metadata blocks are in use depends on the shape of B-trees and is an estimate here.

Facts: Linux 6.1 `drivers/md/dm-thin-metadata.c`.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from drystone.kernel.dm.simulated.refusal import Refusal

METADATA_BLOCK = 8
"""Sectors of a metadata block."""
LARGEST_METADATA = 255 * ((1 << 14) - 64)
"""Metadata blocks that a pool can use; a larger device is used up to here."""

_FRESH_BLOCKS = 9
_MAPPINGS_A_BLOCK = 126
_LARGEST_RESERVE = 4096


@dataclass(frozen=True, slots=True)
class ThinDevice:
    """A thin device: virtual block -> (data block, time of the mapping). The mapping is never changed in place."""

    mappings: Mapping[int, tuple[int, int]]
    transaction_id: int
    creation_time: int
    snapshotted_time: int

    def shares(self, virtual: int) -> bool:
        """Whether a write to a mapped block must copy it first."""
        return self.snapshotted_time > self.mappings[virtual][1]


@dataclass(frozen=True, slots=True)
class Held:
    """A reserved metadata snapshot: the block of its superblock, and the devices as they were."""

    block: int
    devices: Mapping[int, ThinDevice]


@dataclass(frozen=True, slots=True)
class ThinMetadata:
    """Everything a pool remembers. Sizes: `block` in sectors, `data_blocks` and `metadata_blocks` in blocks.

    :ivar next_block: the data block to give out next; numbers are given once.
    """

    block: int
    metadata_blocks: int
    data_blocks: int = 0
    time: int = 0
    transaction_id: int = 0
    devices: Mapping[int, ThinDevice] = field(default_factory=dict)
    held: Held | None = None
    needs_check: bool = False
    next_block: int = 0

    @property
    def used_data(self) -> int:
        """Data blocks that some device, or the held snapshot, refers to."""
        held = self.held.devices.values() if self.held else ()
        return len({block for each in (*self.devices.values(), *held) for block, _ in each.mappings.values()})

    @property
    def free_data(self) -> int:
        return self.data_blocks - self.used_data

    @property
    def used_metadata(self) -> int:
        """An estimate of the blocks in use and the tenth that is kept back. A snapshot shares its origin's tree."""
        held = self.held.devices.values() if self.held else ()
        trees = {id(each.mappings): len(each.mappings) for each in (*self.devices.values(), *held)}
        blocks = _FRESH_BLOCKS + sum(1 + size // _MAPPINGS_A_BLOCK for size in trees.values())
        reserve = min(self.metadata_blocks // 10, _LARGEST_RESERVE)
        return min(reserve + blocks + (self.held is not None), self.metadata_blocks)

    def create_thin(self, dev: int) -> ThinMetadata:
        """Refusal EEXIST."""
        if dev in self.devices:
            raise Refusal(errno.EEXIST, f"thin device {dev} exists")
        made = ThinDevice({}, self.transaction_id, self.time, self.time)
        return replace(self, devices={**self.devices, dev: made})

    def create_snap(self, dev: int, origin: int) -> ThinMetadata:
        """Refusal EEXIST, or ENODATA for an origin that is not there."""
        if dev in self.devices:
            raise Refusal(errno.EEXIST, f"thin device {dev} exists")
        if origin not in self.devices:
            raise Refusal(errno.ENODATA, f"thin device {origin} does not exist")
        time = self.time + 1
        source = replace(self.devices[origin], snapshotted_time=time)
        made = ThinDevice(source.mappings, self.transaction_id, time, time)
        return replace(self, time=time, devices={**self.devices, origin: source, dev: made})

    def delete(self, dev: int) -> ThinMetadata:
        """Refusal ENODATA."""
        if dev not in self.devices:
            raise Refusal(errno.ENODATA, f"thin device {dev} does not exist")
        return replace(self, devices={number: each for number, each in self.devices.items() if number != dev})

    def set_transaction_id(self, old: int, new: int) -> ThinMetadata:
        """Refusal EINVAL: `old` is not what it is."""
        if old != self.transaction_id:
            raise Refusal(errno.EINVAL, f"the transaction id is {self.transaction_id}, not {old}")
        return replace(self, transaction_id=new)

    def reserve(self) -> ThinMetadata:
        """Refusal EBUSY: there is one already."""
        if self.held is not None:
            raise Refusal(errno.EBUSY, "a metadata snapshot is held already")
        return replace(self, held=Held(_FRESH_BLOCKS + len(self.devices), self.devices))

    def release(self) -> ThinMetadata:
        """Refusal EINVAL: there is none."""
        if self.held is None:
            raise Refusal(errno.EINVAL, "no metadata snapshot is held")
        return replace(self, held=None)

    def map_blocks(self, dev: int, virtual: list[int]) -> ThinMetadata:
        """New data blocks for virtual ones, in place of those that are mapped there."""
        device = self.devices[dev]
        fresh = {block: (self.next_block + at, self.time) for at, block in enumerate(virtual)}
        changed = replace(device, mappings={**device.mappings, **fresh})
        return replace(self, devices={**self.devices, dev: changed}, next_block=self.next_block + len(virtual))

    def unmap_blocks(self, dev: int, begin: int, end: int) -> ThinMetadata:
        """Forget the mappings of virtual blocks [begin, end)."""
        device = self.devices[dev]
        kept = {block: mapping for block, mapping in device.mappings.items() if not begin <= block < end}
        return replace(self, devices={**self.devices, dev: replace(device, mappings=kept)})


def metadata_blocks(sectors: int) -> int:
    """Blocks of a metadata device of that size that a pool uses."""
    return min(sectors // METADATA_BLOCK, LARGEST_METADATA)
