"""`drystone backup delete`: backups go, and what only they needed."""

from __future__ import annotations

import click

from drystone.base.errors import UsageError
from drystone.cli.backup.opening import Access, access_options, open_destination
from drystone.cli.output import json_option, print_json


@click.command()
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
@access_options
@json_option
def delete(urls: tuple[str, ...], *, access: Access, as_json: bool) -> None:
    """Delete the backups at each URL, all of one destination, and what no other backup needs.

    Any backup can go, whatever was built upon it. What an operation under way may refer to stays until the next
    deletion or `prune`. Packs that are used in part stay whole: `prune` rewrites them.

    \b
    Example:
      drystone backup delete 'vfs:///srv/backup?backup=...&volume=...'

    --json prints an object: urls, packs and bytes that were freed, and `waiting`, packs that wait.
    """
    from drystone.backup.url import parse_backup_url

    parsed = [parse_backup_url(url) for url in urls]
    if len({each.destination for each in parsed}) > 1:
        raise UsageError("the backups are of several destinations", hint="delete those of one at a time")
    repository = open_destination(parsed[0].destination, access)
    done = repository.delete_all([(each.volume, each.backup) for each in parsed])
    if as_json:
        one = {"url": urls[0]} if len(urls) == 1 else {}
        print_json({**one, "urls": list(urls), "packs": done.packs, "bytes": done.bytes, "waiting": done.waiting})
