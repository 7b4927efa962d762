"""`drystone backup diff`: what differs between two backups, or between a backup and a device."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from drystone.base.sizes import format_size
from drystone.cli.backup.finding import find_backup
from drystone.cli.backup.opening import Access, access_options
from drystone.cli.backup.progress import Report, show_progress
from drystone.cli.output import json_option, print_json, print_table, tell

if TYPE_CHECKING:
    from drystone.backup.reading.diff import Range
    from drystone.backup.reading.image import CachedImage


@click.command()
@click.argument("url")
@click.argument("other")
@click.option("--exact", is_flag=True, help="To 4 KiB: the chunks that differ are read for it.")
@access_options
@json_option
def diff(url: str, other: str, *, exact: bool, access: Access, as_json: bool) -> None:
    """List the ranges in which the backup at URL differs from OTHER: another backup's URL, a device or a file.

    Two backups of one repository are compared by the digests of their maps, so equal parts cost nothing, and a range is
    told in whole chunks; --exact reads those. They may be of different volumes. A device is read, the backup is not.

    \b
    Examples:
      drystone backup diff 'vfs:///srv/backup?backup=...&volume=...' 'vfs:///srv/backup?backup=...&volume=...'
      drystone backup diff --json 'vfs:///srv/backup?backup=...&volume=...' /dev/vg/home

    \b
    Columns: offset and length in bytes. --json prints an object: bytes (in all), ranges (a list of [offset, length]).
    """
    with show_progress("diff", as_json=as_json) as progress, _open(url, access) as image:
        found = _compare(image, other, access, progress, exact=exact)
    total = sum(length for _, length in found)
    if as_json:
        print_json({"bytes": total, "ranges": [list(each) for each in found]})
        return
    print_table(("offset", "length"), found)
    tell(f"{format_size(total)} in {len(found)} ranges")


@contextlib.contextmanager
def _open(url: str, access: Access) -> Iterator[CachedImage]:
    backups, parsed = find_backup(url, access)
    with backups.image(parsed.volume, parsed.backup, cache=access.memory // 8) as image:
        yield image


def _compare(image: CachedImage, other: str, access: Access, progress: Report, *, exact: bool) -> list[Range]:
    from drystone.backup.reading.diff import diff_backups, diff_device
    from drystone.kernel.blockdev import open_device

    tuning = access.tuning()
    if "?backup=" in other:
        with _open(other, access) as against:
            return list(diff_backups(image, against, tuning=tuning, exact=exact))
    with open_device(other) as device:
        return list(diff_device(image, device, tuning=tuning, progress=progress, exact=exact))
