"""A clone: a dlv that is usable at once, and becomes a copy of a snapshot of another one while it is used.

Over its thin device stands a dm-clone on the ihost where the source is attached: what is not copied yet is read from
the source's snapshot, what is written stays, and the kernel copies the rest. Which regions are there it notes in
another thin device of the clone's own pool. So that is as durable, and on as many legs, as the data is: dm-clone
flushes the data before it writes its notes (Linux 6.1 `drivers/md/dm-clone-target.c`, commit_metadata). When all is
there and durable, that is recorded; then the final device is put on the thin device alone.
"""

from __future__ import annotations

from msgspec.structs import replace

from drystone.base.errors import UsageError
from drystone.base.sizes import SECTOR
from drystone.cluster.model.dlv import COPIED_ID, VOLUME_ID, Dlv, Group
from drystone.cluster.model.layout import SECTORS_A_BLOCK, another_group, first_groups
from drystone.dvm import clone

MESSAGES = (f"create_thin {VOLUME_ID}", f"create_thin {COPIED_ID}")
"""That lead to the first transaction of a clone's pool."""
_FORGET = (f"delete {COPIED_ID}",)
_MOST_REGIONS = 1 << 24
"""The kernel keeps a bit in RAM for each, and so do its notes."""


def region_of(size: int) -> int:
    """Sectors that are copied at once, of a volume of `size` bytes: a power of two."""
    region = SECTORS_A_BLOCK
    while -(-size // (region * SECTOR)) > _MOST_REGIONS:
        region *= 2
    return region


def notes_size(size: int) -> int:
    """Bytes of the device that notes which regions are copied, of a volume of `size` bytes. Most are never used."""
    return clone.metadata_size(size, region_of(size) * SECTOR) // SECTOR * SECTOR


def groups_of(size: int, initial_size: int, stripes: int, block: int) -> tuple[Group, Group]:
    """The first groups of a clone: with room for the notes, in whole blocks of its pool. As `first_groups`."""
    metadata, _ = first_groups(size, initial_size, stripes, block)
    return metadata, another_group(1, "data", initial_size + room_for_notes(size, block), stripes)


def room_for_notes(size: int, block: int) -> int:
    """Bytes of a pool that the notes may take. :param block: its sectors."""
    whole = block * SECTOR
    return -(-notes_size(size) // whole) * whole


def is_copying(dlv: Dlv) -> bool:
    """Whether it still needs its source."""
    return dlv.source is not None and dlv.source.status == "copying"


def complete(dlv: Dlv) -> Dlv:
    """All of it is there, and durable: without its dm-clone, whose notes its pool is to forget.

    The source is given up only when the ihost has confirmed that: see `settle`.

    :raises UsageError: it is no clone, or was complete before.
    """
    if dlv.source is None or not is_copying(dlv):
        raise UsageError(f"dlv {dlv.name} is no clone that is being copied")
    return replace(
        dlv,
        source=replace(dlv.source, status="whole"),
        messages=_FORGET,
        transaction_id=dlv.transaction_id + 1,
        epoch=dlv.epoch + 1,
    )


def settle(dlv: Dlv) -> Dlv:
    """Its ihost has it without the dm-clone: it is a dlv like any other."""
    return replace(dlv, source=None)
