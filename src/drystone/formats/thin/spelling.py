"""How a dump of thin metadata is spelt: XML as thin-provisioning-tools 1.x and 0.9 print it, text for people, JSON.

A spelling turns the parts of `dump` into bytes. Rows of numbers are made with formats.xml.rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drystone.formats.thin.devices import DeviceDetails
from drystone.formats.thin.dump import DeviceEnd, Part, Pool
from drystone.formats.thin.json_lines import spell_json
from drystone.formats.thin.lines import Lines, Row
from drystone.formats.xml.elements import RowKind
from drystone.formats.xml.rows import Column, Rows, RowTemplate, format_mixed

SINGLE = RowKind("single_mapping", ("origin_block", "data_block", "time"))
RANGE = RowKind("range_mapping", ("origin_begin", "data_begin", "length", "time"))

Chunk = bytes | NDArray[np.uint8]
"""A piece of the output; both kinds are buffers."""


@dataclass(frozen=True, slots=True)
class LineTemplates:
    """How rows are spelt.

    :ivar single: a mapping of one block. :ivar range: of several. :ivar ref: a reference.
    :ivar begin: the beginning of a definition. :ivar end: its end.
    :ivar last: whether a range names its last blocks instead of its length.
    """

    single: RowTemplate
    range: RowTemplate
    ref: RowTemplate
    begin: RowTemplate
    end: RowTemplate
    last: bool = False


XML_LINES = LineTemplates(
    SINGLE.make_template(),
    RANGE.make_template(),
    RowTemplate((b'    <ref name="', b'"/>\n')),
    RowTemplate((b'  <def name="', b'">\n')),
    RowTemplate((b"  </def>\n",)),
)

_TEXT_RANGE = RowTemplate((b"    (", b"..", b") -> (", b"..", b"), ", b"\n"))
TEXT_LINES = LineTemplates(
    _TEXT_RANGE,
    _TEXT_RANGE,
    RowTemplate((b"    ref: ", b"\n")),
    RowTemplate((b"def: ", b"\n")),
    RowTemplate((b"\n",)),
    last=True,
)
OLD_TEXT_LINES = LineTemplates(
    RowTemplate((b"    ", b" -> ", b", ", b"\n")),
    _TEXT_RANGE,
    TEXT_LINES.ref,
    TEXT_LINES.begin,
    TEXT_LINES.end,
    last=True,
)


def format_lines(lines: Lines, templates: LineTemplates) -> NDArray[np.uint8]:
    """The text of all rows of `lines`."""
    runs = lines.runs
    every = np.flatnonzero(lines.kinds == Row.MAPPING) if len(runs) < len(lines) else np.arange(len(lines))
    parts: list[Rows] = []
    single = runs.length == 1
    if templates.single is templates.range:
        single = np.zeros(len(runs), dtype=np.bool_)
    if single.any():
        some = runs[single]
        parts.append(Rows(templates.single, every[single], [some.virtual, some.data, some.time]))
    if not single.all():
        some = runs[~single]
        columns: list[Column] = [some.virtual, some.data, some.length, some.time]
        if templates.last:
            more = some.length - np.uint64(1)
            columns = [some.virtual, some.virtual + more, some.data, some.data + more, some.time]
        parts.append(Rows(templates.range, every[~single], columns))
    if len(runs) < len(lines):
        named = lines.kinds[(lines.kinds == Row.REF) | (lines.kinds == Row.DEF)]
        for kind, template in ((Row.REF, templates.ref), (Row.DEF, templates.begin)):
            parts.append(Rows(template, np.flatnonzero(lines.kinds == kind), [lines.names[named == kind]]))
        parts.append(Rows(templates.end, np.flatnonzero(lines.kinds == Row.DEF_END), []))
    return format_mixed(len(lines), parts)


def spell_xml(parts: Iterable[Part]) -> Iterator[Chunk]:
    """XML as 1.x prints it, and a newline at the end."""
    return _spell_xml(parts, always_flags=False)


def spell_old_xml(parts: Iterable[Part]) -> Iterator[Chunk]:
    """XML as 0.9 prints it: `flags` is always there. Dump without sharing, as 0.9 knows no definitions."""
    return _spell_xml(parts, always_flags=True)


def spell_text(parts: Iterable[Part]) -> Iterator[Chunk]:
    """Text for people, as 1.x prints it."""
    return _spell_text(parts, TEXT_LINES)


def spell_old_text(parts: Iterable[Part]) -> Iterator[Chunk]:
    """Text for people, as 0.9 prints it."""
    return _spell_text(parts, OLD_TEXT_LINES)


def _spell_xml(parts: Iterable[Part], *, always_flags: bool) -> Iterator[Chunk]:
    for part in parts:
        match part:
            case Lines():
                yield format_lines(part, XML_LINES)
            case Pool():
                flags = f' flags="{part.flags}"' if part.flags or always_flags else ""
                yield (
                    f'<superblock uuid="" time="{part.time}" transaction="{part.transaction}"{flags}'
                    f' version="{part.version}" data_block_size="{part.data_block_size}"'
                    f' nr_data_blocks="{part.nr_data_blocks}">\n'
                ).encode()
            case DeviceDetails():
                yield (
                    f'  <device dev_id="{part.dev_id}" mapped_blocks="{part.mapped_blocks}"'
                    f' transaction="{part.transaction_id}" creation_time="{part.creation_time}"'
                    f' snap_time="{part.snapshotted_time}">\n'
                ).encode()
            case DeviceEnd():
                yield b"  </device>\n"
    yield b"</superblock>\n"


def _spell_text(parts: Iterable[Part], templates: LineTemplates) -> Iterator[Chunk]:
    for part in parts:
        match part:
            case Lines():
                yield format_lines(part, templates)
            case Pool():
                facts = (part.time, part.transaction, part.flags, part.version)
                sizes = (part.data_block_size, part.nr_data_blocks)
                yield f'begin superblock: "", {", ".join(map(str, facts + sizes))}\n'.encode()
            case DeviceDetails():
                yield (
                    f"device: {part.dev_id}\nmapped_blocks: {part.mapped_blocks}\n"
                    f"transaction: {part.transaction_id}\ncreation time: {part.creation_time}\n"
                    f"snap time: {part.snapshotted_time}\n"
                ).encode()
            case DeviceEnd():
                yield b"\n"
    yield b"end superblock\n"


Speller = Callable[[Iterable[Part]], Iterator[Chunk]]

SPELLERS: dict[tuple[str, bool], Speller] = {
    ("xml", False): spell_xml,
    ("xml", True): spell_old_xml,
    ("human_readable", False): spell_text,
    ("human_readable", True): spell_old_text,
    ("json", False): spell_json,
    ("json", True): spell_json,
}
"""By the format's name and whether it is to be 0.9's."""
