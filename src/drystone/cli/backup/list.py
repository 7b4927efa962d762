"""`drystone backup list`: the backups at a destination."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from drystone.cli.backup.finding import find_backups
from drystone.cli.backup.opening import Access, access_options, name_destination
from drystone.cli.output import json_option, print_json, print_table

if TYPE_CHECKING:
    from drystone.base.errors import DamagedError


@click.command("list")
@click.argument("dest")
@access_options
@json_option
def list_(dest: str, *, access: Access, as_json: bool) -> None:
    """List the backups at DEST (a folder or an object store), oldest first. DEST may be a store that Convoy wrote.

    Columns: when it was made (UTC), its source, the size of the image, what it added to the store, its URL. In a
    repository of version 1 those whose manifest is damaged are told at the end, as an error.

    \b
    Examples:
      drystone backup list vfs:///srv/backup
      drystone backup list vfs:///srv/backup --json | jq -r '.[-1].url'

    --json prints an array of objects: url, created (RFC 3339), source, size and stored (bytes), parent and more.
    """
    from drystone.backup.url import BackupUrl
    from drystone.base.sizes import format_size
    from drystone.cli.backup.document import describe_backup

    dest = name_destination(dest)
    damaged: list[DamagedError] = []
    found = [
        describe_backup(str(BackupUrl(dest, each.backup, each.volume)), each)
        for backups in find_backups(dest, access)
        for each in backups.list(damaged=damaged.append)
    ]
    found.sort(key=lambda each: str(each["created"]))
    if as_json:
        print_json(found)
    else:
        rows = [
            (
                each["created"],
                each["source"],
                *(format_size(int(str(each[key]))) for key in ("size", "stored")),
                each["url"],
            )
            for each in found
        ]
        print_table(("created", "source", "size", "stored", "url"), rows)
    if damaged:
        raise _sum_up(dest, damaged)


def _sum_up(dest: str, damaged: list[DamagedError]) -> DamagedError:
    """The first of the manifests that are damaged, and how many there are."""
    from drystone.backup.url import BackupUrl
    from drystone.base.errors import DamagedError

    more = f", and {len(damaged) - 1} more manifests are damaged" if len(damaged) > 1 else ""
    facts = damaged[0].facts
    hint = ""
    if "backup" in facts:
        url = BackupUrl(dest, str(facts["backup"]), str(facts["volume"]))
        hint = f"drystone backup delete '{url}' removes it"
    return DamagedError(f"{damaged[0].message}{more}", hint=hint, **facts)
