"""`drystone volume mount` and `umount`."""

from __future__ import annotations

from pathlib import Path

import click

from drystone.base.errors import UsageError
from drystone.cli.output import json_option, print_json
from drystone.cli.preview import dry_run_option, print_previews
from drystone.cli.volume.asking import call, print_result, socket_option


@click.command()
@click.argument("name", metavar="VOLUME")
@click.option("--at", "place", default="", metavar="FOLDER", help="Where, if not in the daemon's folder of mounts.")
@dry_run_option
@json_option
@socket_option
def mount(name: str, place: str, dry_run: bool, as_json: bool, socket: str) -> None:
    """Mount a volume; prints where. It is mounted again after a restart, until `umount`.

    \b
    Examples:
      drystone volume mount db
      drystone volume mount db --at /srv/db
    """
    if place and not Path(place).is_absolute():
        raise UsageError(f"{place!r} is no absolute path")
    body = {"VolumeUUID": name, "MountPoint": place, "DryRun": dry_run, "Verbose": as_json}
    answer = call(socket, "POST", "/volumes/mount", body)
    if dry_run:
        print_previews([answer], as_json=as_json)
    else:
        print_result(answer)


@click.command()
@click.argument("name", metavar="VOLUME")
@click.option("--force", is_flag=True, help="Also when containers have it, as far as Docker's requests tell.")
@dry_run_option
@json_option
@socket_option
def umount(name: str, force: bool, dry_run: bool, as_json: bool, socket: str) -> None:
    """Unmount a volume. One that containers have is refused unless --force is given.

    \b
    Example:
      drystone volume umount db
    """
    answer = call(socket, "POST", "/volumes/umount", {"VolumeUUID": name, "Force": force, "DryRun": dry_run})
    if dry_run:
        print_previews([answer], as_json=as_json)
    elif as_json:
        print_json({"unmounted": name})
