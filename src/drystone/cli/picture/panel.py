"""What is drawn: panels of cells, each with a scale that its legend tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Colour = tuple[int, int, int]

LOW: Colour = (233, 239, 247)
MIDDLE: Colour = (92, 150, 200)
HIGH: Colour = (10, 40, 98)
NOTHING: Colour = (222, 196, 140)
"""One hue from light to dark, so that it reads without colour and for every kind of colour vision; nothing to tell is
sand, which differs from the blues in hue and from both ends in lightness.
"""


@dataclass(frozen=True, slots=True)
class Panel:
    """One grid of cells, row by row from the top left.

    :ivar title: what the colour tells. :ivar values: float64 a cell, 0 to 1; NaN where there is nothing to tell.
    :ivar stops: (value, label) of the legend in colour, ascending. :ivar nothing: the legend's word for NaN, empty
        where there is none.
    :ivar bands: (highest value, label) of each shade where there is no colour, ascending; at most 5, the last is 1.
    """

    title: str
    values: NDArray[np.float64]
    stops: Sequence[tuple[float, str]]
    bands: Sequence[tuple[float, str]]
    nothing: str


SHARES: Sequence[tuple[float, str]] = [(step / 4, f"{step * 25} %") for step in range(5)]
SHARE_BANDS: Sequence[tuple[float, str]] = [
    (0.0, "0 %"),
    (1 / 3, "to 33 %"),
    (2 / 3, "to 67 %"),
    (1 - 1e-9, "below 100 %"),
    (1.0, "100 %"),
]
"""Legends of values that are shares. Only none at all is blank, and only all is full."""


@dataclass(frozen=True, slots=True)
class Picture:
    """Panels over the same cells.

    :ivar title: one line: what it is a picture of. :ivar facts: lines with sums.
    :ivar cell: what a cell is, for the legend: `a cell is 12 blocks, 768 KiB`.
    :ivar size: bytes that all cells together stand for; the axes' unit.
    """

    title: str
    facts: Sequence[str]
    cell: str
    size: int
    panels: Sequence[Panel]


def mix_colour(value: float) -> Colour:
    """The colour of a value from 0 to 1; of NaN that of nothing."""
    if value != value:  # NaN
        return NOTHING
    low, high, rest = (LOW, MIDDLE, value * 2) if value <= 0.5 else (MIDDLE, HIGH, value * 2 - 1)
    red, green, blue = (round(a + (b - a) * rest) for a, b in zip(low, high, strict=True))
    return red, green, blue


def spell_size(size: int) -> str:
    """Bytes in the largest binary unit that leaves 1 or more, with at most one decimal; at most 8 characters."""
    units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
    power = min(max(size.bit_length() - 1, 0) // 10, len(units) - 1)
    amount = size / 1024**power
    whole = amount == int(amount) or amount >= 99.95
    return f"{amount:.0f} {units[power]}" if whole else f"{amount:.1f} {units[power]}"


def spell_blocks(number: int, block_size: int) -> str:
    """So many blocks of so many bytes: `2000 blocks of 64 KiB`."""
    return f"{number} block{'' if number == 1 else 's'} of {spell_size(block_size)}"


def spell_cell(edges: NDArray[np.uint64], block_size: int) -> str:
    """What a cell is: blocks and bytes; `block_size` in bytes."""
    import numpy as np

    sizes = np.diff(edges)
    if not len(sizes):
        return "there are no blocks to draw"
    least, most = int(sizes.min()), int(sizes.max())
    either = "" if least == most else f"{least} or "
    return f"a cell is {either}{spell_blocks(most, block_size)}, row by row from the left"
