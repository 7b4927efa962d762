"""What /sys says of block devices.

Source: Linux `Documentation/ABI/stable/sysfs-block`. Sizes are bytes. Every function takes the folder where sysfs is
mounted, so that a test can hand over one of its own.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from drystone.base.errors import NotFoundError
from drystone.base.sizes import SECTOR
from drystone.kernel.dm.number import DeviceNumber

if TYPE_CHECKING:
    from pathlib import Path

SYSFS = "/sys"
Place = str | os.PathLike[str]


class Limits(msgspec.Struct, frozen=True):
    """Size and limits of a block device, in bytes. A device that does not discard has `discard_largest` 0."""

    size: int
    read_only: bool
    logical_block: int
    physical_block: int
    discard_granularity: int
    discard_largest: int


def block_folder(number: DeviceNumber, sysfs: str = SYSFS) -> Path:
    """The folder of a block device or partition.

    :raises NotFoundError: the kernel has no such device.
    """
    from pathlib import Path

    folder = Path(sysfs, "dev", "block", str(number))
    if not folder.exists():
        raise NotFoundError(f"there is no block device {number}")
    return folder


def read_sequence(number: DeviceNumber, sysfs: str = SYSFS) -> int:
    """The number that the kernel gave to the device when it came to be, and to no other since boot; 0: before 5.15.

    :raises NotFoundError: the kernel has no such device.
    """
    return _read_number(block_folder(number, sysfs) / "diskseq", 0)


def read_limits(number: DeviceNumber, sysfs: str = SYSFS) -> Limits:
    """Size and limits of a device; of a partition, the limits are its disk's.

    :raises NotFoundError: the kernel has no such device.
    """
    folder = block_folder(number, sysfs)
    queue = folder / "queue"
    if not queue.exists():
        queue = folder.resolve().parent / "queue"
    return Limits(
        size=_read_number(folder / "size", 0) * SECTOR,
        read_only=_read_number(folder / "ro", 0) != 0,
        logical_block=_read_number(queue / "logical_block_size", SECTOR),
        physical_block=_read_number(queue / "physical_block_size", SECTOR),
        discard_granularity=_read_number(queue / "discard_granularity", 0),
        discard_largest=_read_number(queue / "discard_max_bytes", 0),
    )


def holders(number: DeviceNumber, sysfs: str = SYSFS) -> list[DeviceNumber]:
    """The devices that are built upon this one, by number.

    :raises NotFoundError: the kernel has no such device.
    """
    folder = block_folder(number, sysfs) / "holders"
    found = [read_device(each / "dev") for each in folder.iterdir()] if folder.exists() else []
    return sorted(each for each in found if each is not None)


def kernel_name(number: DeviceNumber, sysfs: str = SYSFS) -> str:
    """The name of the device's node below /dev, such as `dm-3`, `loop0` or `sda1`.

    :raises NotFoundError: the kernel has no such device.
    """
    folder = block_folder(number, sysfs)
    for line in (read_text(folder / "uevent") or "").splitlines():
        key, _, value = line.partition("=")
        if key == "DEVNAME":
            return value
    return folder.resolve().name


def mapper_name(number: DeviceNumber, sysfs: str = SYSFS) -> str | None:
    """The name of a device-mapper device; None when it is another kind.

    :raises NotFoundError: the kernel has no such device.
    """
    return read_text(block_folder(number, sysfs) / "dm" / "name")


def read_device(path: Place) -> DeviceNumber | None:
    """The `major:minor` that a file holds; None when it holds no such thing or is gone."""
    major, divider, minor = (read_text(path) or "").partition(":")
    return DeviceNumber(int(major), int(minor)) if divider and major.isdigit() and minor.isdigit() else None


def read_text(path: Place) -> str | None:
    """A file's text without the newline at its end; None when there is none, or its device went away meanwhile."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123  # without pathlib
            return file.read().removesuffix("\n")
    except OSError:
        return None


def _read_number(path: Place, otherwise: int) -> int:
    text = (read_text(path) or "").strip()
    return int(text) if text.isdigit() else otherwise
