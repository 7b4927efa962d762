"""`drystone era picture`: when each part of a device was last written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from drystone.cli.output import HELP, json_option, print_json
from drystone.cli.picture.options import pick_cells, picture_options, show_picture
from drystone.cli.tools.plain.era_input import open_era

if TYPE_CHECKING:
    from drystone.cli.picture.panel import Picture
    from drystone.formats.era.picture import EraCells


@click.command(context_settings=HELP)
@click.argument("file", type=click.Path())
@click.option("-m", "--metadata-snapshot", "held", is_flag=True, help="Draw the held metadata snapshot.")
@picture_options
@json_option
def picture(file: str, *, held: bool, width: int | None, rows: int, png: str | None, as_json: bool) -> None:
    """Draw a device: in which era each part of it was last written.

    FILE is a metadata device that no era device uses, or a copy of one; with -m also one in use. A cell has the colour
    of its youngest block: dark is what was written lately.

    \b
    Examples:
      drystone era picture metadata.img
      drystone era picture -m --png device.png /dev/vg/dbmeta
      drystone era picture --json metadata.img
    """
    from drystone.formats.era.picture import draw_device

    columns, cells_wanted = pick_cells(width, rows, png)
    with open_era(file, held=held) as (device, superblock):
        cells = draw_device(device, superblock, cells_wanted)
    block_size = superblock.data_block_bytes
    if as_json:
        print_json(_describe(cells, file, block_size))
    if png is not None or not as_json:
        show_picture(_make_picture(cells, file, block_size), columns, rows, png)


def _describe(cells: EraCells, file: str, block_size: int) -> dict[str, object]:
    return {
        "file": file,
        "block_size": block_size,
        "nr_blocks": cells.nr_blocks,
        "current_era": cells.current_era,
        "written": int(cells.written.sum()),
        "cells": {
            "begin": cells.edges[:-1].tolist(),
            "end": cells.edges[1:].tolist(),
            "newest": cells.newest.tolist(),
            "written": cells.written.tolist(),
        },
    }


def _make_picture(cells: EraCells, file: str, block_size: int) -> Picture:
    import numpy as np

    from drystone.cli.picture.panel import Panel, Picture, spell_blocks, spell_cell, spell_size

    newest = cells.newest.astype(np.float64)
    eras = cells.newest[cells.newest > 0]
    oldest, latest = (int(eras.min()), int(eras.max())) if len(eras) else (0, 0)
    span = max(latest - oldest, 1)
    values = np.where(newest > 0, (newest - oldest) / span if latest > oldest else 1.0, np.nan)
    marks = sorted({oldest + span * step // 4 for step in range(5)} & set(range(oldest, latest + 1))) if latest else []
    stops = [((era - oldest) / span if latest > oldest else 1.0, f"era {era}") for era in marks]
    total, written = cells.nr_blocks, int(cells.written.sum())
    panel = Panel(
        "last written: era of the cell's youngest block", values, stops, _list_bands(oldest, latest), "never written"
    )
    return Picture(
        f"era device {file}",
        [
            f"{spell_size(total * block_size)} in {spell_blocks(total, block_size)}",
            f"{spell_size(written * block_size)} ever written; current era {cells.current_era}",
        ],
        spell_cell(cells.edges, block_size),
        total * block_size,
        [panel] if total else [],
    )


def _list_bands(oldest: int, latest: int) -> list[tuple[float, str]]:
    """Four bands of eras of about equal length, fewer where there are fewer eras; their highest values and labels."""
    if not latest:
        return []
    count = min(latest - oldest + 1, 4)
    highest = [oldest + (latest - oldest + 1) * (band + 1) // count - 1 for band in range(count)]
    lowest = [oldest, *(era + 1 for era in highest[:-1])]
    span = max(latest - oldest, 1)
    bands: list[tuple[float, str]] = []
    for low, high in zip(lowest, highest, strict=True):
        label = f"era {low}" if low == high else f"eras {low} to {high}"
        bands.append(((high - oldest) / span if latest > oldest else 1.0, label))
    return bands
