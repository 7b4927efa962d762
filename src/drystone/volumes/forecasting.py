"""What the next backup of a volume would read, told before it is made: by the mappings of now, without a snapshot.

What is in the page cache still and on no disk is not in it; a snapshot would freeze the file system and have it.
"""

from __future__ import annotations

import msgspec

from drystone.backup.forecast import forecast
from drystone.backup.format.manifest import Shape
from drystone.backup.repository import BackupInfo
from drystone.backup.tuning import Tuning
from drystone.base.errors import UnsupportedError
from drystone.volumes.abilities import Forecasts
from drystone.volumes.backups import Backups
from drystone.volumes.service import VolumeService, choose_base


class BackupForecast(msgspec.Struct, frozen=True):
    """Of the next backup of a volume (GET /volumes/forecast). Sizes in bytes.

    :ivar base: the snapshot that the last backup there was made of, and is still here; "" for a whole backup.
    :ivar sampled: read besides, at most, of what did not change, to prove that.
    :ivar written: to the destination, at most: as if nothing could be compressed, and nothing were there already.
    """

    name: str
    size: int
    base: str
    read: int
    sampled: int
    written: int


def forecast_backup(
    service: VolumeService, backups: Backups, reference: str, destination: str = "", endpoint: str = ""
) -> BackupForecast:
    """What a backup of the volume as it is now would come to; nothing is changed.

    :param destination: where the last backups are; "" or a place without any: a whole backup is told of.
    :raises UnsupportedError: the volume's driver cannot tell.
    """
    uuid = service.find_volume(reference).uuid
    older = backups.list_heads(uuid, destination, endpoint) if destination else []
    by_snapshot = {each.about.get("SnapshotUUID", ""): each for each in older}
    # Under the lock, so that neither the volume nor the base is deleted meanwhile.
    with service.locks.hold(uuid):
        volume = service.find_volume(uuid)
        driver = service.driver_of(volume.driver)
        if not isinstance(driver, Forecasts):
            raise UnsupportedError(f"driver {volume.driver} cannot tell what a backup would read")
        snapshots = service.catalogue.list_snapshots(uuid)
        base = choose_base(driver, snapshots, list(reversed(by_snapshot)), volume.size)
        extents = driver.list_mapped(volume, base)
    shape = _shape(volume.size, by_snapshot[base.uuid] if base else None)
    found = forecast(extents, shape, relative=base is not None)
    return BackupForecast(volume.name, volume.size, base.name if base else "", found.read, found.sampled, found.written)


def _shape(size: int, base: BackupInfo | None) -> Shape:
    """How the next backup's image is cut: as its base is."""
    tuning = Tuning()
    if base is None:
        return Shape(size, tuning.chunk_size, tuning.segment_slots)
    return Shape(size, base.chunk_size, base.segment_slots)
