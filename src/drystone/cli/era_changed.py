"""`drystone era changed`: which bytes were written since an era."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from drystone.base.errors import MismatchError
from drystone.cli.output import HELP
from drystone.cli.programs import ProgramCommand, device_mapper, run_program
from drystone.cli.ranges import Extent, print_ranges, ranges_options

if TYPE_CHECKING:
    from drystone.dvm.metadata_reading import Opened, Place
    from drystone.formats.era.superblock import Superblock


@click.command(cls=ProgramCommand, context_settings=HELP)
@click.argument("device")
@click.option(
    "--since", type=click.IntRange(1, (1 << 32) - 1), required=True, metavar="ERA", help="This era is included."
)
@click.option(
    "-m", "--metadata-snapshot", "held", is_flag=True, help="Read the metadata snapshot that is held, take none."
)
@ranges_options
@click.pass_context
def changed(ctx: click.Context, device: str, since: int, *, held: bool, bitmap: Path | None, as_json: bool) -> None:
    """Print the byte ranges of DEVICE that were written in era ERA or later.

    DEVICE is an active era device (its name or path), or a metadata device that nobody uses, or a copy of one. Of an
    active device a metadata snapshot is taken, read and dropped; a stale one is dropped first. One process at a time
    does this for a device. The device holds its writes for a moment after that, so that none of the answer's is on its
    way. -m cannot do so: `era snapshot` has done it, other programs may not have.

    Lines are `OFFSET LENGTH` in bytes, ascending. stderr says which ERA to ask for next time: what is written from
    now on has it. Copy the data after this command, never before it.

    \b
    Examples:
      drystone era changed --since 4 db
      drystone era changed --since 4 db --json | jq .next_era
      drystone era changed --since 4 db --bitmap changed.bits
      drystone era changed --since 1 /dev/vg/dbmeta

    --json prints an object: device, since, next_era, block_size and size (bytes), blocks, warnings, and ranges, an
    array of [offset, length]. With --bitmap FILE there are no ranges; the unit of a bit is block_size.
    """
    from drystone.dvm.metadata_reading import find_metadata, opened_metadata
    from drystone.dvm.metadata_snapshot import ERA
    from drystone.formats.era.eras import iter_changed
    from drystone.formats.era.superblock import read_held_superblock, read_superblock
    from drystone.kernel.blockdev import open_device

    dm = device_mapper(ctx)
    place = find_metadata(dm, device, ERA)
    location = None
    if held:
        with open_device(place.path) as reader:
            location = read_held_superblock(reader).location
    with opened_metadata(
        dm, place, ERA, held=location, drain=True, run=lambda program: run_program(dm, program)
    ) as opened:
        superblock = read_superblock(opened.reader, location=opened.location)
        next_era = _next_era(superblock, since, place)
        warnings = _warnings(opened)
        block_size, blocks = superblock.data_block_bytes, superblock.nr_blocks
        head = {
            "device": device,
            "since": since,
            "next_era": next_era,
            "block_size": block_size,
            "size": place.size,
            "blocks": blocks,
            "warnings": warnings,
        }
        batches = iter_changed(opened.reader, superblock, since)
        print_ranges(head, batches, Extent(block_size, blocks, place.size), bitmap=bitmap, as_json=as_json)
    if not as_json:
        for each in warnings:
            click.echo(f"drystone: warning: {each}", err=True)
        click.echo(f"drystone: what is written from now on has era {next_era} or a later one", err=True)


def _next_era(superblock: Superblock, since: int, place: Place) -> int:
    """The era that holds what is not in the answer.

    A metadata snapshot has all below its own era. Metadata that nobody uses has its own era too, and the next
    activation begins another.

    :raises MismatchError: ERA has not come yet, so it is of other metadata.
    """
    next_era = superblock.current_era + superblock.live
    if since > superblock.current_era + superblock.live:
        raise MismatchError(
            f"era {since} has not come yet: {place.path} is at era {superblock.current_era}",
            hint="the metadata was made anew, or is another device's: anything may have changed",
            era=superblock.current_era,
        )
    return next_era


def _warnings(opened: Opened) -> list[str]:
    from drystone.kernel.queue import lets_discards_through
    from drystone.kernel.release import ERA_KEEPS_WRITESETS, running_release

    found = []
    live = opened.place.live
    release = running_release()
    if live is not None and release < ERA_KEEPS_WRITESETS:
        found.append(
            f"Linux {release[0]}.{release[1]} forgets what was written in the era in which the power goes: after a "
            "crash the answer is not complete"
        )
    if live is not None and lets_discards_through(live.number):
        found.append(f"{live.name} lets discards through, of which dm-era marks only the first block")
    return found
