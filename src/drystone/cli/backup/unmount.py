"""`drystone backup unmount`: the end of what `mount` has made."""

from __future__ import annotations

import os
import signal
import stat
import time
from pathlib import Path

import click

from drystone.base.errors import NotFoundError, RefusedError, TimedOutError
from drystone.cli.output import json_option, print_json

_WAIT_S = 30.0
_PAUSE_S = 0.05


@click.command()
@click.argument("what")
@json_option
def unmount(what: str, *, as_json: bool) -> None:
    """End what `mount` has made. WHAT is its device, its socket, the folder it is mounted at, or the backup's URL.

    What is mounted of the device is unmounted first; what is in use is refused.

    \b
    Examples:
      drystone backup unmount /dev/nbd0
      drystone backup unmount /mnt/old
      drystone backup unmount 'vfs:///srv/backup?backup=...&volume=...'
    """
    ended = _unmount(what)
    if as_json:
        print_json({"ended": ended})
    else:
        for each in ended:
            click.echo(each)


def _unmount(what: str) -> list[str]:
    """The paths of what was ended."""
    from drystone.backup.serving import detach, find_devices

    if "?backup=" in what:
        devices = find_devices(what)
        if not devices:
            raise NotFoundError(f"no device holds {what}")
    elif _is_socket(Path(what)):
        return [_end_socket(Path(what))]
    else:
        devices = [each for each in find_devices("") if each.path == _device_of(what)]
        if not devices:
            raise RefusedError(f"{what} is no device that `drystone backup mount` has made")
    for each in devices:
        detach(each)
    return [each.path for each in devices]


def _device_of(what: str) -> str:
    """The path of the device, or of the one that is mounted at a folder."""
    from drystone.kernel.mounts import mount_at

    if Path(what).is_dir():
        found = mount_at(what)
        if found is None:
            raise NotFoundError(f"nothing is mounted at {what}")
        return found.source
    return str(Path(what).resolve())


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except OSError as error:
        raise NotFoundError(f"there is no {path}") from error


def _end_socket(path: Path) -> str:
    from drystone.backup.serving import ask_to_end

    os.kill(ask_to_end(path), signal.SIGTERM)
    end = time.monotonic() + _WAIT_S
    while path.exists():
        if time.monotonic() > end:
            raise TimedOutError(f"{path} is still there")
        time.sleep(_PAUSE_S)
    return str(path)
