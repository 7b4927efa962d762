"""Flags of the picture commands, and how many cells they ask for."""

from __future__ import annotations

import shutil

import click

from drystone.cli.output import Function
from drystone.cli.picture.terminal import count_columns

HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

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
