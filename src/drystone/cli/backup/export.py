"""`drystone backup export`: a backup as an image that other programs read."""

from __future__ import annotations

import sys

import click

from drystone.base.errors import UsageError
from drystone.cli.backup.finding import find_backup
from drystone.cli.backup.opening import Access, access_options
from drystone.cli.backup.progress import show_progress
from drystone.cli.output import json_option, print_json


@click.command()
@click.argument("url")
@click.argument("file")
@click.option(
    "--format", "kind", type=click.Choice(["raw", "qcow2"]), default="raw", show_default=True, help="Of the file."
)
@click.option("--compress", is_flag=True, help="Compress a qcow2 file: smaller, and several times slower.")
@click.option("--overwrite", is_flag=True, help="Replace a file that exists. It stays whole until the new one is.")
@access_options
@json_option
def export(url: str, file: str, *, kind: str, compress: bool, overwrite: bool, access: Access, as_json: bool) -> None:
    """Write the backup at URL to FILE, or to stdout where FILE is `-`, as an image that other programs read.

    A raw file is sparse; a qcow2 file (version 3) leaves out what is zeros. A file has its name only when it is whole
    and on the disk. Every byte is verified.

    \b
    Examples:
      drystone backup export 'vfs:///srv/backup?backup=...&volume=...' home.qcow2 --format qcow2
      drystone backup export 'vfs:///srv/backup?backup=...&volume=...' - | ssh other 'cat > /dev/vg/home'
    """
    if file == "-" and (kind != "raw" or as_json):
        raise UsageError("stdout takes the raw image alone", hint="name a file for qcow2, or for --json")
    if compress and kind != "qcow2":
        raise UsageError("--compress is for --format qcow2")
    backups, parsed = find_backup(url, access)
    with (
        show_progress("export", as_json=as_json) as progress,
        backups.image(parsed.volume, parsed.backup, cache=access.memory // 4) as image,
    ):
        from drystone.backup.reading.export import export_qcow2, export_raw, export_stream

        tuning = access.tuning()
        if file == "-":
            stream = sys.stdout.buffer
            export_stream(image, stream.write, tuning=tuning, progress=progress)
            stream.flush()
        elif kind == "raw":
            export_raw(image, file, overwrite=overwrite, tuning=tuning, progress=progress)
        else:
            export_qcow2(image, file, compress=compress, overwrite=overwrite, tuning=tuning, progress=progress)
    if as_json:
        print_json({"url": url, "file": file, "format": kind})
