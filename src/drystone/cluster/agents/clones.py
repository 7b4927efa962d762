"""A clone on its ihost: the snapshot that it is copied from, and how far that is. See model.cloning."""

from __future__ import annotations

import errno

from drystone.base.errors import KernelError, UnavailableError, UsageError
from drystone.base.names import check_name
from drystone.base.sizes import SECTOR
from drystone.cluster.agents.answers import CloneSeen
from drystone.cluster.agents.devices import PREFIX, Devices
from drystone.cluster.model.calls import SnapshotKey, VolumeWish
from drystone.cluster.model.dlv import COPIED_ID, VOLUME_ID
from drystone.cluster.model.tables import CLONE_PART, snapshot_path, thin_part
from drystone.kernel.dm.abc import DeviceMapper
from drystone.kernel.dm.clone import CloneStatus
from drystone.kernel.dm.number import DeviceNumber


def check_source(wish: VolumeWish) -> tuple[str, ...]:
    """The paths that its tables may name besides its own.

    :raises UsageError: it would be copied from itself, or from what is no snapshot.
    """
    if wish.source is None:
        return ()
    check_name(wish.source.dlv, "dlv")
    if wish.source.dlv == wish.dlv or not VOLUME_ID < wish.source.thin_id < COPIED_ID:
        raise UsageError(f"dlv {wish.dlv} cannot be copied from thin id {wish.source.thin_id} of {wish.source.dlv}")
    return (snapshot_path(wish.source.dlv, wish.source.thin_id),)


def find_snapshot(devices: Devices, source: SnapshotKey) -> DeviceNumber:
    """The device of a snapshot of another dlv. :raises UnavailableError: it is not here, or has no table yet."""
    uuid = f"{PREFIX}{source.dlv}-{thin_part(source.thin_id)}"
    found = next((entry for entry in devices.entries() if entry.uuid == uuid), None)
    if found is None or not devices.is_there(found.name):
        raise UnavailableError(
            f"snapshot {source.thin_id} of dlv {source.dlv} is not here",
            hint="a clone is put together where its source is attached",
        )
    return found.number


def see_clone(dm: DeviceMapper, dlv: str) -> CloneSeen | None:
    """How far the clone of a dlv (its id) is; None where there is none, or it cannot tell. It may wait for a disk.

    What the kernel counts it has copied, and not flushed. A status that is asked for with a flush commits before it
    counts (Linux 6.1 `drivers/md/dm-clone-target.c`, clone_status): it is asked for once all was counted.
    """
    uuid = f"{PREFIX}{dlv}-{CLONE_PART}"
    for entry in dm.list_devices():
        if entry.uuid == uuid:
            try:
                status = _read(dm, entry.number, no_flush=True)
                is_all = status is not None and status.hydrated == status.regions
                if is_all:
                    status = _read(dm, entry.number, no_flush=False)
            except KernelError as error:
                if error.errno == errno.ENXIO:
                    return None
                raise
            if status is not None:
                return CloneSeen(status.hydrated, status.regions, status.region * SECTOR, is_all)
    return None


def _read(dm: DeviceMapper, number: DeviceNumber, *, no_flush: bool) -> CloneStatus | None:
    """None: it has no table, or its notes cannot be written any more: what was copied last may not be in them."""
    lines = dm.status(number, no_flush=no_flush)
    status = CloneStatus.parse(lines[0].text) if lines else None
    return status if status is not None and status.mode == "rw" else None
