"""Rows of text with numbers in them, made out of columns of integers: no Python statement runs once a row.

    SINGLE = RowTemplate((b'<single_mapping origin_block="', b'" data_block="', b'" time="', b'"/>\\n'))
    format_rows(SINGLE, [origin, data, time])          uint8 array of all rows' text, one after the other

How: rows whose cells have the same widths are equally long. Such a class of rows is made as an array of records: the
template is copied into each, the digits into their fields, four at a time out of a table. The records then go to their
offsets in the text, which are the running sum of all rows' lengths. Neighbouring rows are mostly of a few classes, so
that is some dozen numpy calls for a batch. Cost: some 100 ns a row of three
numbers. Memory: the text of the batch, twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Text = NDArray[np.uint8]
"""Characters, one dimension. Goes to `write` as it is: it is a buffer."""

Column = NDArray[Any]
"""Unsigned integers, one for each row."""

MOST_DIGITS = 20
"""Digits of the largest 64-bit number."""

_GROUP = 10_000
_POWERS = np.array([10**exponent for exponent in range(1, MOST_DIGITS)], dtype=np.uint64)
_SMALL = 1 << 32


@dataclass(frozen=True, slots=True)
class RowTemplate:
    """What is around the numbers of a row: one piece more than there are numbers; the last one ends the line.

    No piece may be empty between two numbers.
    """

    pieces: tuple[bytes, ...]

    @property
    def cells(self) -> int:
        """Numbers in a row."""
        return len(self.pieces) - 1

    @property
    def size(self) -> int:
        """Bytes of a row without its numbers."""
        return sum(map(len, self.pieces))


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one template among others in a text.

    :ivar places: int64, ascending: which rows of the text they are. :ivar columns: one for each cell.
    """

    template: RowTemplate
    places: NDArray[np.int64]
    columns: Sequence[Column]


def count_digits(numbers: Column) -> NDArray[np.int64]:
    """Decimal digits of each number; 1 for 0."""
    if not len(numbers):
        return np.zeros(0, dtype=np.int64)
    least, most = (len(str(int(each))) for each in (numbers.min(), numbers.max()))
    digits = np.full(len(numbers), least, dtype=np.int64)
    for power in _POWERS[least - 1 : most - 1]:
        digits += numbers >= power
    return digits


def format_rows(template: RowTemplate, columns: Sequence[Column]) -> Text:
    """The text of all rows of one template; `columns` are of one length."""
    return format_mixed(len(columns[0]), [Rows(template, np.arange(len(columns[0])), columns)])


def format_mixed(count: int, parts: Sequence[Rows]) -> Text:
    """The text of `count` rows of several templates; every row is in the places of just one part."""
    lengths = np.zeros(count + 1, dtype=np.int64)
    widths = [[count_digits(column) for column in part.columns] for part in parts]
    for part, digits in zip(parts, widths, strict=True):
        total = np.full(len(part.places), part.template.size, dtype=np.int64)
        for each in digits:
            total += each
        lengths[part.places + 1] = total
    offsets = np.cumsum(lengths)
    text = np.empty(int(offsets[-1]), dtype=np.uint8)
    for part, digits in zip(parts, widths, strict=True):
        write_rows(text, offsets[part.places], part.template, part.columns, digits)
    return text


def write_rows(
    text: Text,
    offsets: NDArray[np.int64],
    template: RowTemplate,
    columns: Sequence[Column],
    widths: Sequence[NDArray[np.int64]],
) -> None:
    """Put rows into `text` at `offsets`; `widths` are what count_digits says of each column."""
    for shape, which in _group_rows(widths, len(offsets)):
        part = [column if which is None else column[which] for column in columns]
        there = offsets if which is None else offsets[which]
        records = _make_records(template, shape, part, len(there))
        size = records.dtype.itemsize
        if len(there) and int(there[-1]) - int(there[0]) == size * (len(there) - 1):
            begin = int(there[0])
            text[begin : begin + size * len(there)] = records.view(np.uint8)
            continue
        # Every place in the text where a record may begin, as an array that overlaps itself.
        targets: NDArray[Any] = np.ndarray((len(text) - size + 1,), records.dtype, text, strides=(1,))
        targets[there] = records


def _group_rows(
    widths: Sequence[NDArray[np.int64]], count: int
) -> list[tuple[tuple[int, ...], NDArray[np.int64] | None]]:
    """(widths of the cells, which rows), for each combination that there is; None for all rows."""
    if not count:
        return []
    bounds = [(int(each.min()), int(each.max())) for each in widths]
    if all(least == most for least, most in bounds):
        return [(tuple(least for least, _ in bounds), None)]
    codes = np.zeros(count, dtype=np.int64)
    for each, (least, most) in zip(widths, bounds, strict=True):
        codes *= most - least + 1
        codes += each
        codes -= least
    largest = int(codes.max())
    narrow = codes.astype(np.uint8 if largest < 1 << 8 else np.uint16 if largest < 1 << 16 else np.uint32)
    order = np.argsort(narrow, kind="stable")
    cuts = np.flatnonzero(np.diff(narrow[order])) + 1
    return [(tuple(int(each[which[0]]) for each in widths), which) for which in np.split(order, cuts)]


def _make_records(template: RowTemplate, shape: tuple[int, ...], columns: Sequence[Column], count: int) -> NDArray[Any]:
    blank, kind = _make_blank(template, shape)
    records = np.full(count, blank)
    fields = records.view(kind)
    for number, (column, width) in enumerate(zip(columns, shape, strict=True)):
        fields[f"c{number}"] = spell(column, width)
    return records


@cache
def _make_blank(template: RowTemplate, shape: tuple[int, ...]) -> tuple[Any, np.dtype[Any]]:
    """A row with zeros for digits, as one value of a void type; and the record type with a field for each cell."""
    text = template.pieces[0]
    begins: list[int] = []
    for width, piece in zip(shape, template.pieces[1:], strict=True):
        begins.append(len(text))
        text += b"0" * width + piece
    kind = np.dtype(
        {
            "names": [f"c{number}" for number in range(len(shape))],
            "formats": [f"V{width}" for width in shape],
            "offsets": begins,
            "itemsize": len(text),
        }
    )
    return np.frombuffer(text, dtype=f"V{len(text)}")[0], kind


def spell(numbers: Column, width: int) -> NDArray[Any]:
    """The last `width` digits of each number, as values of the type V`width`."""
    groups = -(-width // 4)
    digits = np.empty((len(numbers), groups), dtype=np.uint32)
    rest = numbers.astype(np.uint32) if width < 10 and numbers.dtype != np.uint32 else numbers
    for group in reversed(range(1, groups)):
        more = rest // np.asarray(_GROUP, dtype=rest.dtype)
        digits[:, group] = _DIGITS[rest - more * np.asarray(_GROUP, dtype=rest.dtype)]
        rest = more
    digits[:, 0] = _DIGITS[rest]
    return np.ndarray((len(numbers),), f"V{width}", digits, 4 * groups - width, (4 * groups,))


def _make_digits() -> NDArray[np.uint32]:
    """Four characters for each of 0 to 9999, as one number in the order of memory."""
    numbers = np.arange(_GROUP)
    characters = np.stack([numbers // power % 10 + ord("0") for power in (1000, 100, 10, 1)], axis=1)
    return np.ascontiguousarray(characters.astype(np.uint8)).view(np.uint32).reshape(-1)


_DIGITS = _make_digits()
