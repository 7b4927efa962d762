"""Rows of text that are numbered from one block to the next, made and read many at a time.

A dump of era metadata is nearly all rows like `    <era block="17" era="3"/>`: the numbers count up by one, and only
the cell at the end is news. So a matrix of bytes, a row a line, is kept for 10,000 rows whose numbers end in 0000 to
9999. From one such group to the next only the columns of the leading digits and of the cells are written. Cells of less
than the full width have NULs in front, which are taken out at the end.

Reading goes the other way round: where a line ends tells how wide its cell is, the cells are taken from there, and the
text that they would make is compared with what is there. What differs by a byte is left to an XML parser.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

GROUP = 10_000
"""Rows at once: half a megabyte of text, which stays in a core's cache."""

_GROUP_DIGITS = 4
_ZERO = 48

Cells = NDArray[np.uint8]
"""Shape (n, width): the characters of n cells, with NULs in front of those that are shorter."""

ReadCells = Callable[[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]], tuple[NDArray[Any], Cells]]
"""From a text, the places where cells end in it, and their widths: the values of the first cells, as many as have a
possible width, and the cells that these values make."""


class NumberedRows:
    """Rows `before NUMBER between CELL after`, a line each. Not for several threads at once.

    :param before: up to the number. :param between: from the number to the cell. :param after: the rest, with newline.
    """

    def __init__(self, before: bytes, between: bytes, after: bytes) -> None:
        self.before = before
        self.between = between
        self.after = after
        self._templates: dict[tuple[int, int], Cells] = {}

    def format(self, begin: int, cells: Cells) -> bytes:
        """The rows `begin`, `begin + 1` and so on, one for each of `cells`."""
        parts: list[bytes] = []
        done = 0
        while done < len(cells):
            count = min(_count_alike(begin + done), len(cells) - done)
            parts.append(self._format_group(begin + done, cells[done : done + count]))
            done += count
        return b"".join(parts)

    def match(
        self, text: NDArray[np.uint8], ends: NDArray[np.int64], start: int, begin: int, read: ReadCells
    ) -> NDArray[Any]:
        """The values of the rows `begin`, `begin + 1` and so on that are at the head of `text[start:]`, byte by byte.

        At most one group of rows is looked at; none match: an empty array.

        :param ends: where the newlines from `start` on are. :param read: takes the values out of cells.
        """
        count = min(_count_alike(begin), len(ends))
        ends = ends[:count]
        fixed = len(self.before) + len(str(begin)) + len(self.between) + len(self.after)
        widths = np.diff(ends, prepend=start - 1) - fixed
        values, cells = read(text, ends + (1 - len(self.after)), widths)
        if not len(values):
            return values
        there = text[start : ends[len(values) - 1] + 1]
        due = self._format_group(begin, cells)
        if due == there.tobytes():
            return values
        shared = min(len(due), len(there))
        wrong = np.frombuffer(due[:shared], dtype=np.uint8) != there[:shared]
        differs = int(np.argmax(np.append(wrong, True)))
        return values[: int(np.searchsorted(ends, start + differs))]

    def _format_group(self, begin: int, cells: Cells) -> bytes:
        digits = len(str(begin))
        width = cells.shape[1]
        template = self._templates.get((digits, width))
        if template is None:
            template = self._templates[digits, width] = self._make_template(digits, width)
        first = begin % GROUP
        rows = template[first : first + len(cells)]
        if digits > _GROUP_DIGITS:
            leading = np.frombuffer(str(begin // GROUP).encode(), dtype=np.uint8)
            rows[:, len(self.before) : len(self.before) + len(leading)] = leading
        at = len(self.before) + digits + len(self.between)
        rows[:, at : at + width] = cells
        text = rows.tobytes()
        return text if cells.all() else text.replace(b"\0", b"")

    def _make_template(self, digits: int, width: int) -> Cells:
        """GROUP rows with the last four digits of their numbers, or as many of them as there are."""
        blank = self.before + b"0" * digits + self.between + b"\0" * width + self.after
        template = np.tile(np.frombuffer(blank, dtype=np.uint8), (GROUP, 1))
        numbers = np.arange(GROUP)
        for place in range(min(digits, _GROUP_DIGITS)):
            template[:, len(self.before) + digits - 1 - place] += (numbers // 10**place % 10).astype(np.uint8)
        return template


def read_bits(
    text: NDArray[np.uint8], ends: NDArray[np.int64], widths: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], Cells]:
    """Cells `true` and `false`, told by their width alone. See ReadCells."""
    del text, ends
    bits = widths[: _count_leading((widths == _TRUE_WIDTH) | (widths == _TRUE_WIDTH + 1))] == _TRUE_WIDTH
    return bits, spell_bits(bits)


def read_numbers(
    text: NDArray[np.uint8], ends: NDArray[np.int64], widths: NDArray[np.int64]
) -> tuple[NDArray[np.uint32], Cells]:
    """Cells with decimal numbers of 32 bits. See ReadCells."""
    count = _count_leading((widths > 0) & (widths <= _MOST_DIGITS))
    values = np.zeros(count, dtype=np.uint64)
    ends, widths = ends[:count], widths[:count]
    for place in range(int(widths.max(initial=0))):
        digits = text[np.maximum(ends - 1 - place, 0)].astype(np.uint64) - np.uint64(_ZERO)
        values += np.where(widths > place, digits, 0) * np.uint64(10**place)
    values = values[: _count_leading(values < 1 << 32)]
    found = values.astype(np.uint32)
    return found, spell_numbers(found)


def spell_bits(bits: NDArray[np.bool_]) -> Cells:
    """`true` and `false`."""
    return _BITS.take(bits, axis=0)


def spell_numbers(numbers: NDArray[np.unsignedinteger[Any]]) -> Cells:
    """Decimal digits of `numbers`, as wide as the largest."""
    width = len(str(int(numbers.max(initial=0))))
    groups = -(-width // _GROUP_DIGITS)
    spelt = np.empty((len(numbers), groups), dtype=np.uint32)
    rest = numbers
    for place in reversed(range(groups)):
        more = rest // GROUP
        group = (rest - more * GROUP).astype(np.int64)
        if place == groups - 1:
            shown = group + GROUP * (more > 0)
        else:
            shown = np.where(more > 0, group + GROUP, np.where(group > 0, group, _NOTHING))
        _SPELT.take(shown, out=spelt[:, place], mode="clip")
        rest = more
    return spelt.view(np.uint8)[:, groups * _GROUP_DIGITS - width :]


def _count_leading(sound: NDArray[np.bool_]) -> int:
    """How many are True before the first False."""
    return int(np.argmin(np.append(sound, False)))


def _count_alike(begin: int) -> int:
    """Rows from `begin` on whose numbers have as many digits and the same leading ones."""
    if begin < GROUP:
        return int(10 ** len(str(begin))) - begin
    return GROUP - begin % GROUP


def _spell_groups() -> NDArray[np.uint32]:
    """Four characters each: 0 to 9999 with NULs in front, then with zeros in front, then nothing but NULs."""
    numbers = np.arange(GROUP)
    powers = 10 ** np.arange(_GROUP_DIGITS - 1, -1, -1)
    digits = (numbers[:, None] // powers % 10 + _ZERO).astype(np.uint8)
    short = np.where((numbers[:, None] >= powers) | (powers == 1), digits, np.uint8(0))
    return np.concatenate((short, digits, np.zeros((1, _GROUP_DIGITS), dtype=np.uint8))).view(np.uint32).reshape(-1)


_TRUE_WIDTH = len("true")
_BITS = np.array([list(b"false"), list(b"\0true")], dtype=np.uint8)
_MOST_DIGITS = 10
_NOTHING = 2 * GROUP
_SPELT = _spell_groups()
