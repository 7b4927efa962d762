"""`drystone thin changed`: which bytes differ between two thin devices."""

from __future__ import annotations

from pathlib import Path

import click

from drystone.cli.output import HELP
from drystone.cli.programs import ProgramCommand, device_mapper, run_program
from drystone.cli.ranges import Extent, print_ranges, ranges_options

_ID = click.IntRange(0, (1 << 24) - 1)


@click.command(cls=ProgramCommand, context_settings=HELP)
@click.argument("first", type=_ID, metavar="A")
@click.argument("second", type=_ID, metavar="B")
@click.argument("pool")
@click.option(
    "-m", "--metadata-snap", "held", is_flag=True, help="Read the metadata snapshot that is reserved, reserve none."
)
@ranges_options
@click.pass_context
def changed(
    ctx: click.Context, first: int, second: int, pool: str, *, held: bool, bitmap: Path | None, as_json: bool
) -> None:
    """Print the byte ranges that may differ between the thin devices A and B (their ids) of POOL.

    A range differs when it is mapped to other data, or on one side only. POOL is an active pool (its name or path), or
    a metadata device that nobody uses, or a copy of one. Of an active pool a metadata snapshot is reserved, read and
    released; a stale one is released first. One process at a time does this for a pool.

    Subtrees that both devices share are not read, so the cost is that of the difference. What has been written to a
    device after it was mapped alone is not seen: compare snapshots. Lines are `OFFSET LENGTH` in bytes, ascending.

    \b
    Examples:
      drystone thin changed 1 2 pool
      drystone thin changed 1 2 /dev/vg/poolmeta --json
      drystone thin changed 1 2 pool --bitmap changed.bits

    --json prints an object: pool, first, second, block_size (bytes), and ranges, an array of [offset, length]. With
    --bitmap FILE there are no ranges; the unit of a bit is block_size, and FILE ends with the last block that differs.
    """
    from drystone.dvm.metadata_reading import find_metadata, opened_metadata
    from drystone.dvm.metadata_snapshot import POOL
    from drystone.formats.thin.delta import iter_changed
    from drystone.formats.thin.superblock import read_held_superblock, read_superblock
    from drystone.kernel.blockdev import open_device

    dm = device_mapper(ctx)
    place = find_metadata(dm, pool, POOL)
    location = None
    if held:
        with open_device(place.path) as reader:
            location = read_held_superblock(reader).location
    with opened_metadata(dm, place, POOL, held=location, run=lambda program: run_program(dm, program)) as opened:
        superblock = read_superblock(opened.reader, location=opened.location)
        block_size = superblock.data_block_bytes
        head = {"pool": pool, "first": first, "second": second, "block_size": block_size}
        batches = iter_changed(opened.reader, superblock, first, second)
        print_ranges(head, batches, Extent(block_size), bitmap=bitmap, as_json=as_json)
