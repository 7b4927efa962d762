"""`thin_delta`: what differs between two thin devices."""

from __future__ import annotations

import click

from drystone.cli.output import json_option
from drystone.cli.tools.command import compat_option, output_option, tool
from drystone.cli.tools.plain.thin_delta import run_thin_delta
from drystone.cli.tools.thin_files import input_argument, snapshot_option

_NUMBER = click.IntRange(min=0)


@tool("thin_delta")
@input_argument
@click.option("--thin1", "--snap1", "thin1", type=_NUMBER, metavar="ID", help="The device on the left.")
@click.option("--thin2", "--snap2", "thin2", type=_NUMBER, metavar="ID", help="The device on the right.")
@click.option("--root1", type=_NUMBER, metavar="BLOCK", help="Instead: root of the mappings on the left.")
@click.option("--root2", type=_NUMBER, metavar="BLOCK", help="Instead: root of the mappings on the right.")
@snapshot_option
@click.option("--verbose", is_flag=True, help="Print the data blocks of each range too.")
@click.option("--changed-only", is_flag=True, help="Leave out what is the same; shared subtrees are then not read.")
@output_option
@compat_option
@json_option
def thin_delta(
    file: str,
    thin1: int | None,
    thin2: int | None,
    root1: int | None,
    root2: int | None,
    snapshot: str,
    output: str | None,
    compat: str,
    *,
    verbose: bool,
    changed_only: bool,
    as_json: bool,
) -> None:
    """Print the differences between two thin devices.

    Blocks are the pool's. One is the same when both devices map it to the same data block, whenever that was.
    With --changed-only the cost is that of the difference, not of the devices.

    \b
    Examples:
      drystone thin delta --thin1 1 --thin2 2 metadata.img
      drystone thin delta -m --changed-only --json --snap1 1 --snap2 2 /dev/vg/meta
    """
    run_thin_delta(
        file,
        thin1,
        thin2,
        root1,
        root2,
        snapshot,
        output,
        compat,
        verbose=verbose,
        changed_only=changed_only,
        as_json=as_json,
    )
