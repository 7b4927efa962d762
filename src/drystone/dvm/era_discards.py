"""Discards that an era device let through: on Linux 6.1 dm-era marks only the first block of one.

The device is made to refuse them, and a file remembers the era until which they may have come: a backup upon an older
one has to read everything, however many backups fail, or go elsewhere, before it. The file is in a folder that is empty
after the machine has started.
"""

from __future__ import annotations

from pathlib import Path

from drystone.base.files import replace_file
from drystone.dvm.era import EraDevice, read_status
from drystone.dvm.metadata_snapshot import LOCKS
from drystone.kernel.dm.abc import DeviceMapper
from drystone.kernel.queue import forbid_discards, lets_discards_through
from drystone.kernel.sysfs import SYSFS

ANY_ERA = (1 << 32) - 1
"""When nobody knows until when: no backup is new enough."""


def end_discards(dm: DeviceMapper, device: EraDevice, *, folder: Path = LOCKS, sysfs: str = SYSFS) -> int:
    """Have the device refuse discards; the newest era in which it may have let some through, 0 for none.

    :raises BusyError: it is suspended, and lets discards through. And as `forbid_discards`.
    """
    path = folder / f"era-{(device.uuid or str(device.number)).replace('/', '_')}.discards"
    if lets_discards_through(device.number, sysfs):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(path, f"{ANY_ERA}\n".encode())  # until the era is known: a crash comes between
        forbid_discards(device.number, sysfs)
        replace_file(path, f"{read_status(dm, device).current_era}\n".encode())
    try:
        text = path.read_text().strip()
    except FileNotFoundError:
        return 0
    return int(text) if text.isdecimal() else ANY_ERA
