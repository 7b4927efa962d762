"""`dlvm dlvs clone`."""

from __future__ import annotations

import click

from drystone.cli.cluster.asking import write
from drystone.cli.cluster.help import ClusterCommand
from drystone.cli.cluster.options import DLV, DVG, SNAPSHOT, Size, Where, Writing, api_options, lasting_options
from drystone.cli.output import json_option


@click.command("clone", cls=ClusterCommand)
@click.argument("source", type=DLV)
@click.argument("new", type=DLV)
@click.option("--snapshot", type=SNAPSHOT, help="Of SOURCE, that is copied.  [default: one that is made now]")
@click.option("--dvg", type=DVG, help="Out of which it is made.  [default: that of SOURCE]")
@click.option("--initial-size", type=Size(), help="That is given out at first; it grows.  [default: its size]")
@click.option("--mirrors", type=int, help="Copies of each byte, 1 to 3.  [default: as SOURCE]")
@click.option("--stripes", type=int, help="Mirrors that data is spread over, 1 to 16.  [default: as SOURCE]")
@api_options
@lasting_options
@json_option
def clone(
    where: Where, writing: Writing, source: str, new: str, snapshot: str | None, dvg: str | None,
    initial_size: int | None, mirrors: int | None, stripes: int | None, as_json: bool,
) -> None:  # fmt: skip
    """Make the dlv NEW, a copy of SOURCE, which is attached and stays so.

    A job makes NEW, and attaches it where SOURCE is: it can be used then, and is copied meanwhile. Once the job is
    finished it has nothing to do with SOURCE any more. The job can be canceled before, which deletes NEW.

    \b
    Examples:
      dlvm dlvs clone db copy --dry-run
      dlvm dlvs clone db copy --snapshot monday --mirrors 3
      dlvm dlvs clone db copy --wait
    """
    from drystone.cluster.client.api import Request, place
    from drystone.cluster.client.waiting import Goal

    body = {"name": new, "snapshot": snapshot, "dvg": dvg, "initial_size": initial_size, "mirrors": mirrors,
            "stripes": stripes}  # fmt: skip
    request = Request("POST", place("dlvs", source, "clones"), body=body)
    write(where, writing, request, "job", goal=Goal("job", "", "finished"), previews=True, as_json=as_json)
