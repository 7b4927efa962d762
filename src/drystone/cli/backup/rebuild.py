"""`drystone backup rebuild`: a new state out of what is whole, when the newest one cannot be read."""

from __future__ import annotations

import click

from drystone.cli.backup.opening import Access, access_options, open_destination
from drystone.cli.output import json_option, print_json


@click.command()
@click.argument("dest")
@click.option("--force", is_flag=True, help="Also when the newest state can be read.")
@access_options
@json_option
def rebuild(dest: str, *, force: bool, access: Access, as_json: bool) -> None:
    """Make the state of the repository at DEST anew, when its newest generation cannot be read.

    It has every backup whose manifest is whole and whose packs are all there; the others are named. Nothing is deleted,
    but what the new state does not need goes with the next `prune`: look first. Backups that were deleted a moment ago
    may come back.

    \b
    Example:
      drystone backup rebuild vfs:///srv/backup
    """
    rebuilt = open_destination(dest, access).rebuild(force=force)
    if as_json:
        print_json(rebuilt.to_document())
        return
    for error in rebuilt.left_out:
        click.echo(error.message)
    click.echo(f"generation {rebuilt.number}: {len(rebuilt.backups)} backups, {len(rebuilt.left_out)} left out")
