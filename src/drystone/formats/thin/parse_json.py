"""Dumps of thin metadata in JSON read back, into the same parts as XML.

What json_lines writes, a line a row, is read as a stream: rows by the thousand with numpy, the few other lines one by
one. JSON in any other layout, as a formatter leaves it, is read whole, up to LARGEST_WHOLE bytes.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drystone.base.errors import DamagedError
from drystone.formats.thin.dump import DeviceEnd
from drystone.formats.thin.parse import (
    KINDS,
    RANGE_NUMBER,
    DefBegin,
    DefEnd,
    DumpPart,
    Ref,
    parse_device,
    parse_pool,
    split_rows,
)
from drystone.formats.xml.reader import CHUNK, Begin, Numbers, Source, refuse
from drystone.formats.xml.rows import RowTemplate, format_rows

LARGEST_WHOLE = 1 << 26
"""Bytes of JSON in another layout than ours; it takes some 20 times its size in memory."""

LONGEST_LINE = 1 << 16
"""Bytes in a line of our layout."""

_OURS = b'{"superblock": {"uuid"'
_ROW = RowTemplate((b"[", b", ", b", ", b", ", b"],\n"))
_FEWEST = 16
"""Rows that are worth being read together."""
_NUMBERS = 4
_LARGEST = (1 << 64) - 1

_LINE = re.compile(
    rb"(?:"
    rb'\{"superblock": (?P<pool>\{[^{}]*\}),'
    rb'|"(?P<list>definitions|devices)": \[(?:\](?:,|\}))?'
    rb'|(?:\{"name": (?P<name>[0-9]{1,20})|(?P<device>\{"dev_id"[^{}\[\]]*))'
    rb', "mappings": \[(?:(?P<empty>\]\})\]?[,}]?)?'
    rb'|(?:\[(?P<row>[0-9]{1,20}(?:, [0-9]{1,20}){3})\]|\{"ref": (?P<ref>[0-9]{1,20})\})(?:,|(?P<end>\]\})\]?[,}]?)'
    rb")\n?"
)


def parse_json(source: Source) -> Iterator[DumpPart]:
    """The parts of a JSON dump.

    :raises DamagedError: it is no JSON, or no dump of thin metadata, or too large in a layout that is not ours.
    """
    head = source.read(CHUNK)
    if head.startswith(_OURS):
        yield from _Lines().parse(head, source)
        return
    data = [head]
    size = len(head)
    while size <= LARGEST_WHOLE and (chunk := source.read(CHUNK)):
        data.append(chunk)
        size += len(chunk)
    if size > LARGEST_WHOLE:
        raise DamagedError(
            f"line 1: JSON of more than {LARGEST_WHOLE} bytes that is not laid out as thin_dump prints it",
            hint="restore what thin_dump printed, as it is",
        )
    yield from _parse_whole(b"".join(data))


class _Lines:
    """Our layout, line by line. :ivar line: the next one's number. :ivar parent: the element that rows belong to."""

    def __init__(self) -> None:
        self.line = 1
        self.parent = ""
        self.place = ""

    def parse(self, head: bytes, source: Source) -> Iterator[DumpPart]:
        """All parts of what begins with `head`."""
        text = head
        while True:
            end = text.rfind(b"\n") + 1
            if end:
                yield from self.take(text[:end])
            elif len(text) > LONGEST_LINE:
                refuse(self.line, f"a line of more than {LONGEST_LINE} bytes")
            chunk = source.read(CHUNK)
            if not chunk:
                if text[end:]:
                    yield from self.take(text[end:])
                break
            text = text[end:] + chunk
        if self.parent or self.place != "devices":
            refuse(self.line, "the dump ends here, in the middle")

    def take(self, text: bytes) -> Iterator[DumpPart]:
        """Whole lines."""
        characters = np.frombuffer(text, dtype=np.uint8)
        ends = np.flatnonzero(characters == ord("\n")) + 1
        if not len(ends) or ends[-1] != len(text):
            ends = np.append(ends, len(text))
        begins = np.concatenate(([0], ends[:-1]))
        # A row that ends its list ends with `]},` and is left to take_line.
        rows = (characters[begins] == ord("[")) & (characters[np.maximum(ends - 3, 0)] == ord("]"))
        turns = np.flatnonzero(rows[1:] != rows[:-1]) + 1
        bounds = [0, *turns.tolist(), len(rows)]
        for first, last in itertools.pairwise(bounds):
            begin, end = int(begins[first]), int(ends[last - 1])
            numbers = _read_rows(text[begin:end], last - first) if rows[first] and last - first >= _FEWEST else None
            if numbers is not None:
                yield from self.give(numbers)
                self.line += last - first
                continue
            for place in range(first, last):
                yield from self.take_line(text[int(begins[place]) : int(ends[place])])
                self.line += 1

    def give(self, numbers: NDArray[np.uint64]) -> Iterator[DumpPart]:
        """Rows of four numbers."""
        if not self.parent:
            refuse(self.line, "a mapping outside of a device")
        kinds = np.full(len(numbers), RANGE_NUMBER, dtype=np.uint8)
        columns = [
            list(numbers.T) if number == RANGE_NUMBER else [np.empty(0, dtype=np.uint64) for _ in kind.attributes]
            for number, kind in enumerate(KINDS)
        ]
        yield from split_rows(Numbers(kinds, columns, np.arange(self.line, self.line + len(kinds))), self.parent)

    def take_line(self, text: bytes) -> Iterator[DumpPart]:
        """One line of any kind."""
        found = _LINE.fullmatch(text)
        if found is None:
            refuse(self.line, f"{text[:60]!r} is not what thin_dump prints")
        if found["pool"]:
            yield parse_pool(Begin("superblock", _load(found["pool"], self.line), self.line))
        elif found["list"]:
            self.place = found["list"].decode()
        elif found["name"] or found["device"]:
            yield self.begin(found)
        elif found["row"]:
            values = [int(each) for each in found["row"].split(b",")]
            if max(values) > _LARGEST:
                refuse(self.line, f"{max(values)} is larger than any number here")
            yield from self.give(np.array([values], dtype=np.uint64))
        elif self.parent != "device":
            refuse(self.line, "a reference outside of a device")
        else:
            yield Ref(found["ref"].decode(), self.line)
        if found["empty"] or found["end"]:
            yield DefEnd() if self.parent == "def" else DeviceEnd()
            self.parent = ""

    def begin(self, found: re.Match[bytes]) -> DumpPart:
        """A definition or a device."""
        due = "definitions" if found["name"] else "devices"
        if self.parent or self.place != due:
            refuse(self.line, f"this belongs into the list of {due}")
        self.parent = "def" if found["name"] else "device"
        if found["name"]:
            return DefBegin(found["name"].decode(), self.line)
        return parse_device(Begin("device", _load(found["device"] + b"}", self.line), self.line))


def _read_rows(text: bytes, count: int) -> NDArray[np.uint64] | None:
    """The numbers of `count` rows, shape (count, 4); None when they are not what those numbers would be written as."""
    digits = text.translate(None, b"[] \n")
    try:
        numbers = np.fromstring(digits[:-1], dtype=np.uint64, sep=",")
    except ValueError:
        return None
    if len(numbers) != count * _NUMBERS:
        return None
    rows = numbers.reshape(-1, _NUMBERS)
    return rows if format_rows(_ROW, list(rows.T)).tobytes() == text else None


def _load(text: bytes, line: int) -> dict[str, str]:
    """An object's values as text, as XML's attributes are."""
    try:
        document = json.loads(text)
    except ValueError as error:
        refuse(line, f"no JSON: {error}")
    return {name: str(value) for name, value in document.items()}


def _parse_whole(data: bytes) -> Iterator[DumpPart]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"no JSON: {error}", line=1) from error
    pool, definitions, devices = (_get(document, name) for name in ("superblock", "definitions", "devices"))
    lines = _Lines()
    yield parse_pool(Begin("superblock", _spell(pool), 1))
    for each in _as_list(definitions):
        yield DefBegin(str(_get(each, "name")), 1)
        lines.parent = "def"
        yield from _parse_rows(lines, _get(each, "mappings"))
        yield DefEnd()
    for each in _as_list(devices):
        yield parse_device(Begin("device", _spell(each), 1))
        lines.parent = "device"
        yield from _parse_rows(lines, _get(each, "mappings"))
        yield DeviceEnd()


def _parse_rows(lines: _Lines, rows: Any) -> Iterator[DumpPart]:
    for row in _as_list(rows):
        if isinstance(row, dict) and lines.parent == "device":
            yield Ref(str(_get(row, "ref")), 1)
            continue
        sound = isinstance(row, list) and len(row) == _NUMBERS
        if not sound or not all(type(each) is int and 0 <= each < 1 << 64 for each in row):
            refuse(1, f"{str(row)[:60]} is no mapping: expected begin, data begin, length, time")
        yield from lines.give(np.array([row], dtype=np.uint64))


def _get(document: Any, name: str) -> Any:
    if not isinstance(document, dict) or name not in document:
        refuse(1, f"{name!r} is missing")
    return document[name]


def _as_list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        refuse(1, f"{str(value)[:60]} is no list")
    return value


def _spell(document: Any) -> dict[str, str]:
    """An object's plain values as text, as XML's attributes are."""
    if not isinstance(document, dict):
        refuse(1, f"{str(document)[:60]} is no object")
    return {name: str(value) for name, value in document.items() if not isinstance(value, list)}
