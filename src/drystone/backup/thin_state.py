"""What the next backup of a thin device has to know of the last one, and whether a delta against it can be relied on.

The state is kept among the facts of a backup's manifest. When in doubt everything that is mapped is read.

Why a delta is right. Every mapping has the pool's time at which it was made, and the pool's time is counted up by each
snapshot. A write to a block whose mapping is older than the device's last snapshot goes to a new block, with a new
mapping of the time then (Linux drivers/md/dm-thin-metadata.c, __snapshotted_since; dm-thin.c, process_shared_bio). So
in a snapshot whose mappings are all older than itself nothing was written since it was taken; if it also has as many
mappings as when it was backed up, nothing was discarded. Its data blocks cannot have changed either: whoever else maps
them got them before the snapshot was taken, and writes elsewhere. Then what a newer device maps to the same data block
is what the backup holds.

Cost of the proof: the base's mappings are read once, 16 bytes a mapped block.
"""

from __future__ import annotations

from dataclasses import dataclass

from drystone.backup.facts import read_numbers, write_numbers
from drystone.formats.pdata.blocks import BlockReader
from drystone.formats.thin.devices import DeviceDetails
from drystone.formats.thin.layout import TIME_BITS
from drystone.formats.thin.mappings import iter_mappings
from drystone.formats.thin.superblock import Superblock

_POOL = "thin.pool"
_NUMBERS = {
    "thin.device": "device",
    "thin.created": "created",
    "thin.transaction": "transaction",
    "thin.mapped": "mapped",
    "thin.block_size": "block_size",
    "thin.size": "size",
}
"""Key of a manifest's fact -> field of the state."""


@dataclass(frozen=True, slots=True)
class ThinState:
    """The thin device that a backup holds, as it was then.

    :ivar pool: dm uuid of the pool, else its name. :ivar device: thin id.
    :ivar created, transaction: the pool's time and transaction id when the device was made: ids are given out again.
    :ivar mapped: blocks. :ivar block_size: bytes. :ivar size: bytes of the device.
    """

    pool: str
    device: int
    created: int
    transaction: int
    mapped: int
    block_size: int
    size: int

    def to_about(self) -> dict[str, str]:
        """The facts for a manifest."""
        return {_POOL: self.pool, **write_numbers(self, _NUMBERS)}


def describe_state(pool: str, size: int, superblock: Superblock, details: DeviceDetails) -> ThinState:
    """The state of a device of `size` bytes, as the metadata has it."""
    return ThinState(
        pool=pool,
        device=details.dev_id,
        created=details.creation_time,
        transaction=details.transaction_id,
        mapped=details.mapped_blocks,
        block_size=superblock.data_block_bytes,
        size=size,
    )


def from_about(about: dict[str, str]) -> ThinState | None:
    """The state in a manifest's facts; None: the backup is not of a thin device.

    :raises DamagedError: the facts make no state.
    """
    if _POOL not in about:
        return None
    return ThinState(pool=about[_POOL], **read_numbers(about, _NUMBERS, "thin device"))


def find_doubt(
    reader: BlockReader, superblock: Superblock, devices: dict[int, DeviceDetails], old: ThinState, new: ThinState
) -> str:
    """Why a delta of `new` against the device of `old` could leave out what changed; "": it cannot.

    :param devices: of the metadata, by id. :raises DamagedError: the metadata is wrong.
    """
    base = devices.get(old.device)
    doubts = (
        (new.pool != old.pool, f"the last backup was of a device in another pool, {old.pool}"),
        (new.size != old.size, f"the device was resized from {old.size} to {new.size} bytes"),
        (new.block_size != old.block_size, f"the pool's blocks had {old.block_size} bytes and have {new.block_size}"),
        (base is None, f"thin device {old.device}, which the last backup was made of, is gone"),
    )
    if found := next((text for doubtful, text in doubts if doubtful), ""):
        return found
    assert base is not None
    if (base.creation_time, base.transaction_id) != (old.created, old.transaction):
        return f"thin device {old.device}, which the last backup was made of, is gone: another one has its id"
    if superblock.time >> TIME_BITS:
        return "the pool took more snapshots than the times of its mappings can count"
    if base.mapped_blocks != old.mapped or was_written(reader, superblock, base):
        return f"thin device {old.device} was written to since it was made, so that it may not be what was backed up"
    return ""


def was_written(reader: BlockReader, superblock: Superblock, device: DeviceDetails) -> bool:
    """Whether a mapping is as young as the device itself. A device that is no snapshot was, if anything is mapped."""
    mappings = iter_mappings(reader, superblock, device.dev_id)
    return any(bool((batch.time >= device.creation_time).any()) for batch in mappings)
