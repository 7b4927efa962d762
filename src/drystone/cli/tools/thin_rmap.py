"""`thin_rmap`: which thin devices map regions of the data device."""

from __future__ import annotations

import re

import click

from drystone.base.errors import UsageError
from drystone.cli.output import json_option, print_json
from drystone.cli.tools.command import compat_option, tool
from drystone.cli.tools.plain.thin_input import open_thin
from drystone.cli.tools.streams import write_chunks
from drystone.cli.tools.thin_files import input_argument, snapshot_option

_REGION = re.compile(r"([0-9]{1,19})\.\.([0-9]{1,19})", re.ASCII)


@tool("thin_rmap")
@input_argument
@click.option(
    "--region", "regions", multiple=True, required=True, metavar="B..E", help="Data blocks, E being one past the last."
)
@snapshot_option
@compat_option
@json_option
def thin_rmap(file: str, regions: tuple[str, ...], snapshot: str, compat: str, *, as_json: bool) -> None:
    """Print which thin devices map regions of the data device, and where.

    Blocks are the pool's. All devices that map a block are printed; --compat 0.9 prints only the first of those that
    share a block of metadata, as thin-provisioning-tools do.

    \b
    Examples:
      drystone thin rmap --region 0..5 /dev/vg/meta
      drystone thin rmap -m --region 0..5 --region 100..200 --json /dev/vg/meta
    """
    from drystone.formats.thin.rmap import find_uses, format_uses, merge_regions

    wanted = merge_regions(_parse_region(text) for text in regions)
    with open_thin(file, snapshot) as (device, superblock):
        uses = find_uses(device, superblock, wanted, first_only=compat == "0.9")
    if as_json:
        names = ("data_begin", "data_end", "dev_id", "thin_begin", "thin_end")
        print_json([dict(zip(names, row, strict=True)) for row in uses.tolist()])
    else:
        write_chunks([format_uses(uses)], None)


def _parse_region(text: str) -> tuple[int, int]:
    """:raises UsageError: not `B..E` with B below E."""
    match = _REGION.fullmatch(text)
    if match is None:
        raise UsageError(
            f"region {text[:60]!r} is not known", hint="write the first block and one past the last: 5..45"
        )
    begin, end = int(match[1]), int(match[2])
    if end <= begin:
        raise UsageError(f"region {text} ends before it begins", hint="the second number is one past the last block")
    return begin, end
