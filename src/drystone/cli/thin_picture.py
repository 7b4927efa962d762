"""`drystone thin picture`: what of a pool is mapped, shared, fragmented."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from drystone.cli.output import HELP, json_option, print_json
from drystone.cli.picture.options import pick_cells, picture_options, show_picture
from drystone.cli.tools.plain.thin_input import HELD, LIVE, open_thin

if TYPE_CHECKING:
    from drystone.cli.picture.panel import Picture
    from drystone.formats.thin.picture import PoolCells


@click.command(context_settings=HELP)
@click.argument("file", type=click.Path())
@click.option("-m", "--metadata-snap", "held", is_flag=True, help="Draw the reserved metadata snapshot.")
@picture_options
@json_option
def picture(file: str, *, held: bool, width: int | None, rows: int, png: str | None, as_json: bool) -> None:
    """Draw a pool's data device: how much of each part is mapped, shared and fragmented.

    FILE is a metadata device or a copy of one; of an active pool draw the reserved snapshot, with -m. Shared are blocks
    that two or more thin devices map. Fragmented is what is mapped in short runs: 0 % would be one run without end,
    100 % is a run for every block.

    \b
    Examples:
      drystone thin picture metadata.img
      drystone thin picture -m --png pool.png /dev/vg/meta
      drystone thin picture --json --width 100 metadata.img
    """
    from drystone.formats.thin.picture import draw_pool
    from drystone.formats.thin.superblock import read_superblock

    columns, cells_wanted = pick_cells(width, rows, png)
    with open_thin(file, HELD if held else LIVE) as (device, superblock):
        live = read_superblock(device)
        cells = draw_pool(device, superblock, live.data_space_map.nr_blocks, cells_wanted)
    block_size = live.data_block_bytes
    if as_json:
        print_json(_describe(cells, file, block_size))
    if png is not None or not as_json:
        show_picture(_make_picture(cells, file, block_size), columns, rows, png)


def _describe(cells: PoolCells, file: str, block_size: int) -> dict[str, object]:
    return {
        "file": file,
        "block_size": block_size,
        "nr_blocks": cells.nr_blocks,
        "mapped": int(cells.mapped.sum()),
        "shared": int(cells.shared.sum()),
        "fragments": int(cells.fragments.sum()),
        "cells": {
            "begin": cells.edges[:-1].tolist(),
            "end": cells.edges[1:].tolist(),
            "mapped": cells.mapped.tolist(),
            "shared": cells.shared.tolist(),
            "fragments": cells.fragments.tolist(),
        },
    }


def _make_picture(cells: PoolCells, file: str, block_size: int) -> Picture:
    import numpy as np

    from drystone.cli.picture.panel import SHARE_BANDS, SHARES, Panel, Picture, spell_blocks, spell_cell, spell_size

    sizes = np.diff(cells.edges).astype(np.float64)
    mapped = cells.mapped.astype(np.float64)
    some = np.where(mapped > 0, mapped, np.nan)
    total, used = cells.nr_blocks, int(cells.mapped.sum())
    shared, runs = int(cells.shared.sum()), int(cells.fragments.sum())
    sums = "nothing mapped"
    if used:
        sums = f"{spell_size(used * block_size)} ({used / total * 100:.0f} %) mapped"
        sums += f", {spell_size(shared * block_size)} of it shared"
        sums += f", in runs of {spell_size(used * block_size // runs)} on average"
    panels = [
        ("mapped: share of the blocks that thin devices use", mapped / sizes, ""),
        ("shared: share of the mapped blocks that several devices use", cells.shared / some, "nothing mapped"),
        ("fragmented: runs per mapped block; 100 % is a run for each", cells.fragments / some, "nothing mapped"),
    ]
    return Picture(
        f"pool {file}",
        [f"{spell_size(total * block_size)} of data in {spell_blocks(total, block_size)}", sums],
        spell_cell(cells.edges, block_size),
        total * block_size,
        [Panel(title, values, SHARES, SHARE_BANDS, none) for title, values, none in panels] if total else [],
    )
