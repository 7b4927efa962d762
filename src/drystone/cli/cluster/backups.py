"""`dlvm backups`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from drystone.base.sizes import format_size
from drystone.cli.cluster.asking import find_all, print_list, print_one, write
from drystone.cli.cluster.help import ClusterCommand
from drystone.cli.cluster.options import BACKUP, DLV, REPOSITORY, Where, Writing, api_options, lasting_options
from drystone.cli.cluster.restores import restore
from drystone.cli.output import json_option

if TYPE_CHECKING:
    from drystone.cluster.model.backup import Backup

_COLUMNS = ("id", "dlv", "repository", "status", "done", "backup", "volume", "reason")
_STATUS = click.Choice(["creating", "processing", "finished", "canceling", "canceled", "failed"])


@click.group()
def backups() -> None:
    """Backups of volumes, made by the ihosts that have them, while they are in use.

    Where to is the name of a repository in the configuration of the ihost, which has its URL and keys there.
    `drystone backup` works on the same repositories: mount, verify, prune.
    """


backups.add_command(restore)


def _row(backup: Backup) -> tuple[object, ...]:
    done = f"{format_size(backup.done)} of {format_size(backup.total)}" if backup.total else ""
    return (
        backup.id, backup.dlv, backup.repository, backup.status, done, backup.backup, backup.volume, backup.reason
    )  # fmt: skip


@backups.command("create", cls=ClusterCommand)
@click.argument("dlv", type=DLV)
@click.option("--to", "repository", type=REPOSITORY, required=True, help="Repository, as the ihost calls it.")
@api_options
@lasting_options
@json_option
def create(where: Where, writing: Writing, dlv: str, repository: str, as_json: bool) -> None:
    """Back DLV up, which is attached: what differs from its last backup there, or all that was written to it.

    \b
    Example:
      dlvm backups create db --to nightly --wait
    """
    from drystone.cluster.client.api import Request, place
    from drystone.cluster.client.waiting import Goal

    request = Request("POST", place("dlvs", dlv, "backups"), body={"repository": repository})
    write(where, writing, request, "backup", goal=Goal("backup", "", "finished"), as_json=as_json)


@backups.command("list", cls=ClusterCommand)
@click.option("--dlv", type=DLV, help="Those of this dlv.")
@click.option("--to", "repository", type=REPOSITORY, help="Those in this repository.")
@click.option("--status", type=_STATUS, help="Those with this status.")
@click.option("--descending", is_flag=True, help="From the last id to the first.")
@api_options
@json_option
def list_(
    where: Where, dlv: str | None, repository: str | None, status: str | None, descending: bool, as_json: bool
) -> None:
    """List backups that were asked for, in the order of their ids.

    \b
    Example:
      dlvm backups list --dlv db --status finished
    """
    from drystone.cluster.model.backup import Backup

    query = {"dlv": dlv, "repository": repository, "status": status, "descending": descending}
    print_list(find_all(where, "/backups", query), Backup, _COLUMNS, _row, as_json=as_json)


@backups.command("show", cls=ClusterCommand)
@click.argument("backup", type=BACKUP)
@api_options
@json_option
def show(where: Where, backup: str, as_json: bool) -> None:
    """Show the backup with the id BACKUP.

    \b
    Example:
      dlvm backups show 7f0c6a0e-3f0c-4d3b-9a53-2f4a6f3f7b11
    """
    from drystone.cluster.client.api import place
    from drystone.cluster.model.backup import Backup

    print_one(where, place("backups", backup), Backup, _COLUMNS, _row, as_json=as_json)


@backups.command("cancel", cls=ClusterCommand)
@click.argument("backup", type=BACKUP)
@api_options
@lasting_options
@json_option
def cancel(where: Where, writing: Writing, backup: str, as_json: bool) -> None:
    """Cancel the backup with the id BACKUP, which is under way.

    \b
    Example:
      dlvm backups cancel 7f0c6a0e-3f0c-4d3b-9a53-2f4a6f3f7b11 --wait
    """
    from drystone.cluster.client.api import Request, place
    from drystone.cluster.client.waiting import Goal

    request = Request("POST", place("backups", backup, "cancel"))
    write(where, writing, request, f"backup {backup}", goal=Goal("backup", backup, "canceled"), as_json=as_json)
