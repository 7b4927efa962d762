"""`drystone backup verify`: whether a backup can be restored, byte by byte."""

from __future__ import annotations

from pathlib import Path

import click

from drystone.base.errors import UsageError
from drystone.cli.backup.finding import find_backup
from drystone.cli.backup.metrics import metrics_option
from drystone.cli.backup.opening import Access, access_options, opened_source
from drystone.cli.backup.progress import show_progress
from drystone.cli.output import json_option, print_json


@click.command()
@click.argument("url")
@click.option(
    "--source",
    type=click.Path(path_type=Path),
    metavar="DEVICE",
    help="Compare with a device or file: the snapshot that was backed up. It is only read.",
)
@click.option("--sample", metavar="PERCENT", help="Only so many percent of the chunks, others each time: 5, 0.5%.")
@metrics_option("verify", lambda given: given["url"].partition("?backup=")[0])
@access_options
@json_option
def verify(url: str, *, source: Path | None, sample: str | None, access: Access, as_json: bool) -> None:
    """Read all that the backup at URL needs, and check it against the hash of the whole image.

    Prints that hash. Damaged places are named by their offset in the image (bytes); with --json the error on stderr
    lists up to 100 of them as `damages`. Where --source has other bytes the exit code is 11, and `ranges` says where.

    \b
    Examples:
      drystone backup verify 'vfs:///srv/backup?backup=...&volume=...'
      drystone backup verify 'vfs:///srv/backup?backup=...&volume=...' --source /dev/vg/home-monday --sample 5
    """
    backups, parsed = find_backup(url, access)
    with show_progress("verify", as_json=as_json) as progress:
        from drystone.backup.repository import Repository

        if isinstance(backups, Repository):
            from drystone.backup.reading.verify import Sample

            share = Sample() if sample is None else Sample(_percent(sample))
            with opened_source(source) as opened:
                done = backups.verify(parsed.volume, parsed.backup, sample=share, source=opened, progress=progress)
            root = done.root
        else:
            if source is not None or sample is not None:
                raise UsageError("a backup of Convoy's is verified whole, and by itself")
            backups.verify(parsed.volume, parsed.backup, progress=progress)
            root = ""
    if as_json:
        print_json({"url": url, "verified": True, "root": root, "sample": sample, "source": source and str(source)})
    else:
        click.echo(f"verified: {root}" if root else "verified")


def _percent(text: str) -> float:
    try:
        return float(text.removesuffix("%"))
    except ValueError as error:
        raise UsageError(f"--sample {text!r} is no percentage", hint="a number above 0, up to 100") from error
