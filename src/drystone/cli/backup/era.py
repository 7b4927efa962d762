"""What `drystone backup create` does of its own when its source is an era device."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from drystone.base.errors import UsageError
from drystone.cli.backup.wish import Wish

if TYPE_CHECKING:
    from drystone.backup.era_source import EraDisk
    from drystone.backup.repository import BackupInfo
    from drystone.kernel.dm.abc import DeviceMapper, DeviceNumber


@dataclass(frozen=True, slots=True)
class EraOptions:
    """`--state`, `--data` and `--at-era`."""

    state: Path | None
    data: Path | None
    at_era: int | None

    @property
    def given(self) -> bool:
        """Whether one of them was."""
        return any(each is not None for each in (self.state, self.data, self.at_era))

    def check(self, wish: Wish) -> None:
        """:raises UsageError: they do not fit together."""
        if (self.data is None) != (self.at_era is None):
            raise UsageError(
                "--data and --at-era go together", hint="--at-era is what `drystone era checkpoint` printed"
            )
        if self.state is not None and (wish.base or wish.full):
            raise UsageError("--state says what to build upon", hint="leave out --base and --full, or --state")
        if self.state is not None and self.state.exists() and not self.state.is_file():
            raise UsageError(f"the state file {self.state} is no plain file")


def era_options(function: Callable[..., None]) -> Callable[..., None]:
    """The options, handed to the command as one value: the parameter `era`."""

    @functools.wraps(function)
    def call(*arguments: object, state: Path | None, data: Path | None, at_era: int | None, **others: object) -> None:
        function(*arguments, era=EraOptions(state, data, at_era), **others)

    options = (
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
    )
    for option in options:
        call = option(call)
    return call


def find_era_disk(dm: DeviceMapper, source: Path, warnings: list[str]) -> EraDisk | None:
    """The era device at `source`; None when it is another kind. `warnings` takes what somebody should know.

    A device that lets discards through is made to refuse them from now on.
    """
    from drystone.backup.era_source import EraDisk
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


def back_up_era_device(dm: DeviceMapper, wish: Wish, options: EraOptions) -> BackupInfo | None:
    """Back an era device up; None: the source is none."""
    from drystone.backup.era_backup import EraRequest, back_up_era

    options.check(wish)
    disk = find_era_disk(dm, wish.source, wish.warnings)
    if disk is None:
        return None
    volume, base = wish.name_base()
    request = EraRequest(volume, wish.known, base, wish.full, options.state, str(options.data or ""), options.at_era)
    passed: list[str] = []
    made = back_up_era(
        wish.open(), disk, request, damaged=lambda error: passed.append(error.message), progress=wish.progress
    )
    wish.warnings.extend(f"{each}; it was passed over" for each in passed)
    wish.warnings.extend(made.warnings)
    if made.reading.choice.since is None:
        wish.warnings.append(f"everything was read: {made.reading.choice.reason}")
    return made.head
