"""A picture as a PNG file: panels with axes and a legend. Needs Pillow, the extra `drystone[picture]`."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import TYPE_CHECKING

from drystone.base.errors import UnsupportedError
from drystone.base.files import write_all
from drystone.cli.picture.panel import Panel, Picture, mix_colour, spell_size
from drystone.cli.tools.streams import open_output

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

    Font = FreeTypeFont | ImageFont

COLUMNS = 192
ROWS = 24
"""Cells of a panel, at most."""

_CELL = 6
"""Pixels of a cell's side."""
_LARGEST = 24
"""Pixels of it where there are few cells."""
_LEFT, _RIGHT, _TOP = 110, 24, 16
_WIDTH = COLUMNS * _CELL
_LINE = 24
_TITLE = 30
_AXIS = 26
_LEGEND = 40
_INK = (30, 30, 34)
_PALE = (110, 110, 116)
_PAPER = (255, 255, 255)
_LABELS = 4
"""Rows of cells from one label of the left axis to the next."""


def write_png(picture: Picture, path: Path) -> None:
    """Draw it and put it at `path`. Durable when it returns; a file that was there is replaced whole.

    :raises UnsupportedError: Pillow is not installed. :raises OSError: the file cannot be written.
    """
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError as error:
        raise UnsupportedError("a PNG needs Pillow", hint="pip install 'drystone[picture]'") from error
    lines = [*picture.facts, picture.cell]
    head = _TOP + _TITLE + _LINE * len(lines)
    bodies = [_TITLE + _AXIS + _measure_grid(panel)[1] + _LEGEND for panel in picture.panels]
    image = Image.new("RGB", (_LEFT + _WIDTH + _RIGHT, head + sum(bodies) + _TOP), _PAPER)
    draw = ImageDraw.Draw(image)
    small, large = ImageFont.load_default(14), ImageFont.load_default(20)
    draw.text((_LEFT, _TOP), _shorten(draw, picture.title, large), fill=_INK, font=large)
    for number, line in enumerate(lines):
        draw.text((_LEFT, _TOP + _TITLE + _LINE * number), line, fill=_PALE, font=small)
    for number, panel in enumerate(picture.panels):
        _draw_panel(draw, panel, picture.size, head + sum(bodies[:number]), small)
    data = io.BytesIO()
    image.save(data, "PNG", optimize=True)
    with open_output(str(path), durable=True) as file:
        write_all(file.fileno(), data.getvalue())


def _measure_grid(panel: Panel) -> tuple[int, int]:
    """Pixels of a cell's side, and of the grid's height."""
    cells = max(len(panel.values), 1)
    side = min(_LARGEST, _WIDTH // min(cells, COLUMNS))
    return side, -(-cells // COLUMNS) * side


def _shorten(draw: ImageDraw, text: str, font: Font) -> str:
    """The text, without its middle where it is too long for the picture."""
    kept = len(text)
    while kept and draw.textlength(text, font=font) > _WIDTH:
        kept -= 2
        text = f"{text[: kept // 4]}...{text[-kept // 2 :]}"
    return text


def _draw_panel(draw: ImageDraw, panel: Panel, size: int, top: int, font: Font) -> None:
    values = panel.values.tolist()
    side, height = _measure_grid(panel)
    columns = min(len(values), COLUMNS)
    grid = top + _TITLE + _AXIS
    draw.text((_LEFT, top + 4), panel.title, fill=_INK, font=font)
    frame = [(_LEFT - 1, grid - 1), (_LEFT + columns * side, grid + height)]
    draw.rectangle(frame, outline=_PALE)
    for quarter in range(5 if columns == COLUMNS else 1):
        column = columns * quarter // 4
        x = _LEFT + column * side
        draw.line([(x, grid - 6), (x, grid - 1)], fill=_PALE)
        label = f"+{spell_size(size * column // len(values))}" if column else "0"
        draw.text((x, grid - 7), label, fill=_PALE, font=font, anchor=("ls", "ms", "ms", "ms", "rs")[quarter])
    for row in range(0, height // side, _LABELS):
        y = grid + row * side
        draw.line([(_LEFT - 6, y), (_LEFT - 1, y)], fill=_PALE)
        label = spell_size(size * row * COLUMNS // len(values)) if row else "0"
        draw.text((_LEFT - 9, y + side // 2), label, fill=_PALE, font=font, anchor="rm")
    for place, value in enumerate(values[: COLUMNS * ROWS]):
        y, x = grid + place // COLUMNS * side, _LEFT + place % COLUMNS * side
        draw.rectangle([(x, y), (x + side - 1, y + side - 1)], fill=mix_colour(value))
    _draw_legend(draw, panel, grid + height + 10, font)


def _draw_legend(draw: ImageDraw, panel: Panel, top: int, font: Font) -> None:
    x = float(_LEFT)
    nothing = [(math.nan, panel.nothing)] if panel.nothing else []
    for value, label in [*panel.stops, *nothing]:
        draw.rectangle([(x, top), (x + 22, top + 14)], fill=mix_colour(value), outline=_PALE)
        draw.text((x + 30, top + 7), label, fill=_INK, font=font, anchor="lm")
        x += 30 + draw.textlength(label, font=font) + 28
