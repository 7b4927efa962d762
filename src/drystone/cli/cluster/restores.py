"""`dlvm backups restore`."""

from __future__ import annotations

import click

from drystone.cli.cluster.asking import write
from drystone.cli.cluster.help import ClusterCommand
from drystone.cli.cluster.options import BACKUP, DLV, DVG, IHOST, Size, Where, Writing, api_options, lasting_options
from drystone.cli.output import json_option


@click.command("restore", cls=ClusterCommand)
@click.argument("backup", type=BACKUP)
@click.argument("new", type=DLV)
@click.option("--dvg", type=DVG, required=True, help="Out of which NEW is made.")
@click.option("--ihost", type=IHOST, required=True, help="That fills it; its configuration has the repository.")
@click.option("--initial-size", type=Size(), help="That is given out at first; it grows.  [default: its size]")
@click.option("--mirrors", type=int, default=2, show_default=True, help="Copies of each byte, 1 to 3.")
@click.option("--stripes", type=int, default=1, show_default=True, help="Mirrors that data is spread over, 1 to 16.")
@api_options
@lasting_options
@json_option
def restore(
    where: Where, writing: Writing, backup: str, new: str, dvg: str, ihost: str, initial_size: int | None,
    mirrors: int, stripes: int, as_json: bool,
) -> None:  # fmt: skip
    """Make the dlv NEW of the backup with the id BACKUP, which is finished; its own dlv may be gone.

    A job makes NEW, has the ihost fill it, and detaches it. Nobody can attach it before all is there. The job can be
    canceled, which deletes NEW; so does a failure.

    \b
    Examples:
      dlvm backups restore 7f0c6a0e-3f0c-4d3b-9a53-2f4a6f3f7b11 db2 --dvg fast --ihost h1 --dry-run
      dlvm backups restore 7f0c6a0e-3f0c-4d3b-9a53-2f4a6f3f7b11 db2 --dvg fast --ihost h1 --wait --timeout 0
    """
    from drystone.cluster.client.api import Request, place
    from drystone.cluster.client.waiting import Goal

    body = {"name": new, "dvg": dvg, "ihost": ihost, "initial_size": initial_size, "mirrors": mirrors,
            "stripes": stripes}  # fmt: skip
    request = Request("POST", place("backups", backup, "restore"), body=body)
    write(where, writing, request, "job", goal=Goal("job", "", "finished"), previews=True, as_json=as_json)
