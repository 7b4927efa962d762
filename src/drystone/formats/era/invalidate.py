"""What `era_invalidate` prints: the blocks that may have been written since an era, as text of one of three forms."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np

from drystone.formats.xml.rows import Rows, RowTemplate, Text, format_mixed, format_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ranges = NDArray[np.uint64]
    """Shape (n, 2): begin and length in data blocks."""

ROWS_AT_ONCE = 1 << 15
"""Ranges turned into text at once: a megabyte and a half at most."""

_BLOCK = RowTemplate((b'  <block block="', b'"/>\n'))
_RANGE = RowTemplate((b'  <range begin="', b'" end="', b'"/>\n'))
_RANGE_0_9 = RowTemplate((b'  <range begin="', b'" end = "', b'"/>\n'))
_LINE = RowTemplate((b"", b" ", b"\n"))
_JSON = RowTemplate((b",\n[", b", ", b"]"))


def format_xml(batches: Iterable[Ranges], *, old: bool = False) -> Iterator[bytes | Text]:
    """`<blocks>`, in it `<block block="14"/>` for one and `<range begin="20" end="22"/>`, end exclusive, for more.

    :param old: with blanks around an equals sign, as the tools' version 0.9 has it.
    """
    template = _RANGE_0_9 if old else _RANGE
    pieces = _cut(batches)
    yield b"<blocks>\n"
    for ranges in pieces:
        single = ranges[:, 1] == 1
        more = np.flatnonzero(~single)
        begins = ranges[more, 0]
        yield format_mixed(
            len(ranges),
            [
                Rows(_BLOCK, np.flatnonzero(single), [ranges[single, 0]]),
                Rows(template, more, [begins, begins + ranges[more, 1]]),
            ],
        )
    yield b"</blocks>\n"


def format_ranges(batches: Iterable[Ranges]) -> Iterator[bytes | Text]:
    """A line a range: begin and length, in data blocks."""
    for ranges in _cut(batches):
        yield format_rows(_LINE, [ranges[:, 0], ranges[:, 1]])


def format_json(batches: Iterable[Ranges], head: bytes) -> Iterator[bytes | Text]:
    """One JSON object: the members `head` (`"name": value, ...`), and `ranges`, a list of [begin, length] in blocks."""
    pieces = _cut(batches)
    yield b"{" + head + b', "ranges": ['
    comma = 1
    for ranges in pieces:
        yield format_rows(_JSON, [ranges[:, 0], ranges[:, 1]])[comma:]
        comma = 0
    yield b"\n]}\n"


def _cut(batches: Iterable[Ranges]) -> Iterator[Ranges]:
    """The same in pieces of ROWS_AT_ONCE. The first batch is taken now: where that fails nothing was printed yet."""
    iterator = iter(batches)
    first = list(islice(iterator, 1))
    return (
        batch[begin : begin + ROWS_AT_ONCE]
        for batch in chain(first, iterator)
        for begin in range(0, len(batch), ROWS_AT_ONCE)
    )
