"""`drystone volume forecast`."""

from __future__ import annotations

import click

from drystone.base.sizes import format_size
from drystone.cli.output import json_option, print_json, print_pairs
from drystone.cli.volume.asking import call, read_object, socket_option


@click.command()
@click.argument("name", metavar="VOLUME")
@click.option("--dest", default="", metavar="URL", help="Destination that the last backups went to.")
@json_option
@socket_option
def forecast(name: str, dest: str, as_json: bool, socket: str) -> None:
    """Say what the next backup of a volume would read and write. No snapshot is made.

    With --dest it is compared with the last backup there whose snapshot still exists; without, or where there is none,
    a whole backup is told of. What is written is an upper bound: as if nothing could be compressed and nothing were
    there already. --json prints name, size, base (a snapshot, or ""), read, sampled and written, in bytes.

    \b
    Examples:
      drystone volume forecast db --dest vfs:///srv/backup
      drystone volume forecast db --json
    """
    found = read_object(call(socket, "GET", "/volumes/forecast", {"VolumeUUID": name, "URL": dest}))
    if as_json:
        print_json(found)
        return
    print_pairs(
        [
            ("volume", found["name"]),
            ("size", format_size(found["size"])),
            ("since", found["base"] or "- (a whole backup)"),
            ("read", format_size(found["read"])),
            ("read to prove the rest", f"up to {format_size(found['sampled'])}"),
            ("written", f"up to {format_size(found['written'])}"),
        ]
    )
