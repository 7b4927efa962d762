"""What is set in a block device's queue, by sysfs. Source: Linux `Documentation/ABI/stable/sysfs-block`.

The kernel computes the queue's limits of a device-mapper device anew whenever a table is swapped in: what is set here
holds until then.
"""

from __future__ import annotations

import errno
from pathlib import Path

from drystone.base.errors import KernelError
from drystone.kernel.dm.abc import DeviceNumber
from drystone.kernel.sysfs import SYSFS, block_folder, read_limits


def lets_discards_through(number: DeviceNumber, sysfs: str = SYSFS) -> bool:
    """Whether a device takes discards now. :raises NotFoundError: the kernel has no such device."""
    return read_limits(number, sysfs).discard_largest > 0


def forbid_discards(number: DeviceNumber, sysfs: str = SYSFS) -> bool:
    """Have a device refuse discards; whether it took them until now.

    :raises NotFoundError: the kernel has no such device. :raises KernelError: it cannot be set.
    """
    if not lets_discards_through(number, sysfs):
        return False
    path = block_folder(number, sysfs) / "queue" / "discard_max_bytes"
    try:
        Path(path).write_text("0\n")
    except OSError as error:
        raise KernelError("forbid-discards", error.errno or errno.EIO, device=str(number)) from error
    return True
