"""What `drystone backup create` does of its own when its source is an era device."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from drystone.backup.era_source import EraDisk
    from drystone.kernel.dm.abc import DeviceMapper, DeviceNumber

Function = TypeVar("Function", bound=Callable[..., Any])


def era_options(function: Function) -> Function:
    """`--state FILE`, `--data PATH` and `--at-era ERA`."""
    for option in (
        click.option(
            "--at-era",
            type=click.IntRange(1),
            metavar="ERA",
            help="With --data: what `era checkpoint --drain` had printed.",
        ),
        click.option(
            "--data",
            type=click.Path(path_type=Path),
            metavar="PATH",
            help="Read the bytes of the era device from a snapshot of its origin, which was taken after --at-era.",
        ),
        click.option(
            "--state",
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE",
            help="Build upon the backup of an era device that FILE names, and have it name the new one.",
        ),
    ):
        function = option(function)
    return function


def may_be_era(source: Path) -> bool:
    """Whether `source` is a device of device-mapper, asked of sysfs alone: plain files have nothing to do with it."""
    from drystone.base.errors import NotFoundError
    from drystone.kernel.dm.nodes import leads_to
    from drystone.kernel.sysfs import mapper_name

    number = leads_to(str(source))
    try:
        return number is not None and mapper_name(number) is not None
    except NotFoundError:
        return False


def find_era_disk(dm: DeviceMapper, source: Path, warnings: list[str]) -> EraDisk | None:
    """The era device at `source`; None when it is another kind. `warnings` takes what somebody should know.

    A device that lets discards through is made to refuse them from now on.
    """
    from drystone.backup.era_source import EraDisk
    from drystone.base.errors import UsageError
    from drystone.dvm.era import find_era_device
    from drystone.dvm.era_discards import end_discards
    from drystone.dvm.metadata_snapshot import ERA, held_metadata
    from drystone.kernel.blockdev import device_number, device_path
    from drystone.kernel.queue import lets_discards_through
    from drystone.kernel.release import ERA_KEEPS_WRITESETS, running_release

    try:
        device = find_era_device(dm, device_number(str(source)))
    except UsageError:
        return None
    if lets_discards_through(device.number):
        warnings.append(
            f"{device.name} let discards through, which dm-era records wrongly; it refuses them from now on"
        )
    return EraDisk(
        path=str(source),
        metadata=device_path(device.metadata),
        size=device.size,
        hold=lambda: held_metadata(dm, device.number, ERA, drain=True),
        roll=lambda: _begin_era(dm, device.number),
        keeps_writesets=running_release() >= ERA_KEEPS_WRITESETS,
        discards_until=end_discards(dm, device),
    )


def _begin_era(dm: DeviceMapper, number: DeviceNumber) -> None:
    """Begin a new era.

    :raises BusyError: the device is suspended: it would answer no message. And as `find_era_device`.
    """
    from drystone.dvm.dmexec import execute
    from drystone.dvm.era import checkpoint, find_era_device, read_status

    device = find_era_device(dm, number)
    read_status(dm, device)
    execute(checkpoint(device), dm).require_done()
