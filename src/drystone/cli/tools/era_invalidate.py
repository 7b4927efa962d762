"""`era_invalidate`: the blocks that may have been written since an era."""

from __future__ import annotations

import click

from drystone.cli.output import json_option
from drystone.cli.tools.command import compat_option, output_option, tool
from drystone.cli.tools.era_files import input_argument, snapshot_option
from drystone.cli.tools.plain.era_invalidate import run_era_invalidate


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
    run_era_invalidate(input, since, output, form, compat, held=held, as_json=as_json)
