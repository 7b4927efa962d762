"""A picture as a PNG file: panels with axes and a legend. Needs Pillow, the extra `drystone[picture]`."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import TYPE_CHECKING

from drystone.base.errors import UnsupportedError
from drystone.base.files import replace_file
from drystone.cli.picture.panel import Panel, Picture, mix_colour, spell_size

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

    Font = FreeTypeFont | ImageFont

COLUMNS = 192
ROWS = 24
"""Cells of a panel."""

_CELL = 6
"""Pixels of a cell's side."""
_LEFT, _RIGHT, _TOP = 110, 24, 16
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
    width = _LEFT + COLUMNS * _CELL + _RIGHT
    head = _TOP + _TITLE + _LINE * (len(picture.facts) + 1)
    body = _TITLE + _AXIS + ROWS * _CELL + _LEGEND
    image = Image.new("RGB", (width, head + body * len(picture.panels) + _TOP), _PAPER)
    draw = ImageDraw.Draw(image)
    small, large = ImageFont.load_default(14), ImageFont.load_default(20)
    draw.text((_LEFT, _TOP), picture.title, fill=_INK, font=large)
    for number, fact in enumerate([*picture.facts, f"{picture.cell}; from left to right, row by row"]):
        draw.text((_LEFT, _TOP + _TITLE + _LINE * number), fact, fill=_PALE, font=small)
    for number, panel in enumerate(picture.panels):
        _draw_panel(draw, panel, picture.size, head + body * number, small)
    data = io.BytesIO()
    image.save(data, "PNG", optimize=True)
    replace_file(path, data.getvalue(), mode=0o644)


def _draw_panel(draw: ImageDraw, panel: Panel, size: int, top: int, font: Font) -> None:
    values = panel.values.tolist()
    draw.text((_LEFT, top + 4), panel.title, fill=_INK, font=font)
    grid = top + _TITLE + _AXIS
    cells = max(len(values), 1)
    rows = -(-len(values) // COLUMNS)
    for column in range(0, COLUMNS + 1, COLUMNS // 4):
        x = _LEFT + column * _CELL
        draw.line([(x, grid - 5), (x, grid - 1)], fill=_PALE)
        if column < COLUMNS or rows == 1:
            label = f"+{spell_size(size * min(column, cells) // cells)}" if column else "0"
            draw.text((x, grid - 7), label, fill=_PALE, font=font, anchor="ms" if column else "ls")
    for row in range(0, rows, _LABELS):
        y = grid + row * _CELL
        draw.line([(_LEFT - 5, y), (_LEFT - 1, y)], fill=_PALE)
        label = spell_size(size * row * COLUMNS // cells) if row else "0"
        draw.text((_LEFT - 9, y + _CELL // 2), label, fill=_PALE, font=font, anchor="rm")
    for place, value in enumerate(values[: COLUMNS * ROWS]):
        y, x = grid + place // COLUMNS * _CELL, _LEFT + place % COLUMNS * _CELL
        draw.rectangle([(x, y), (x + _CELL - 1, y + _CELL - 1)], fill=mix_colour(value))
    _draw_legend(draw, panel, grid + max(rows, 1) * _CELL + 10, font)


def _draw_legend(draw: ImageDraw, panel: Panel, top: int, font: Font) -> None:
    x = float(_LEFT)
    nothing = [(math.nan, panel.nothing)] if panel.nothing else []
    for value, label in [*panel.stops, *nothing]:
        draw.rectangle([(x, top), (x + 22, top + 14)], fill=mix_colour(value), outline=_PALE)
        draw.text((x + 30, top + 7), label, fill=_INK, font=font, anchor="lm")
        x += 30 + draw.textlength(label, font=font) + 28
