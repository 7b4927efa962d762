"""What `drystone backup create` does of its own when its source is a thin device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from drystone.cli.backup.wish import Wish

if TYPE_CHECKING:
    from drystone.backup.repository import BackupInfo
    from drystone.backup.thin_backup import ThinDisk
    from drystone.kernel.dm.abc import DeviceMapper


def find_thin_disk(dm: DeviceMapper, source: Path, warnings: list[str]) -> ThinDisk | None:
    """The thin device at `source`; None when it is another kind, or one whose mappings do not tell all.

    `warnings` takes why they do not.
    """
    from drystone.backup.thin_backup import ThinDisk
    from drystone.base.sizes import SECTOR
    from drystone.dvm.metadata_reading import find_metadata
    from drystone.dvm.metadata_snapshot import POOL, held_metadata
    from drystone.kernel.blockdev import device_number
    from drystone.kernel.dm.abc import DeviceNumber
    from drystone.kernel.dm.targets import Thin

    number = device_number(str(source))
    table = dm.table(number)
    if len(table) != 1 or table[0].target != Thin.kind:
        return None
    target = Thin.parse(table[0].params)
    if target.external_origin is not None:
        warnings.append(f"{source} has an external origin, whose bytes no mapping tells of: all of it was read")
        return None
    major, _, minor = target.pool.partition(":")
    pool = dm.info(DeviceNumber(int(major), int(minor)))
    place = find_metadata(dm, pool.name, POOL)
    return ThinDisk(
        path=str(source),
        metadata=place.path,
        pool=pool.uuid or pool.name,
        device=target.dev_id,
        size=table[0].length * SECTOR,
        hold=lambda: held_metadata(dm, pool.number, POOL),
    )


def back_up_thin_device(dm: DeviceMapper, wish: Wish) -> BackupInfo | None:
    """Back a thin device up; None: the source is none, or its mappings cannot be read now, and `warnings` says why."""
    from drystone.backup.repository import BackupRequest
    from drystone.backup.thin_backup import back_up_thin, plan_thin
    from drystone.base.errors import BusyError, UnavailableError

    volume, base = wish.name_base()
    disk = find_thin_disk(dm, wish.source, wish.warnings)
    if disk is None:
        return None
    passed: list[str] = []
    repository = wish.open()
    try:
        base, reading = plan_thin(
            repository,
            disk,
            BackupRequest(volume, wish.known, base, anew=wish.full),
            damaged=lambda error: passed.append(error.message),
        )
    except (BusyError, UnavailableError) as error:
        wish.warnings.append(f"the pool's metadata cannot be read: {error.message}; so all of {wish.source} was read")
        return None
    request = BackupRequest(volume, wish.known, base, anew=wish.full)
    made, warnings = back_up_thin(repository, disk, request, reading, progress=wish.progress)
    wish.warnings.extend(f"{each}; it was passed over" for each in passed)
    wish.warnings.extend(warnings)
    return made
