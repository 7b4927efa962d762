"""`thin_delta`: what differs between two thin devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from drystone.base.errors import NotFoundError, UsageError
from drystone.cli.output import json_option
from drystone.cli.tools.command import compat_option, output_option, tool
from drystone.cli.tools.streams import refuse_same, write_chunks
from drystone.cli.tools.thin_files import input_argument, open_thin, snapshot_option

if TYPE_CHECKING:
    from drystone.formats.thin.superblock import Superblock
    from drystone.kernel.blockdev import BlockDevice

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
    from drystone.formats.thin import delta_text
    from drystone.formats.thin.difference import iter_segments

    refuse_same(file, output)
    sides = delta_text.Sides(_choose(1, thin1, root1), _choose(2, thin2, root2))
    with open_thin(file, snapshot) as (device, superblock):
        left, right = (_find_root(device, superblock, *side) for side in (sides.left, sides.right))
        segments = iter_segments(device, left, right, changed_only=changed_only, by_data=verbose)
        if as_json:
            text = delta_text.spell_json(superblock, sides, segments, verbose=verbose)
        else:
            text = delta_text.spell_xml(superblock, sides, segments, verbose=verbose, old=compat == "0.9")
        write_chunks(text, output)


def _choose(number: int, thin: int | None, root: int | None) -> tuple[str, int]:
    """:raises UsageError: neither or both were given."""
    if thin is not None and root is None:
        return "thin", thin
    if root is not None and thin is None:
        return "root", root
    raise UsageError(f"give either --thin{number} or --root{number}")


def _find_root(device: BlockDevice, superblock: Superblock, what: str, number: int) -> int:
    from drystone.formats.thin.devices import find_mapping_root

    if what == "root":
        return number
    try:
        return find_mapping_root(device, superblock, number)
    except NotFoundError as error:
        raise NotFoundError(error.message, hint="drystone thin ls lists the devices", **error.facts) from error
