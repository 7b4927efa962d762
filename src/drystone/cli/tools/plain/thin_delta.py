"""What `thin_delta` does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drystone.base.errors import NotFoundError, UsageError
from drystone.cli.tools.plain.thin_input import open_thin
from drystone.cli.tools.streams import refuse_same, write_chunks

if TYPE_CHECKING:
    from drystone.formats.thin.superblock import Superblock
    from drystone.kernel.blockdev import BlockDevice


def run_thin_delta(
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
) -> int:
    """Print the differences; the exit code."""
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
    return 0


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
