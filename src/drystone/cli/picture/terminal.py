"""A picture as text: two rows of cells a line by half blocks in colour, or one by shades where there is none."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from drystone.cli.picture.panel import Panel, Picture, mix_colour, spell_size

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

SHADES = " ░▒▓█"
NOTHING = "·"
LABEL = 10
"""Columns of the labels on the left."""

HALF = "▀"


def print_picture(picture: Picture, *, width: int, rows: int) -> None:
    """Print it on stdout, `width` columns wide; each panel has `rows` rows of cells, two a line in colour."""
    from rich.console import Console

    console = Console(file=sys.stdout, width=width, highlight=False)
    coloured = console.is_terminal and not console.no_color and console.color_system is not None
    console.print(picture.title, markup=False)
    for fact in picture.facts:
        console.print(fact, markup=False, soft_wrap=True)
    columns = count_columns(width)
    for panel in picture.panels:
        console.print()
        console.print(panel.title, markup=False, soft_wrap=True)
        for line in _draw(panel, picture.size, columns, rows, coloured=coloured):
            console.print(line, soft_wrap=True)
        _print_legend(console, panel, coloured=coloured)
    console.print()
    order = "from left to right, line by line, offsets on the left"
    console.print(f"{picture.cell}; {order}", markup=False, soft_wrap=True)


def count_columns(width: int) -> int:
    """Cells of a row in a terminal of `width` columns."""
    return max(width - LABEL - 1, 1)


def shade(value: float, bands: Sequence[tuple[float, str]]) -> str:
    """The character of a value from 0 to 1: the densest of those that as many bands need is the last band's."""
    if math.isnan(value):
        return NOTHING
    shades = SHADES[-len(bands) :]
    return next((each for each, (most, _) in zip(shades, bands, strict=True) if value <= most), shades[-1])


def _draw(panel: Panel, size: int, columns: int, rows: int, *, coloured: bool) -> Iterator[Text]:
    from rich.text import Text

    values = panel.values.tolist()
    lines = [values[begin : begin + columns] for begin in range(0, min(len(values), columns * rows), columns)]
    step = 2 if coloured else 1
    for place in range(0, len(lines), step):
        label = spell_size(size * place * columns // max(len(values), 1)) if place else "0"
        text = Text(f"{label:>{LABEL}} ")
        if coloured:
            _add_halves(text, lines[place], lines[place + 1] if place + 1 < len(lines) else [])
        else:
            text.append("".join(shade(value, panel.bands) for value in lines[place]))
        yield text


def _add_halves(text: Text, above: Sequence[float], below: Sequence[float]) -> None:
    for place, value in enumerate(above):
        style = f"rgb({','.join(map(str, mix_colour(value)))})"
        if place < len(below):
            style += f" on rgb({','.join(map(str, mix_colour(below[place])))})"
        text.append(HALF, style=style)


def _print_legend(console: Console, panel: Panel, *, coloured: bool) -> None:
    from rich.text import Text

    text = Text(" " * (LABEL + 1))
    if coloured:
        for value, label in panel.stops:
            text.append("██", style=f"rgb({','.join(map(str, mix_colour(value)))})")
            text.append(f" {label}   ")
        if panel.nothing:
            text.append("██", style=f"rgb({','.join(map(str, mix_colour(math.nan)))})")
            text.append(f" {panel.nothing}")
    else:
        marks = [(SHADES[place - len(panel.bands)], label) for place, (_, label) in enumerate(panel.bands)]
        if panel.nothing:
            marks.append((NOTHING, panel.nothing))
        text.append("   ".join(f"[{mark}] {label}" for mark, label in marks))
    text.rstrip()
    console.print(text, soft_wrap=True)
