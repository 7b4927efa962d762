"""Flags of the picture commands, how many cells they ask for, and where the picture goes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from drystone.cli.output import Function
from drystone.cli.picture.terminal import count_columns, print_picture

if TYPE_CHECKING:
    from drystone.cli.picture.panel import Picture

_NARROWEST = 40


def picture_options(function: Function) -> Function:
    """--width, --rows and --png."""
    for option in reversed(
        [
            click.option(
                "--width", type=click.IntRange(_NARROWEST, 1000), metavar="N", help="Columns; the terminal's."
            ),
            click.option("--rows", type=click.IntRange(1, 200), default=8, show_default=True, help="Rows of a panel."),
            click.option("--png", type=click.Path(), metavar="FILE", help="Write a PNG there instead."),
        ]
    ):
        function = option(function)
    return function


def pick_cells(width: int | None, rows: int, png: str | None) -> tuple[int, int]:
    """Columns of text, and cells of a panel."""
    columns = width if width is not None else max(shutil.get_terminal_size().columns, _NARROWEST)
    if png is not None:
        from drystone.cli.picture.png import COLUMNS, ROWS

        return columns, COLUMNS * ROWS
    return columns, count_columns(columns) * rows


def show_picture(picture: Picture, columns: int, rows: int, png: str | None) -> None:
    """Write it to the file `png`, or print it, `columns` wide with panels of `rows`."""
    if png is not None:
        from drystone.cli.picture.png import write_png

        write_png(picture, Path(png))
    else:
        print_picture(picture, width=columns, rows=rows)
