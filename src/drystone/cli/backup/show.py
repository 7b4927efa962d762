"""`drystone backup show`: what is known of one backup."""

from __future__ import annotations

import click

from drystone.cli.backup.finding import find_backup
from drystone.cli.backup.opening import Access, access_options
from drystone.cli.output import json_option, print_json, print_pairs

_SIZES = {"size", "stored", "read", "chunk_size"}


@click.command()
@click.argument("url")
@access_options
@json_option
def show(url: str, *, access: Access, as_json: bool) -> None:
    """Show what is known of the backup at URL, as `create` and `list` print it.

    \b
    `read` is what was read from the source, `stored` what it added to the store, `chunks` those that are not zero.
    Quote the URL in a shell.

    \b
    Example:
      drystone backup show 'vfs:///srv/backup?backup=...&volume=...'
    """
    from drystone.base.sizes import format_size
    from drystone.cli.backup.document import describe_backup

    backups, parsed = find_backup(url, access)
    document = describe_backup(url, backups.inspect(parsed.volume, parsed.backup))
    if as_json:
        print_json(document)
        return
    for key in _SIZES & document.keys():
        document[key] = f"{document[key]} ({format_size(int(str(document[key])))})"
    about = document.pop("about")
    assert isinstance(about, dict)
    print_pairs([*document.items(), *((f"about {key}", value) for key, value in sorted(about.items()))])
