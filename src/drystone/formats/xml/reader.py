"""Reading the XML of dumps as a stream: regular lines by numpy, everything else by expat; memory is that of a chunk.

    for part in read_xml(file, [SINGLE, RANGE]):
        match part:
            case Begin(tag, attributes, line): ...
            case End(tag, line): ...
            case Numbers(kinds, columns, lines): ...    many elements of the kinds SINGLE and RANGE

Lines that look just like what a dump holds (see RowKind) are taken out and read at once; all the rest goes to expat.
Whether such a line is where an element may begin, and not in a comment, is asked of expat: a processing instruction is
put there, which it tells of only outside of everything. Elements of those kinds in any other spelling, with other
blanks, other quotes or another order of attributes, come out as Numbers too, only more slowly.

Refused: what is no XML, a DOCTYPE (so there are no entities), text between elements, one piece of markup or text of
more than LONGEST_TOKEN bytes. Which elements may stand where is for the caller to say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn, Protocol
from xml.parsers import expat

import numpy as np
from numpy.typing import NDArray

from drystone.base.errors import DamagedError
from drystone.formats.xml.elements import RowKind
from drystone.formats.xml.regular import IRREGULAR, MARGIN, FoundLines, find_lines
from drystone.formats.xml.rows import MOST_DIGITS

CHUNK = 1 << 19
"""Bytes read at once."""

LONGEST_TOKEN = 1 << 20
"""Bytes that one tag or comment may have."""

_PIECE = 1 << 16
"""Bytes given to expat at once."""

_FEWEST = 16
"""Regular lines that are worth being taken out together."""

_FRAME = bytes(MARGIN)
_PROBE = "drystone-rows"
_LARGEST = (1 << 64) - 1


Buffer = bytes | memoryview


class Source(Protocol):
    """What is read from: a file opened for reading bytes, or the like."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""


@dataclass(frozen=True, slots=True)
class Begin:
    """An element begins. :ivar line: where, counted from 1."""

    tag: str
    attributes: dict[str, str]
    line: int


@dataclass(frozen=True, slots=True)
class End:
    """The element that began last and has not ended ends."""

    tag: str
    line: int


@dataclass(frozen=True, slots=True)
class Numbers:
    """Elements of the kinds asked for, one after the other, without anything between them.

    :ivar kinds: uint8, for each element the number of its kind. :ivar columns: for each kind the attributes of its
        elements, a uint64 array each. :ivar lines: int64: where each element begins.
    """

    kinds: NDArray[np.uint8]
    columns: list[list[NDArray[np.uint64]]]
    lines: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.kinds)


Event = Begin | End | Numbers


def refuse(line: int, reason: str) -> NoReturn:
    """:raises DamagedError: with the line."""
    raise DamagedError(f"line {line}: {reason}", line=line)


def read_xml(source: Source, kinds: Sequence[RowKind]) -> Iterator[Event]:
    """The events of a document, as far as it is well-formed.

    :raises DamagedError: it is not, or is refused; the message begins with the line.
    """
    reader = _Reader(kinds)
    rest = b""
    while chunk := source.read(CHUNK):
        end = chunk.rfind(b"\n") + 1
        if end:
            yield from reader.take_lines(rest, memoryview(chunk)[:end])
            rest = chunk[end:]
        elif len(rest) + len(chunk) > CHUNK:
            yield from reader.take_text(rest + chunk)
            rest = b""
        else:
            rest += chunk
    yield from reader.take_text(rest)
    yield from reader.finish()


class _Reader:
    """expat, and what it has told and was not given out yet."""

    def __init__(self, kinds: Sequence[RowKind]) -> None:
        self._kinds = kinds
        self._tags: dict[str, list[int]] = {kind.tag: [] for kind in kinds}
        for number, kind in enumerate(kinds):
            self._tags[kind.tag].append(number)
        self._events: list[Event] = []
        self._rows: list[tuple[int, list[int]]] = []
        self._lines: list[int] = []
        self._inside = 0
        self._taken_out = 0
        """Lines that expat did not see."""
        self._silent = 0
        """Bytes given to expat since it told of anything."""
        self._probing = self._probed = False
        parser = expat.ParserCreate("UTF-8")
        parser.buffer_text = False
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.ProcessingInstructionHandler = self._instruction
        parser.CommentHandler = self._comment
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartCdataSectionHandler = self._cdata
        self._parser = parser

    def take_lines(self, *parts: Buffer) -> Iterator[Event]:
        """Whole lines, in parts that follow one another; the last one ends with a newline."""
        framed = b"".join((_FRAME, *parts, _FRAME))
        text = memoryview(framed)[MARGIN:-MARGIN]
        found = find_lines(np.frombuffer(framed, dtype=np.uint8), self._kinds)
        done = 0
        passed = 0
        for begin, end in _find_stretches(found.kinds):
            offset = int(found.ends[begin - 1]) if begin else 0
            yield from self.take_text(text[done:offset])
            done = offset
            if not self._may_begin():
                break
            yield from self._flush()
            yield _cut(found, begin, end, self._line)
            passed += end - begin
            self._taken_out += end - begin
            done = int(found.ends[end - 1])
        yield from self.take_text(text[done:])

    def take_text(self, text: Buffer) -> Iterator[Event]:
        """Any text, by expat."""
        for begin in range(0, len(text), _PIECE):
            piece = text[begin : begin + _PIECE]
            self._parse(piece)
            self._silent += len(piece)
            if self._silent > LONGEST_TOKEN:
                refuse(self._line, f"a tag or a comment of more than {LONGEST_TOKEN} bytes")
            yield from self._give()

    def finish(self) -> Iterator[Event]:
        """The end of the document."""
        self._parse(b"", last=True)
        yield from self._flush()

    @property
    def _line(self) -> int:
        return self._parser.CurrentLineNumber + self._taken_out

    def _parse(self, text: Buffer, *, last: bool = False) -> None:
        try:
            self._parser.Parse(text, last)
        except expat.ExpatError as error:
            refuse(error.lineno + self._taken_out, f"no XML: {expat.errors.messages[error.code]}")

    def _may_begin(self) -> bool:
        """Whether an element could begin here."""
        if self._inside:
            return False
        self._probing, self._probed = True, False
        self._parse(f"<?{_PROBE}?>".encode())
        self._probing = False
        return self._probed

    def _give(self) -> Iterator[Event]:
        events, self._events = self._events, []
        yield from events

    def _flush(self) -> Iterator[Event]:
        """All that expat told, rows as well."""
        self._flush_rows()
        yield from self._give()

    def _flush_rows(self) -> None:
        if not self._rows:
            return
        rows, self._rows = self._rows, []
        lines, self._lines = self._lines, []
        kinds = np.array([kind for kind, _ in rows], dtype=np.uint8)
        columns = []
        for number, kind in enumerate(self._kinds):
            values = np.array([values for which, values in rows if which == number], dtype=np.uint64)
            columns.append(list(values.reshape(-1, len(kind.attributes)).T))
        self._events.append(Numbers(kinds, columns, np.array(lines, dtype=np.int64)))

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._silent = 0
        if self._inside:
            refuse(self._line, f"<{tag}> in an element that holds nothing")
        numbers = self._tags.get(tag)
        if numbers is None or (self._kinds[numbers[0]].loose and not all(map(_is_plain, attributes.values()))):
            self._flush_rows()
            self._events.append(Begin(tag, attributes, self._line))
            return
        self._inside = 1
        self._lines.append(self._line)
        self._rows.append(self._read_row(tag, numbers, attributes))

    def _read_row(self, tag: str, numbers: Sequence[int], attributes: dict[str, str]) -> tuple[int, list[int]]:
        for number in numbers:
            kind = self._kinds[number]
            if all(attributes.get(name) == value for name, value in kind.fixed):
                break
        else:
            refuse(self._line, f"<{tag}> with {attributes}")
        odd = sorted(attributes.keys() ^ {*kind.attributes, *(name for name, _ in kind.fixed)})
        if odd:
            reason = "is not known" if odd[0] in attributes else "is missing"
            refuse(self._line, f"<{tag}>: attribute {odd[0][:60]!r} {reason}")
        return number, [read_number(tag, name, attributes[name], self._line) for name in kind.attributes]

    def _end(self, tag: str) -> None:
        self._silent = 0
        if self._inside:
            self._inside = 0
            return
        self._flush_rows()
        self._events.append(End(tag, self._line))

    def _text(self, text: str) -> None:
        self._silent = 0
        if text.strip():
            refuse(self._line, f"text {text.strip()[:40]!r} between elements")

    def _instruction(self, target: str, _: str) -> None:
        self._silent = 0
        self._probed = target == _PROBE
        if self._probing and not self._probed:
            refuse(self._line, f"processing instruction {target[:60]!r} with elements in it, which no dump has")

    def _comment(self, _: str) -> None:
        self._silent = 0

    def _cdata(self) -> None:
        refuse(self._line, "a CDATA section, which no dump has")

    def _doctype(self, *_: object) -> None:
        refuse(self._line, "a DOCTYPE, which no dump has")


def read_number(tag: str, name: str, text: str, line: int) -> int:
    """The whole number in an attribute.

    :raises DamagedError: it is none, or does not fit 64 bits.
    """
    if not (text.isascii() and text.isdecimal() and len(text) <= 40 and int(text) <= _LARGEST):
        refuse(line, f"<{tag}>: {name} is {text[:60]!r}, expected a whole number")
    return int(text)


def _is_plain(text: str) -> bool:
    """Whether it is a number as it would be written."""
    return text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS and str(int(text)) == text


def _find_stretches(kinds: NDArray[np.uint8]) -> Iterator[tuple[int, int]]:
    """Begin and end of stretches of _FEWEST regular lines or more."""
    regular = np.concatenate(([False], kinds != IRREGULAR, [False]))
    turns = np.flatnonzero(regular[1:] != regular[:-1])
    begins, ends = turns[::2], turns[1::2]
    long = ends - begins >= _FEWEST
    yield from zip(begins[long].tolist(), ends[long].tolist(), strict=True)


def _cut(found: FoundLines, begin: int, end: int, line: int) -> Numbers:
    """The numbers of the lines from begin to end."""
    kinds = found.kinds[begin:end]
    columns = []
    for number, whole in enumerate(found.columns):
        first = int(np.count_nonzero(found.kinds[:begin] == number))
        count = int(np.count_nonzero(kinds == number))
        columns.append([column[first : first + count] for column in whole])
    return Numbers(kinds, columns, np.arange(line, line + len(kinds)))
