"""How each kind of source is backed up: an era device, a thin device, a list of changes, a pipe, any device or file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from drystone.base.errors import NotFoundError, UsageError
from drystone.cli.backup.era import EraOptions, back_up_era_device
from drystone.cli.backup.thin import back_up_thin_device
from drystone.cli.backup.wish import Wish

if TYPE_CHECKING:
    from drystone.backup.repository import BackupInfo

STDIN = Path("-")


def back_up(wish: Wish, era: EraOptions, changes: Path | None) -> BackupInfo:
    """By the kind of the source."""
    if wish.source == STDIN:
        _refuse_era(wish, era)
        if changes is not None:
            raise UsageError("--changes is for devices and files", hint="a pipe is read whole")
        return _back_up_stream(wish)
    if changes is not None:
        _refuse_era(wish, era)
        return _back_up_told(wish, changes)
    if _may_be_mapped(wish.source):
        from drystone.kernel.dm.device_mapper import KernelDeviceMapper

        with KernelDeviceMapper() as dm:
            made = back_up_era_device(dm, wish, era)
            if made is None:
                _refuse_era(wish, era)
                made = back_up_thin_device(dm, wish)
        if made is not None:
            return made
    _refuse_era(wish, era)
    return _back_up_device(wish)


def _may_be_mapped(source: Path) -> bool:
    """Whether `source` is a device of device-mapper, asked of sysfs alone: plain files have nothing to do with it."""
    from drystone.kernel.dm.nodes import leads_to
    from drystone.kernel.sysfs import mapper_name

    number = leads_to(str(source))
    try:
        return number is not None and mapper_name(number) is not None
    except NotFoundError:
        return False


def _refuse_era(wish: Wish, era: EraOptions) -> None:
    if era.given:
        raise UsageError(f"--state, --data and --at-era are for era devices, and {wish.source} is none")


def _back_up_device(wish: Wish) -> BackupInfo:
    from drystone.backup.repository import BackupRequest
    from drystone.backup.source import DeviceSource

    with DeviceSource(wish.source) as opened:
        repository = wish.open()
        volume, base = wish.find_base(repository)
        request = BackupRequest(volume, wish.known, base, anew=wish.full)
        made = repository.create(opened, request, progress=wish.progress)
        wish.warnings.extend(opened.warnings())
    return made


def _back_up_stream(wish: Wish) -> BackupInfo:
    import sys

    from drystone.backup.repository import BackupRequest
    from drystone.backup.stream import PipeStream

    if sys.stdin.isatty():
        raise UsageError("standard input is a terminal", hint="pipe an image into it")
    repository = wish.open()
    volume, base = wish.find_base(repository)
    request = BackupRequest(volume, wish.known, base, anew=wish.full)
    made = repository.create(PipeStream(sys.stdin.fileno()), request, progress=wish.progress)
    if not made.size:
        wish.warnings.append("nothing came from standard input: did the program before it fail?")
    return made


def _back_up_told(wish: Wish, changes: Path) -> BackupInfo:
    """What changed is told by a file, since a backup that must be named: nobody else knows which it was."""
    from drystone.backup.repository import BackupRequest
    from drystone.backup.told_source import ToldSource

    if wish.base is None:
        raise UsageError("--changes tells what changed since a backup", hint="name that backup with --base URL")
    with ToldSource(wish.source, changes) as opened:
        repository = wish.open()
        volume, base = wish.find_base(repository)
        return repository.create(opened, BackupRequest(volume, wish.known, base), progress=wish.progress)
