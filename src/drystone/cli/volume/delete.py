"""`drystone volume delete`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click

from drystone.cli.output import json_option, print_json
from drystone.cli.preview import dry_run_option, print_previews
from drystone.cli.volume.asking import call, socket_option
from drystone.wire.client import Answer


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="VOLUME...")
@click.option("--with-snapshots", is_flag=True, help="Delete its snapshots too.")
@click.option("--keep-data", is_flag=True, help="Only forget the volume, where the driver can.")
@dry_run_option
@json_option
@socket_option
def delete(
    names: Sequence[str], with_snapshots: bool, keep_data: bool, dry_run: bool, as_json: bool, socket: str
) -> None:
    """Delete volumes. One with snapshots is refused unless --with-snapshots is given. Backups stay.

    --json prints {"deleted": [...]}: those that are gone, when a later one is refused too.

    \b
    Examples:
      drystone volume delete db --with-snapshots --dry-run
      drystone volume delete db --with-snapshots
    """

    def ask(name: str) -> Answer:
        body = {
            "VolumeUUID": name,
            "RefuseSnapshots": not with_snapshots,
            "ReferenceOnly": keep_data,
            "DryRun": dry_run,
        }
        return call(socket, "DELETE", "/volumes/", body)

    if dry_run:
        print_previews(map(ask, names), as_json=as_json)
    else:
        delete_each(names, ask, as_json=as_json)


def delete_each(names: Sequence[str], delete_one: Callable[[str], object], *, as_json: bool) -> None:
    """Delete one after the other. With --json it is said what was deleted, when a later one is refused too."""
    deleted: list[str] = []
    try:
        for name in names:
            delete_one(name)
            deleted.append(name)
    finally:
        if as_json and deleted:
            print_json({"deleted": deleted})
