"""Volumes that become larger, with the file systems on them.

The order, each step durable before the next:

1. the catalogue has the new size, and the journal the operation;
2. the device or image gets that size;
3. the file system grows, mounted, where its own journal makes that atomic; one that is not mounted is mounted for it,
   at a place of the driver's own;
4. the journal's line is struck out.

Who is cut short goes on from where he was at the next start, which brings the device up at the catalogue's size: a
device that were made smaller again might have a file system on it that has grown already. Each step is harmless when
done twice. What lies in the file system is as safe as in any growth while it is mounted.

No volume is made smaller: what lies beyond the new end would be gone.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from drystone.base.errors import DrystoneError, RefusedError, UnsupportedError, UsageError
from drystone.base.sizes import format_size
from drystone.volumes.abilities import Resizes
from drystone.volumes.catalogue import Catalogue, Operation
from drystone.volumes.driver import Driver, Preview, Volume

log = logging.getLogger(__name__)


def find_resizer(driver: Driver) -> Resizes:
    """:raises UnsupportedError: the driver cannot."""
    if not isinstance(driver, Resizes):
        raise UnsupportedError(f"driver {driver.name} cannot resize volumes")
    return driver


def plan_resize(driver: Driver, volume: Volume, size: int | None, *, filesystem: bool) -> Volume:
    """The volume as it will be; nothing is changed.

    :raises RefusedError: it is larger, or has that size already. :raises UsageError: no size of a volume.
    :raises UnsupportedError: the driver cannot, or not that file system. :raises ExhaustedError: the pool is too full.
    """
    resizer = find_resizer(driver)
    if size is None:
        raise UsageError("a size is needed", hint="drystone volume resize VOLUME 20G")
    if volume.size and size < volume.size:
        raise RefusedError(
            f"volume {volume.name} has {volume.size} bytes ({format_size(volume.size)}): none is made smaller",
            hint="make a smaller one, and copy what is in it",
        )
    if size == volume.size and not filesystem:
        raise RefusedError(f"volume {volume.name} has {size} bytes already")
    larger = replace(volume, size=size)
    resizer.check_resize(larger, filesystem=filesystem)
    return larger


def preview_growth(driver: Driver, larger: Volume, *, filesystem: bool) -> Preview:
    """What growing to that would do."""
    return find_resizer(driver).preview_resize(larger, filesystem=filesystem)


def grow_filesystem(catalogue: Catalogue, driver: Driver, operation: Operation) -> None:
    """Steps 3 and 4, with the device as large as it shall be.

    :raises DrystoneError: the file system could not be grown; the volume keeps its size.
    """
    volume = operation.volume
    try:
        if operation.filesystem:
            find_resizer(driver).grow_filesystem(volume)
    except (DrystoneError, OSError) as error:
        catalogue.finish_resize(operation)
        raise DrystoneError(
            f"volume {volume.name} has {volume.size} bytes now, and its file system has not: {error}",
            hint="mend that, and run the same again",
        ) from error
    catalogue.finish_resize(operation)


def complete_resize(catalogue: Catalogue, driver: Driver, operation: Operation) -> None:
    """What is left of a resize that was cut short; nothing of one whose volume is gone, or larger by now.

    :raises DrystoneError: it cannot be done; the operation stays in the journal.
    """
    there = [each for each in catalogue.list_volumes() if each.uuid == operation.volume.uuid]
    if not there or there[0].size > operation.volume.size:
        catalogue.drop(operation)
        return
    resizer = find_resizer(driver)
    resizer.resize_volume(operation.volume)
    if operation.filesystem:
        resizer.grow_filesystem(operation.volume)
    catalogue.finish_resize(operation)
