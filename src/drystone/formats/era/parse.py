"""Reading the XML of era dumps, of 0.9 as well as of 1.x and our own, in bounded memory.

Nearly all lines are rows numbered from one block to the next; those are read by rows.NumberedRows, thousands at a time.
Every other line goes to expat, which also sees that what is around the rows is XML. Rows are taken out only where a
whole element may stand: after a line that expat is done with, and there is no CDATA.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from xml.parsers import expat

import numpy as np
from numpy.typing import NDArray

from drystone.base.errors import DamagedError
from drystone.formats.era.dump import BIT_ROW, ERA_ROW
from drystone.formats.era.elements import Elements
from drystone.formats.era.eras import EraBatch
from drystone.formats.era.parts import Bits, Part
from drystone.formats.era.rows import NumberedRows, read_bits, read_numbers

if TYPE_CHECKING:
    from drystone.formats.xml.reader import Source

CHUNK = 1 << 20
"""Bytes of text at once."""

LONGEST_TOKEN = 4 << 20
"""Bytes of an element, a comment or blanks at most: expat holds the whole of one, and looks at it again and again."""

_NEWLINE = 10
_MOST_LINES = 4096
_FEWEST_ROWS = 16
"""Rows that are looked for where there was no row before; from there on ever more, while all are found."""


def parse_xml(file: Source) -> Iterator[Part]:
    """The parts of a dump. `file` is read to its end.

    Bits that no row tells are 0; eras must be told for every block, and either in ascending order.

    :raises DamagedError: it is no XML, or no era metadata; the message has the line.
    """
    reader = _Reader()
    left = b""
    while data := file.read(CHUNK):
        text = left + data if left else data
        whole = text.rfind(b"\n") + 1
        yield from reader.read_lines(text, whole)
        left = text[whole:]
        if len(left) > CHUNK:
            yield from reader.read_rest(left)
            left = b""
    yield from reader.read_rest(left)
    yield from reader.finish()


class _Reader:
    """expat, what the elements said so far, and the rows that expat does not see."""

    def __init__(self) -> None:
        self._expat = expat.ParserCreate()
        self._elements = Elements(lambda: self._expat.CurrentLineNumber + self._rows_read)
        self._expat.StartElementHandler = self._elements.start
        self._expat.EndElementHandler = self._elements.end
        self._expat.CharacterDataHandler = self._check_text
        self._expat.StartDoctypeDeclHandler = self._refuse_doctype
        self._expat.StartCdataSectionHandler = self._refuse_cdata
        self._rows_read = 0
        self._bytes_parsed = 0
        self._rows_at_once = _FEWEST_ROWS
        self._bit_rows = NumberedRows(*BIT_ROW)
        self._era_rows = NumberedRows(*ERA_ROW)

    def read_lines(self, text: bytes, size: int) -> Iterator[Part]:
        """The parts in the whole lines that are the first `size` bytes of `text`.

        Where no rows are, ever more lines go to expat before rows are looked for again.
        """
        array = np.frombuffer(text, dtype=np.uint8, count=size)
        ends = np.flatnonzero(array == _NEWLINE)
        line = start = 0
        lines_at_once = 1
        while line < len(ends):
            values = self._match(array, ends[line:], start)
            if len(values):
                self._rows_at_once = max(self._rows_at_once, 2 * len(values))
                line += len(values)
                lines_at_once = 1
                yield self._take_rows(values)
            else:
                self._rows_at_once = _FEWEST_ROWS
                line = min(line + lines_at_once, len(ends))
                lines_at_once = min(2 * lines_at_once, _MOST_LINES)
                yield from self.read_rest(text[start : ends[line - 1] + 1])
            start = int(ends[line - 1]) + 1

    def read_rest(self, text: bytes) -> Iterator[Part]:
        """The parts in text that goes to expat."""
        self._parse(text, last=False)
        return self._elements.take_parts()

    def finish(self) -> Iterator[Part]:
        """The end of the document."""
        self._parse(b"", last=True)
        if not self._elements.complete:
            self._elements.refuse("no era_array", "one")
        return self._elements.take_parts()

    def _match(self, array: NDArray[np.uint8], ends: NDArray[np.int64], start: int) -> NDArray[Any]:
        """The values of rows that stand at `start`, if this is a place for rows."""
        elements = self._elements
        ends = ends[: self._rows_at_once]
        if elements.inside == "writeset" and self._is_between():
            return self._bit_rows.match(array, ends, start, elements.next, read_bits)
        if elements.inside == "era_array" and self._is_between():
            return self._era_rows.match(array, ends, start, elements.next, read_numbers)
        return np.empty(0, dtype=np.uint8)

    def _is_between(self) -> bool:
        """Whether expat is done with all that it was given: so no element and no comment is half read."""
        return self._expat.CurrentByteIndex == self._bytes_parsed

    def _take_rows(self, values: NDArray[Any]) -> Part:
        begin = self._elements.next
        self._rows_read += len(values)
        self._elements.advance(len(values))
        return Bits(begin, values) if self._elements.inside == "writeset" else EraBatch(begin, values)

    def _parse(self, text: bytes, *, last: bool) -> None:
        self._bytes_parsed += len(text)
        try:
            self._expat.Parse(text, last)
        except expat.ExpatError as error:
            line = error.lineno + self._rows_read
            raise DamagedError(f"line {line}: no XML: {expat.ErrorString(error.code)}", line=line) from error
        if self._bytes_parsed - self._expat.CurrentByteIndex > LONGEST_TOKEN:
            self._elements.refuse(f"an element of more than {LONGEST_TOKEN} bytes", "shorter ones")

    def _check_text(self, text: str) -> None:
        if text.strip():
            self._elements.refuse(f"text {text.strip()[:20]!r}", "elements only")

    def _refuse_cdata(self) -> None:
        self._elements.refuse("a CDATA section", "elements only")

    def _refuse_doctype(self, *_: object) -> None:
        self._elements.refuse("a document type", "none")
