"""Dumps of thin metadata read back: XML of either spelling, as a stream of parts.

    Pool, then definitions and devices: DefBegin, Mappings..., DefEnd · DeviceDetails, (Mappings | Ref)..., DeviceEnd

Values are checked here one by one: that they fit their fields and the pool. What only holds between them, such as that
blocks ascend and that names are known, is checked by who writes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drystone.formats.thin import layout
from drystone.formats.thin.devices import DeviceDetails
from drystone.formats.thin.dump import DeviceEnd, Pool
from drystone.formats.thin.extents import Runs
from drystone.formats.thin.spelling import RANGE, SINGLE
from drystone.formats.xml.elements import RowKind
from drystone.formats.xml.reader import Begin, End, Numbers, Source, read_number, read_xml, refuse

REF = RowKind("ref", ("name",), loose=True)

KINDS = (SINGLE, RANGE, REF)
_SINGLE, RANGE_NUMBER, _REF = range(3)

_PARENTS = {"superblock": "", "def": "superblock", "device": "superblock", "ref": "device"}
"""Element -> the one it stands in."""

_LARGEST_DATA_BLOCK = (1 << 40) - 1


@dataclass(frozen=True, slots=True)
class Mappings:
    """Runs of the definition or the device that was begun last. `lines`: where each of them is told."""

    runs: Runs
    lines: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Ref:
    """The device that was begun last has all that a definition holds."""

    name: str
    line: int


@dataclass(frozen=True, slots=True)
class DefBegin:
    """A definition begins."""

    name: str
    line: int


@dataclass(frozen=True, slots=True)
class DefEnd:
    """The definition is complete."""


@dataclass(frozen=True, slots=True)
class DeviceBegin:
    """A device begins."""

    details: DeviceDetails
    line: int


DumpPart = Pool | Mappings | Ref | DefBegin | DefEnd | DeviceBegin | DeviceEnd


def parse_xml(source: Source) -> Iterator[DumpPart]:
    """The parts of an XML dump.

    :raises DamagedError: it is no XML, or no dump of thin metadata; the message begins with the line.
    """
    parents: list[str] = [""]
    for event in read_xml(source, KINDS):
        match event:
            case Begin():
                if _PARENTS.get(event.tag) != parents[-1]:
                    place = f"in <{parents[-1]}>" if parents[-1] else "at the beginning"
                    refuse(event.line, f"<{event.tag[:60]}> {place} is no thin metadata")
                parents.append(event.tag)
                yield _PARSERS[event.tag](event)
            case End():
                parents.pop()
                if event.tag in {"def", "device"}:
                    yield DefEnd() if event.tag == "def" else DeviceEnd()
            case Numbers():
                if parents[-1] not in {"def", "device"}:
                    refuse(int(event.lines[0]), "mappings outside of a device")
                yield from split_rows(event, parents[-1])


def parse_pool(begin: Begin) -> Pool:
    """The head out of its attributes.

    :raises DamagedError: one is missing or does not fit.
    """
    numbers = _Numbers(begin)
    return Pool(
        time=numbers.take("time", (1 << 32) - 1),
        transaction=numbers.take("transaction"),
        flags=numbers.take("flags", (1 << 32) - 1, default=0),
        version=numbers.take("version", (1 << 32) - 1, default=2),
        data_block_size=numbers.take("data_block_size", (1 << 32) - 1),
        nr_data_blocks=numbers.take("nr_data_blocks", _LARGEST_DATA_BLOCK + 1),
    )


def parse_device(begin: Begin) -> DeviceBegin:
    """A device out of its attributes.

    :raises DamagedError: one is missing or does not fit.
    """
    numbers = _Numbers(begin)
    details = DeviceDetails(
        dev_id=numbers.take("dev_id", layout.LARGEST_DEVICE_ID),
        mapped_blocks=numbers.take("mapped_blocks"),
        transaction_id=numbers.take("transaction"),
        creation_time=numbers.take("creation_time", (1 << 32) - 1),
        snapshotted_time=numbers.take("snap_time", (1 << 32) - 1),
    )
    return DeviceBegin(details, begin.line)


def _parse_definition(begin: Begin) -> DefBegin:
    name = begin.attributes.get("name")
    if name is None:
        refuse(begin.line, "<def> without a name")
    return DefBegin(name, begin.line)


def _parse_reference(begin: Begin) -> Ref:
    name = begin.attributes.get("name")
    if name is None:
        refuse(begin.line, "<ref> without a name")
    return Ref(name, begin.line)


_PARSERS: dict[str, Callable[[Begin], DumpPart]] = {
    "superblock": parse_pool,
    "device": parse_device,
    "def": _parse_definition,
    "ref": _parse_reference,
}


class _Numbers:
    """The attributes of an element that hold whole numbers. Others that are there are not looked at."""

    def __init__(self, begin: Begin) -> None:
        self._begin = begin

    def take(self, name: str, most: int = (1 << 64) - 1, *, default: int | None = None) -> int:
        """:raises DamagedError: it is missing and has no default, or is no number of at most `most`."""
        begin = self._begin
        text = begin.attributes.get(name)
        if text is None:
            if default is None:
                refuse(begin.line, f"<{begin.tag}>: attribute {name!r} is missing")
            return default
        number = read_number(begin.tag, name, text, begin.line)
        if number > most:
            refuse(begin.line, f"<{begin.tag}>: {name} is {number}, expected at most {most}")
        return number


def split_rows(rows: Numbers, parent: str) -> Iterator[DumpPart]:
    """Runs and references in turn; `parent` is def or device.

    :raises DamagedError: a reference in a definition, or a number that does not fit.
    """
    kinds = rows.kinds
    names = rows.columns[_REF][0]
    if len(names) and parent == "def":
        refuse(int(rows.lines[kinds == _REF][0]), "<ref> in <def>")
    runs = _make_runs(rows)
    if not len(names):
        yield Mappings(runs, rows.lines)
        return
    lines = rows.lines[kinds != _REF]
    places = np.flatnonzero(kinds == _REF).tolist()
    done = 0
    for number, (place, name) in enumerate(zip(places, names.tolist(), strict=True)):
        if place - number > done:
            yield Mappings(runs[done : place - number], lines[done : place - number])
            done = place - number
        yield Ref(str(name), int(rows.lines[place]))
    if done < len(runs):
        yield Mappings(runs[done:], lines[done:])


def _make_runs(rows: Numbers) -> Runs:
    """The mappings among the rows, in their order.

    :raises DamagedError: a length of 0, or a data block or time that does not fit.
    """
    single = rows.kinds[rows.kinds != _REF] == _SINGLE
    virtual, data, times, lengths = (np.empty(len(single), dtype=np.uint64) for _ in range(4))
    begins, blocks, ages = rows.columns[_SINGLE]
    virtual[single], data[single], times[single], lengths[single] = begins, blocks, ages, 1
    begins, blocks, counts, ages = rows.columns[RANGE_NUMBER]
    virtual[~single], data[~single], times[~single], lengths[~single] = begins, blocks, ages, counts
    for column, least, most, what in (
        (lengths, 1, _LARGEST_DATA_BLOCK + 1, "length"),
        (data, 0, _LARGEST_DATA_BLOCK, "data block"),
        (times, 0, (1 << layout.TIME_BITS) - 1, "time"),
    ):
        _refuse_outside(column, least, most, what, rows)
    _refuse_outside(lengths - np.uint64(1) + data, 0, _LARGEST_DATA_BLOCK, "last data block", rows)
    return Runs(virtual, data, times.astype(np.uint32), lengths)


def _refuse_outside(column: NDArray[np.uint64], least: int, most: int, what: str, rows: Numbers) -> None:
    if not len(column) or (int(column.min()) >= least and int(column.max()) <= most):
        return
    wrong = int(np.flatnonzero((column < np.uint64(least)) | (column > np.uint64(most)))[0])
    line = int(rows.lines[rows.kinds != _REF][wrong])
    refuse(line, f"{what} is {column[wrong]}, expected {least} to {most}")
