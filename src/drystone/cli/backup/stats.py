"""`drystone backup stats`: what a repository holds, and what deduplication and compression saved."""

from __future__ import annotations

import click

from drystone.base.sizes import format_size
from drystone.cli.backup.opening import Access, access_options, open_destination
from drystone.cli.output import json_option, print_json, print_pairs, print_table, tell


@click.command()
@click.argument("dest")
@access_options
@json_option
def stats(dest: str, *, access: Access, as_json: bool) -> None:
    """Count what is stored at DEST: logical and stored bytes, what is shared, compressed and unused, by volume.

    `stored` of a volume counts each record that it needs once; volumes may share some.

    \b
    Example:
      drystone backup stats vfs:///srv/backup

    --json prints an object; sizes in bytes, ratios as numbers.
    """
    found = open_destination(dest, access).stats()
    if as_json:
        print_json(found.to_document())
        return
    share = found.unused / found.stored if found.stored else 0.0
    print_pairs(
        [
            ("backups", found.backups),
            ("logical", format_size(found.logical)),
            ("without zeros", format_size(found.data)),
            ("distinct", f"{format_size(found.unique)}, used {found.dedupe:.2f} times"),
            ("compressed", f"{format_size(found.payload)}, {found.compression:.2f} to 1"),
            ("stored", f"{format_size(found.stored)} in {found.packs} packs, {share:.1%} unused"),
            ("beside packs", f"{format_size(found.other)}; {found.objects} objects in all"),
        ]
    )
    rows = [
        (each.source, each.volume, each.backups, format_size(each.logical), format_size(each.stored))
        for each in found.volumes
    ]
    click.echo()
    print_table(("source", "volume", "backups", "logical", "stored"), rows)
    for line in found.damages:
        tell(f"not counted: {line}")
