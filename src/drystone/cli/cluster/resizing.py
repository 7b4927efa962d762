"""`dlvm dlvs resize` and `rollback`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from drystone.base.errors import RefusedError
from drystone.cli.cluster.asking import write
from drystone.cli.cluster.help import ClusterCommand
from drystone.cli.cluster.options import (
    DLV,
    SNAPSHOT,
    Size,
    Where,
    Writing,
    api_options,
    lasting_options,
    write_options,
)
from drystone.cli.cluster.progress import printable
from drystone.cli.output import interactive, json_option, tell

if TYPE_CHECKING:
    from drystone.cluster.client.api import Request


@click.command(cls=ClusterCommand)
@click.argument("name", type=DLV)
@click.argument("size", type=Size())
@click.option("--filesystem", is_flag=True, help="The ext4 or xfs on it grows too; an xfs only while it is mounted.")
@api_options
@lasting_options
@json_option
def resize(where: Where, writing: Writing, name: str, size: int, filesystem: bool, as_json: bool) -> None:
    """Make the dlv NAME larger, while it is in use, or with its next attachment. None is made smaller.

    Space is taken from its dvg as it is written to. With --filesystem the size may be the one that it has.

    \b
    Examples:
      dlvm dlvs resize db 200G --dry-run
      dlvm dlvs resize db 200G --filesystem --wait
    """
    from drystone.cluster.client.api import Request, place
    from drystone.cluster.client.waiting import Goal

    body = {"size": size, "grow_filesystem": filesystem}
    request = Request("POST", place("dlvs", name, "resize"), body=body)
    write(where, writing, request, "job", goal=Goal("job", "", "finished"), previews=True, as_json=as_json)


@click.command(cls=ClusterCommand)
@click.argument("name", type=DLV)
@click.argument("snapshot", type=SNAPSHOT)
@click.option("--yes", is_flag=True, help="Do not ask.")
@api_options
@write_options
@json_option
def rollback(where: Where, writing: Writing, name: str, snapshot: str, yes: bool, as_json: bool) -> None:
    """Have the dlv NAME hold what SNAPSHOT of it does. It is attached nowhere; the next attachment shows it so.

    What was written since is lost. Until it is attached `dlvm jobs cancel` takes it back.

    \b
    Examples:
      dlvm dlvs rollback db monday --dry-run
      dlvm dlvs detach db --wait && dlvm dlvs rollback db monday --yes && dlvm dlvs attach db h1 --wait
    """
    from drystone.cluster.client.api import Request, place
    from drystone.cluster.client.waiting import Goal

    request = Request("POST", place("dlvs", name, "rollback"), body={"snapshot": snapshot})
    if not yes and not writing.dry_run:
        _ask(where, request, name, snapshot)
    write(where, writing, request, "job", goal=Goal("job", "", "finished"), previews=True, as_json=as_json)


def _ask(where: Where, request: Request, name: str, snapshot: str) -> None:
    """Say what will be lost. :raises RefusedError: nobody says that it may be."""
    from dataclasses import replace

    from drystone.cluster.api.documents import Preview

    for note in where.open().ask(replace(request, query={"dry_run": True})).read(Preview).notes:
        tell(printable(note))
    if not (interactive() and sys.stdin.isatty()) or not click.confirm(f"roll {name} back to {snapshot}?", err=True):
        raise RefusedError(f"dlv {name} stays as it is", hint="--yes rolls it back without asking")
