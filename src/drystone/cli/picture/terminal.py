"""A picture as text: two rows of cells a line by half blocks in colour, or one by shades where colours are too few."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from drystone.cli.picture.panel import Panel, Picture, mix_colour, spell_size

if TYPE_CHECKING:
    from rich.text import Text

LABEL = 8
"""Columns of the offsets on the left: `1023 GiB`."""

HALF = "▀"
_SWATCH = "██"
_GAP = "   "


@dataclass(frozen=True, slots=True)
class Marks:
    """The characters of a picture without colour.

    :ivar shades: five, from blank to dense. :ivar nothing: of a cell with nothing to tell. :ivar edge: of each row.
    """

    shades: str
    nothing: str
    edge: str


BLOCKS = Marks(" ░▒▓█", "·", "│")
ASCII = Marks(" .:+#", "-", "|")
"""For an output whose encoding has no others."""


def print_picture(picture: Picture, *, width: int, rows: int) -> None:
    """Print it on stdout, `width` columns wide; each panel has `rows` rows of cells, two a line in colour."""
    from rich.console import Console

    console = Console(file=sys.stdout, width=width, highlight=False)
    marks = pick_marks(sys.stdout.encoding)
    # With 16 colours several of ours are one; shades tell more.
    many = console.color_system in {"256", "truecolor"}
    coloured = console.is_terminal and not console.no_color and many and marks is BLOCKS
    for line in [picture.title, *picture.facts]:
        console.print(line, markup=False, soft_wrap=True)
    columns = count_columns(width)
    for panel in picture.panels:
        console.print(f"\n{panel.title}", markup=False, soft_wrap=True)
        for row in _draw(panel, picture.size, columns, rows, None if coloured else marks):
            console.print(row, soft_wrap=True)
        for entries in _draw_legend(panel, width, None if coloured else marks):
            console.print(entries, soft_wrap=True)
    console.print(f"\n{picture.cell}", markup=False, soft_wrap=True)


def count_columns(width: int) -> int:
    """Cells of a row in a terminal of `width` columns: what the offsets, a blank and two edges leave."""
    return max(width - LABEL - 3, 1)


def pick_marks(encoding: str) -> Marks:
    """The best characters that an output of this encoding can show."""
    try:
        (BLOCKS.shades + BLOCKS.nothing + BLOCKS.edge + HALF).encode(encoding)
    except UnicodeEncodeError:
        return ASCII
    return BLOCKS


def shade(value: float, bands: Sequence[tuple[float, str]], marks: Marks = BLOCKS) -> str:
    """The character of a value from 0 to 1: the densest of those that as many bands need is the last band's."""
    if math.isnan(value):
        return marks.nothing
    shades = marks.shades[-len(bands) :]
    return next((each for each, (most, _) in zip(shades, bands, strict=True) if value <= most), shades[-1])


def _draw(panel: Panel, size: int, columns: int, rows: int, marks: Marks | None) -> Iterator[Text]:
    """The lines of a panel: in colour when there are no marks."""
    from rich.text import Text

    values = panel.values.tolist()
    lines = [values[begin : begin + columns] for begin in range(0, min(len(values), columns * rows), columns)]
    edge = BLOCKS.edge if marks is None else marks.edge
    for place in range(0, len(lines), 2 if marks is None else 1):
        label = spell_size(size * place * columns // len(values)) if place else "0"
        text = Text(f"{label:>{LABEL}} {edge}")
        if marks is None:
            _add_halves(text, lines[place], lines[place + 1] if place + 1 < len(lines) else [])
        else:
            text.append("".join(shade(value, panel.bands, marks) for value in lines[place]))
        text.append(edge)
        yield text


def _add_halves(text: Text, above: Sequence[float], below: Sequence[float]) -> None:
    for place, value in enumerate(above):
        style = _style(value)
        if place < len(below):
            style += f" on {_style(below[place])}"
        text.append(HALF, style=style)


def _draw_legend(panel: Panel, width: int, marks: Marks | None) -> Iterator[Text]:
    """The legend, an entry after the other, in as many lines as the width asks for."""
    from rich.text import Text

    entries: list[Text] = []
    if marks is None:
        stops = [*panel.stops, *([(math.nan, panel.nothing)] if panel.nothing else [])]
        entries += [Text.assemble((_SWATCH, _style(value)), f" {label}") for value, label in stops]
    else:
        shades = marks.shades[len(marks.shades) - len(panel.bands) :]
        named = [*zip(shades, (label for _, label in panel.bands), strict=True)]
        named += [(marks.nothing, panel.nothing)] if panel.nothing else []
        entries += [Text(f"[{mark}] {label}") for mark, label in named]
    margin = " " * (LABEL + 2)
    line = Text(margin)
    for entry in entries:
        gap = _GAP if len(line) > len(margin) else ""
        if gap and len(line) + len(gap) + len(entry) > width:
            yield line
            line, gap = Text(margin), ""
        line.append(gap).append_text(entry)
    yield line


def _style(value: float) -> str:
    return f"rgb({','.join(map(str, mix_colour(value)))})"
