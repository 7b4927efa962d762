"""`drystone backup scrub`: read what is stored, name all damage, repair what can be repaired."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from drystone.base.sizes import format_size
from drystone.cli.backup.metrics import current_measures, metrics_option
from drystone.cli.backup.opening import Access, access_options, open_destination, opened_source
from drystone.cli.backup.progress import show_progress
from drystone.cli.output import json_option, print_json

if TYPE_CHECKING:
    from drystone.backup.collecting.hits import Loss
    from drystone.backup.collecting.scrub import Findings


@click.command()
@click.argument("dest")
@click.option(
    "--percent",
    type=float,
    default=100.0,
    show_default=True,
    metavar="N",
    help="Read so many percent of the packs, others on each day.",
)
@click.option("--repair", is_flag=True, help="Mend what the store has elsewhere, and damaged indexes.")
@click.option(
    "--repair-from",
    type=click.Path(path_type=Path),
    metavar="SOURCE",
    help="Also from a device or file that has the bytes: the snapshot that was backed up. It is only read.",
)
@metrics_option("scrub", lambda given: str(given["dest"]))
@access_options
@json_option
def scrub(dest: str, *, percent: float, repair: bool, repair_from: Path | None, access: Access, as_json: bool) -> None:
    """Read what is stored at DEST and check it: every record, and that indexes, maps and packs agree.

    Each damaged or missing chunk is named with the backups, volumes and offsets (bytes) that it hits, and later backups
    store it again. With --percent 5 each day or each week, all packs are met within some 45 runs; that all packs are
    there is seen every time. Exit code 10 when something is damaged and could not be repaired.

    \b
    Examples:
      drystone backup scrub vfs:///srv/backup
      drystone backup scrub s3://bucket/vg --percent 5 --json
      drystone backup scrub vfs:///srv/backup --repair-from /dev/vg/home-monday

    --json prints an object: found, repaired (counts) and left; found and left have lost, mended, manifests,
    missing_packs, damaged_packs, damaged_indexes and unneeded.
    """
    repository = open_destination(dest, access)  # its key is derived before what is imported below
    from drystone.backup.collecting.scrub import raise_findings

    with opened_source(repair_from) as source, show_progress("scrub", as_json=as_json) as progress:
        scrubbed = repository.scrub(percent=percent, repair=repair, source=source, progress=progress)
    current_measures().values |= {
        "scrubbed_bytes": scrubbed.found.checked.size,
        "damaged_places": len(scrubbed.left.losses),
    }
    if as_json:
        print_json(scrubbed.to_document())
    else:
        _print_findings(scrubbed.found)
        if scrubbed.chunks or scrubbed.segments:
            click.echo(f"repaired: {scrubbed.chunks} chunks, {scrubbed.segments} map segments")
    raise_findings(scrubbed.left)


def _print_findings(found: Findings) -> None:
    for (volume, backup), message in found.manifests.items():
        click.echo(f"backup {backup} of volume {volume}: {message}")
    for pack in sorted(found.missing):
        click.echo(f"pack {pack.hex()} is missing")
    for message in found.checked.bad_packs.values():
        click.echo(message)
    for name, message in found.indexes.items():
        click.echo(f"index {name}: {message}")
    for loss in found.losses:
        _print_loss(loss)
    if found.unneeded:
        click.echo(f"{len(found.unneeded)} records are damaged that no backup needs where they are")
    checked = found.checked
    click.echo(f"{checked.packs} packs read, {checked.records} records, {format_size(checked.size)}")


def _print_loss(loss: Loss) -> None:
    from drystone.backup.format.pack import Kind

    what = "chunk" if loss.kind is Kind.CHUNK else "map segment"
    state = "not where it should be" if loss.mended else "lost"
    click.echo(f"{what} {loss.digest.hex()[:16]} is {state}: {loss.message}")
    for hit in loss.hits:
        click.echo(f"  volume {hit.volume} backup {hit.backup} bytes {hit.offset} to {hit.offset + hit.length}")
