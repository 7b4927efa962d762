"""`drystone backup create`: a new backup of a device, an image file or an era device."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import click

from drystone.base.errors import UsageError
from drystone.cli.backup.era import EraOptions, era_options
from drystone.cli.backup.kinds import STDIN, back_up
from drystone.cli.backup.metrics import current_measures, metrics_option
from drystone.cli.backup.opening import Access, access_options, make_destination, name_destination, warn
from drystone.cli.backup.progress import show_progress
from drystone.cli.backup.wish import Wish
from drystone.cli.output import json_option, print_json


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "--dest",
    required=True,
    metavar="URL",
    help="Where to: a folder, vfs:///dir, s3://bucket[@region]/path, gs://..., az://...",
)
@click.option(
    "--base", metavar="URL", help="The backup to build upon; otherwise the newest of this source that is not damaged."
)
@click.option("--full", is_flag=True, help="Build upon no backup: store everything again.")
@click.option(
    "--name", metavar="TEXT", help="What the source is called; otherwise its path. Backups of one name belong together."
)
@click.option(
    "--no-encryption", is_flag=True, help="A new repository at DEST is not encrypted. One that is there stays as it is."
)
@click.option(
    "--changes",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Read only the ranges that FILE tells, which changed since the backup of --base: lines OFFSET LENGTH, in "
    "bytes, or JSON.",
)
@click.option("--compression", type=click.IntRange(1, 19), metavar="LEVEL", help="zstd's level, 1 (the default) to 19.")
@era_options
@metrics_option("create", lambda given: _name(given["source"], given["name"]))
@access_options
@json_option
def create(
    source: Path,
    dest: str,
    base: str | None,
    name: str | None,
    *,
    full: bool,
    no_encryption: bool,
    changes: Path | None,
    era: EraOptions,
    compression: int | None,
    access: Access,
    as_json: bool,
) -> None:
    """Back up SOURCE, a block device, an image file or - for standard input, and print the backup's URL.

    Chunks that the repository has are not stored again. Holes of a file are not read. Of a thin device only what is
    mapped is read, or what differs from the snapshot that the last backup was made of; of an era device (see
    `drystone era create`) what was written since the last backup. Where that is not sure, more is read, and stderr says
    why. A sample outside of what changed is read again as a proof. Each backup is complete: any one can be deleted.
    SOURCE should not change meanwhile: back up a snapshot of what is in use. A pipe does not tell whether the program
    before it failed: use `set -o pipefail`.

    A new repository is encrypted, by a passphrase or a key file. A damaged earlier backup is passed over with a
    warning. When `verify` finds one damaged, make a new one with --full.

    \b
    Examples:
      drystone backup create disk.img --dest vfs:///srv/backup --passphrase-file /root/passphrase
      drystone backup create /dev/vg/home-monday --dest s3://bucket/vg --name home --limit-rate 10m
      tar c -C /etc . | drystone backup create - --name etc --dest vfs:///srv/backup

    --json prints the backup as an object: url, size, read, stored (bytes) and more, and `warnings`, a list of text.
    stderr then holds lines of progress: done and total (bytes), rate (bytes a second), left (seconds).
    --metrics FILE writes what the run did for Prometheus, also when it fails.
    """
    from drystone.backup.url import BackupUrl
    from drystone.cli.backup.document import describe_backup

    known, dest = _name(source, name), name_destination(dest)
    access = replace(access, level=compression)
    opening = functools.partial(make_destination, dest, access, no_encryption=no_encryption)
    with show_progress("backup", as_json=as_json) as progress:
        wish = Wish(source, known, dest, base, full, opening, progress)
        made = back_up(wish, era, changes)
    current_measures().note(made)
    url = str(BackupUrl(dest, made.backup, made.volume))
    for each in wish.warnings:
        warn(each)
    if as_json:
        print_json({**describe_backup(url, made), "warnings": wish.warnings})
    else:
        click.echo(url)


def _name(source: Path, name: str | None) -> str:
    """What the source is called. :raises UsageError: no name, or one that does not fit in a line of a list."""
    if source == STDIN and name is None:
        raise UsageError("what comes from standard input has no name", hint="give it one: --name NAME")
    known = str(source.absolute()) if name is None else name
    if not known.strip() or not known.isprintable():
        raise UsageError(f"{known!r} is no name for a source", hint="give it one that can be printed: --name NAME")
    return known
