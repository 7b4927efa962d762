"""`drystone volume create`."""

from __future__ import annotations

import click

from drystone.base.sizes import parse_size
from drystone.cli.output import json_option
from drystone.cli.preview import dry_run_option, print_previews
from drystone.cli.volume.asking import call, print_result, socket_option
from drystone.cli.volume.progress import call_with_progress


@click.command()
@click.argument("name", default="")
@click.option("--size", default="", metavar="SIZE", help="Bytes, or a whole number with k, m, g or t (powers of 1024).")
@click.option("--driver", default="", metavar="NAME", help="Driver, if not the daemon's default.")
@click.option("--from-backup", default="", metavar="URL", help="Restore this backup into it.")
@click.option("--vm", is_flag=True, help="Make a disk image for a virtual machine (vfs).")
@dry_run_option
@json_option
@socket_option
def create(
    name: str, size: str, driver: str, from_backup: str, vm: bool, dry_run: bool, as_json: bool, socket: str
) -> None:
    """Make a volume, empty or out of a backup; prints its UUID. Without NAME it is called volume-XXXXXXXX.

    \b
    Examples:
      drystone volume create db --size 10G --dry-run
      drystone volume create db2 --from-backup 'vfs:///srv/backup?backup=UUID&volume=UUID'
    """
    body: dict[str, object] = {
        "Name": name,
        "DriverName": driver,
        "Size": parse_size(size) if size else 0,
        "BackupURL": from_backup,
        "PrepareForVM": vm,
        "DryRun": dry_run,
        "Verbose": as_json,
    }
    if dry_run:
        print_previews([call(socket, "POST", "/volumes/create", body)], as_json=as_json)
    elif from_backup:
        print_result(call_with_progress(socket, "POST", "/volumes/create", body, "restore"))
    else:
        print_result(call(socket, "POST", "/volumes/create", body))
