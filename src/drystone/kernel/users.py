"""Who has a block device now."""

from __future__ import annotations

from drystone.base.errors import BusyError
from drystone.kernel.blockdev import device_path, open_device
from drystone.kernel.dm.abc import DeviceNumber
from drystone.kernel.mounts import mounts_of
from drystone.kernel.sysfs import holders


def user_of(path: str, number: DeviceNumber) -> str:
    """Who has the block device at `path`, in words; "" for nobody."""
    for each in mounts_of(number):
        return f"mounted at {each.target}"
    for holder in holders(number):
        return f"used by {device_path(holder)}"
    try:
        # A mount in another namespace is in neither list; the kernel knows of it.
        open_device(path, exclusive=True).close()
    except BusyError:
        return "in use"
    return ""
