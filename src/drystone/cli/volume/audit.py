"""`drystone volume audit`."""

from __future__ import annotations

import click

from drystone.cli.output import json_option, print_json, print_table
from drystone.cli.volume.asking import call, read_list, socket_option


@click.command()
@click.argument("subject", default="", metavar="[NAME]")
@click.option("--last", "most", default=1000, show_default=True, metavar="N", help="So many entries at most.")
@json_option
@socket_option
def audit(subject: str, most: int, as_json: bool, socket: str) -> None:
    """Show who changed what: the newest entries of the trail, oldest first; of one volume, snapshot or pool by NAME.

    NAME is a whole name or a UUID, also of one that is gone. An entry is written with the beginning of a change and
    says what became of it: done, undone, or begun while it is under way (and for good of a pool-extend, or of what
    fsck mends, in which the daemon was killed: the next start did it, or the next fsck will). The program is the
    command line that the process at the socket showed; Docker's requests come from dockerd. --json prints an array
    of objects: at, action, subject, uuid, pid, uid, program, outcome. The newest 100,000 are kept.

    \b
    Examples:
      drystone volume audit db
      drystone volume audit --json | jq -r '.[] | select(.action == "delete") | .program'
    """
    found = read_list(call(socket, "GET", "/audit", {"Subject": subject, "Most": most}))
    if as_json:
        print_json(found)
        return
    columns = ("at", "action", "subject", "outcome", "uid", "pid", "program")
    print_table(columns, [[each[name] for name in columns] for each in found])
