"""`era_invalidate`: the blocks that may have been written since an era."""

from __future__ import annotations

import click

from drystone.cli.output import json_option
from drystone.cli.tools.command import compat_option, output_option, tool
from drystone.cli.tools.era_files import input_argument, open_era, snapshot_option
from drystone.cli.tools.streams import refuse_same, write_chunks


@tool("era_invalidate")
@input_argument
@click.option(
    "--written-since", "since", metavar="ERA", type=click.IntRange(min=0), required=True, help="The first era to count."
)
@snapshot_option
@output_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["xml", "json", "ranges"]),
    default="xml",
    show_default=True,
    help="XML; one JSON object; or a line `BEGIN LENGTH` a range.",
)
@compat_option
@json_option
def era_invalidate(
    input: str,  # noqa: A002  # the name that the tools' help gives it
    since: int,
    output: str | None,
    form: str,
    compat: str,
    *,
    held: bool,
    as_json: bool,
) -> None:
    """List the blocks that were written in era ERA or later.

    Era array, archived writesets and, of live metadata, what the current era wrote so far all count. Blocks are the
    era device's. INPUT is a metadata device that no era device uses, or a copy of one; with --metadata-snapshot also
    one in use.

    \b
    Examples:
      drystone era invalidate --written-since 4 /dev/vg/dbmeta
      drystone era invalidate --written-since 4 --metadata-snapshot --format ranges /dev/vg/dbmeta
    """
    from drystone.formats.era.eras import iter_changed
    from drystone.formats.era.invalidate import format_json, format_ranges, format_xml

    refuse_same(input, output)
    with open_era(input, held=held) as (device, superblock):
        ranges = iter_changed(device, superblock, since)
        if as_json or form == "json":
            head = b'"written_since": %d, "current_era": %d, "nr_blocks": %d, "block_size": %d'
            facts = (since, superblock.current_era, superblock.nr_blocks, superblock.data_block_bytes)
            write_chunks(format_json(ranges, head % facts), output)
        elif form == "ranges":
            write_chunks(format_ranges(ranges), output)
        else:
            write_chunks(format_xml(ranges, old=compat == "0.9"), output)
