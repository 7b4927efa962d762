"""Finding regular lines in text and reading the numbers in them, all lines of a chunk at once.

Where the quotes of a line are tells where its numbers are. Of lines that have the right number of quotes and the right
length the numbers are read, eight digits at a time out of one 64-bit word. Then the lines are written anew out of those
numbers and compared with what is there: what is equal byte by byte was regular, and nothing else needs to be checked.
Cost: about 200 ns a line. Memory: some ten times the chunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drystone.formats.xml.elements import RowKind
from drystone.formats.xml.rows import MOST_DIGITS, count_digits, write_rows

MARGIN = 24
"""Bytes that must be before the first line, of any content: three words of digits may reach back so far."""

IRREGULAR = 255
"""Instead of a kind's number: a line that is none of the kinds."""

_QUOTE = ord('"')
_NEWLINE = ord("\n")
_WORD = 8
_ZEROS = np.uint64(0x3030303030303030)


@dataclass(frozen=True, slots=True)
class FoundLines:
    """What is in a text of whole lines.

    :ivar ends: int64: one past the newline of each line. :ivar kinds: uint8: for each line the number of its kind, or
        IRREGULAR. :ivar columns: for each kind the columns of its lines, in order: uint64.
    """

    ends: NDArray[np.int64]
    kinds: NDArray[np.uint8]
    columns: list[list[NDArray[np.uint64]]]


@dataclass(frozen=True, slots=True)
class _Lines:
    """Lines by their places in the text.

    :ivar begins: int64. :ivar ends: one past the newline. :ivar quotes: places of all quotes and newlines.
    :ivar first: index in `quotes` of the first of each line. :ivar counts: quotes in each line.
    """

    begins: NDArray[np.int64]
    ends: NDArray[np.int64]
    quotes: NDArray[np.int64]
    first: NDArray[np.int64]
    counts: NDArray[np.int64]


def find_lines(buffer: NDArray[np.uint8], kinds: Sequence[RowKind]) -> FoundLines:
    """Lines in buffer[MARGIN:], which ends with a newline; what is before that is not looked at."""
    text = buffer[MARGIN:]
    lines = _split(text)
    found = np.full(len(lines.ends), IRREGULAR, dtype=np.uint8)
    columns: list[list[NDArray[np.uint64]]] = []
    again = np.zeros(len(text), dtype=np.uint8)
    fit: list[tuple[NDArray[np.int64], list[NDArray[np.uint64]]]] = []
    for number, kind in enumerate(kinds):
        rows, begins, widths = _find_cells(lines, kind)
        numbers = [_read_numbers(buffer, begin + width, width) for begin, width in zip(begins, widths, strict=True)]
        same = np.ones(len(rows), dtype=np.bool_)
        for column, width in zip(numbers, widths, strict=True):
            same &= count_digits(column) == width
        if not same.all():
            rows = rows[same]
            numbers = [column[same] for column in numbers]
            widths = [width[same] for width in widths]
        write_rows(again, lines.begins[rows], kind.make_template(), numbers, widths)
        found[rows] = number
        fit.append((rows, numbers))
    _drop_unequal(found, lines, text, again)
    for number, (rows, numbers) in enumerate(fit):
        sound = found[rows] == number
        columns.append(numbers if sound.all() else [column[sound] for column in numbers])
    return FoundLines(lines.ends, found, columns)


def _split(text: NDArray[np.uint8]) -> _Lines:
    places = np.flatnonzero((text == _QUOTE) | (text == _NEWLINE))
    newlines = np.flatnonzero(text[places] == _NEWLINE)
    ends = places[newlines] + 1
    begins = np.concatenate(([0], ends[:-1]))
    first = np.concatenate(([0], newlines[:-1] + 1))
    return _Lines(begins, ends, places, first, newlines - first)


def _find_cells(
    lines: _Lines, kind: RowKind
) -> tuple[NDArray[np.int64], list[NDArray[np.int64]], list[NDArray[np.int64]]]:
    """Lines that have the quotes and the length of a kind's: which, and where in the text their cells begin, and how
    wide those are."""
    template = kind.make_template()
    rows = np.flatnonzero(lines.counts == 2 * (template.cells + len(kind.fixed)))
    first = lines.first[rows]
    begins, widths = [], []
    length = np.full(len(rows), template.size, dtype=np.int64)
    possible = np.ones(len(rows), dtype=np.bool_)
    for cell in range(template.cells):
        begin = lines.quotes[first + 2 * cell] + 1
        width = lines.quotes[first + (2 * cell + 1)] - begin
        possible &= (width > 0) & (width <= MOST_DIGITS)
        length += width
        begins.append(begin)
        widths.append(width)
    possible &= lines.ends[rows] - lines.begins[rows] == length
    if possible.all():
        return rows, begins, widths
    return rows[possible], [each[possible] for each in begins], [each[possible] for each in widths]


def _read_numbers(buffer: NDArray[np.uint8], ends: NDArray[np.int64], widths: NDArray[np.int64]) -> NDArray[np.uint64]:
    """The numbers whose digits end at `ends`, counted from MARGIN on; of no meaning where there are others."""
    words: NDArray[np.uint64] = np.ndarray((len(buffer) - _WORD + 1,), "<u8", buffer, strides=(1,))
    most = int(widths.max(initial=0))
    total = np.zeros(len(ends), dtype=np.uint64)
    for group in range(-(-most // _WORD)):
        digits = np.clip(widths - _WORD * group, 0, _WORD).astype(np.uint64)
        word = words[ends + (MARGIN - _WORD * (group + 1))]
        total += _read_digits(word, digits) * np.uint64(10 ** (_WORD * group))
    return total


def _read_digits(word: NDArray[np.uint64], digits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The number that the last `digits` characters of each word spell: first pairs, then fours, then all eight.

    The word's lowest byte is the first character, so the leading digits are in its low bits.
    """
    unused = (np.uint64(_WORD) - digits) << np.uint64(3)
    word ^= _ZEROS
    word >>= unused
    word <<= unused
    for mask, shift, weight in (
        (0x00FF00FF00FF00FF, 8, 10),
        (0x0000FFFF0000FFFF, 16, 100),
        (0x00000000FFFFFFFF, 32, 10_000),
    ):
        word = (word & np.uint64(mask)) * np.uint64(weight) + ((word >> np.uint64(shift)) & np.uint64(mask))
    return word


def _drop_unequal(found: NDArray[np.uint8], lines: _Lines, text: NDArray[np.uint8], again: NDArray[np.uint8]) -> None:
    """Make those lines irregular that are not what their numbers would be written as."""
    if not len(found):
        return
    differs = np.flatnonzero(text != again)
    if not len(differs):
        return
    wrong = np.searchsorted(lines.ends, differs, side="right")
    found[wrong] = IRREGULAR
