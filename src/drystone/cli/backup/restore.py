"""`drystone backup restore`: a backup to a file or a block device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from drystone.base.errors import UsageError
from drystone.cli.backup.finding import find_backup
from drystone.cli.backup.instant import Instant, instant_options, restore_at_once
from drystone.cli.backup.metrics import metrics_option
from drystone.cli.backup.opening import Access, access_options
from drystone.cli.backup.progress import show_progress
from drystone.cli.output import json_option, print_json, tell

if TYPE_CHECKING:
    from drystone.backup.reading.damage import Damages


@click.command()
@click.argument("url")
@click.argument("target", type=click.Path())
@click.option("--overwrite", is_flag=True, help="Replace a file that exists. It stays whole until the new one is.")
@click.option("--larger", is_flag=True, help="A device larger than the backup will do; its rest is left alone.")
@click.option(
    "--zeroed", is_flag=True, help="The device reads as zeros already (never written to): do not write the holes."
)
@click.option("--in-place", is_flag=True, help="TARGET is there: read it, and write only what differs.")
@click.option(
    "--skip-damaged",
    is_flag=True,
    help="Go on past what is damaged in the store, list it, and end with exit code 10.",
)
@instant_options
@metrics_option("restore", lambda given: given["url"].partition("?backup=")[0])
@access_options
@json_option
def restore(
    url: str,
    target: str,
    *,
    overwrite: bool,
    larger: bool,
    zeroed: bool,
    in_place: bool,
    skip_damaged: bool,
    instant: Instant | None,
    access: Access,
    as_json: bool,
) -> None:
    """Restore the backup at URL to TARGET: a new file, or a block device of the same size, which is overwritten.

    Every byte is verified before it is written. A file has its name only when it is whole and on the disk. A device
    that is mounted or part of another one is refused; after a failure it holds a part of the image.

    With --in-place a file must be there and have the image's size; after a failure, begin again: what is right already
    is not fetched. With --skip-damaged the ranges that are damaged are zeros in a new file, and are left as they were
    in a device or in place. The store may be one that Convoy wrote.

    With --instant the command prints the path of a new device that is usable at once, and stays until all is restored
    to TARGET; then NAME is TARGET by another name. What is written to NAME stays. After Ctrl-C, a kill or a power cut
    the same command goes on; until then what was not restored yet cannot be read. What is damaged keeps it from
    ending: stderr tells when all else is there.

    \b
    Examples:
      drystone backup restore 'vfs:///srv/backup?backup=...&volume=...' restored.img
      drystone backup restore 'vfs:///srv/backup?backup=...&volume=...' /dev/vg/home
      drystone backup restore --in-place 'vfs:///srv/backup?backup=...&volume=...' /dev/vg/home
      drystone backup restore --instant --name home 'vfs:///srv/backup?backup=...&volume=...' /dev/vg/home

    --json prints an object: url, target, and in place compared, written and zeroed (bytes).
    """
    if in_place and (overwrite or zeroed):
        raise UsageError("--in-place reads what is there: it goes without --overwrite and --zeroed")
    if instant is not None:
        if in_place or overwrite or zeroed or skip_damaged:
            raise UsageError("--instant goes with --name, --state and --larger only")
        restore_at_once(url, target, instant, larger=larger, access=access, as_json=as_json)
        return
    place: dict[str, Any] = {"target": target, "larger": larger, "skip_damaged": skip_damaged}
    document: dict[str, object] = {"url": url, "target": target}
    with show_progress("restore", as_json=as_json) as progress:
        backups, parsed = find_backup(url, access)
        if in_place:
            done = backups.restore_in_place(parsed.volume, parsed.backup, **place, progress=progress)
            damages = done.damages
            document |= {"compared": done.compared, "written": done.written, "zeroed": done.zeroed}
        else:
            damages = backups.restore(
                parsed.volume, parsed.backup, **place, overwrite=overwrite, zeroed=zeroed, progress=progress
            )
    if as_json:
        print_json({**document, "damages": [[each.offset, each.length] for each in damages]})
    if damages:
        _raise(damages, url, target)


def _raise(damages: Damages, url: str, target: str) -> None:
    """:raises DamagedError: always: these ranges are not what was backed up."""
    from drystone.backup.reading.damage import raise_damages

    for each in damages:
        tell(f"bytes {each.offset} to {each.offset + each.length} of {target} were left alone")
    raise_damages(damages, hint="all else was restored", url=url)
