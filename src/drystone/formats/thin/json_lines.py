"""A dump of thin metadata as one JSON object, written as it comes.

    {"superblock": {...},
    "definitions": [
    {"name": 17, "mappings": [
    [0, 100, 30, 0],
    [40, 7, 1, 2]]}],
    "devices": [
    {"dev_id": 1, "mapped_blocks": 31, "transaction": 0, "creation_time": 0, "snap_time": 0, "mappings": [
    {"ref": 17},
    [50, 200, 8, 1]]}]}

A mapping is first block of the device, first block of the data device, length, time. A line a row; the comma comes with
the row before which it stands, so that a row need not know what follows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from drystone.formats.thin.devices import DeviceDetails
from drystone.formats.thin.dump import DeviceEnd, Part, Pool
from drystone.formats.thin.lines import Lines, Row
from drystone.formats.xml.rows import Rows, RowTemplate, format_mixed

_MAPPING = (b"\n[", b", ", b", ", b", ", b"]")
_REF = (b'\n{"ref": ', b"}")
_DEF = (b'\n{"name": ', b', "mappings": [')


def _put_comma(pieces: tuple[bytes, ...]) -> RowTemplate:
    return RowTemplate((b"," + pieces[0], *pieces[1:]))


_TEMPLATES = {
    kind: (RowTemplate(pieces), _put_comma(pieces))
    for kind, pieces in ((Row.MAPPING, _MAPPING), (Row.REF, _REF), (Row.DEF, _DEF))
}
"""A row that is the first of its list, and any other."""

_END = RowTemplate((b"]}",))


def spell_json(parts: Iterable[Part]) -> Iterator[bytes | NDArray[np.uint8]]:
    """The parts of a dump as JSON text."""
    lists = _Lists()
    for part in parts:
        match part:
            case Pool():
                yield b'{"superblock": ' + json.dumps(describe_pool(part)).encode() + b',\n"definitions": ['
            case Lines():
                yield _format_lines(part, lists)
            case DeviceDetails():
                yield lists.begin_devices() + json.dumps(describe_device(part))[:-1].encode() + b', "mappings": ['
                lists.fresh = True
            case DeviceEnd():
                yield b"]}"
                lists.fresh = False
    yield b"]}\n" if lists.devices else b'],\n"devices": []}\n'


def describe_pool(pool: Pool) -> dict[str, int | str]:
    """The head as JSON values; sizes in sectors and blocks, as in the XML."""
    return {
        "uuid": "",
        "time": pool.time,
        "transaction": pool.transaction,
        "flags": pool.flags,
        "version": pool.version,
        "data_block_size": pool.data_block_size,
        "nr_data_blocks": pool.nr_data_blocks,
    }


def describe_device(details: DeviceDetails) -> dict[str, int]:
    """A device as JSON values, by the XML's names."""
    return {
        "dev_id": details.dev_id,
        "mapped_blocks": details.mapped_blocks,
        "transaction": details.transaction_id,
        "creation_time": details.creation_time,
        "snap_time": details.snapshotted_time,
    }


class _Lists:
    """Where in the document the writing is.

    :ivar fresh: a list has been begun and is empty. :ivar devices: the list of devices has been begun.
    """

    def __init__(self) -> None:
        self.fresh = True
        self.devices = False

    def begin_devices(self) -> bytes:
        """What comes before a device."""
        if self.devices:
            return b",\n"
        self.devices = True
        return b'],\n"devices": [\n'


def _format_lines(lines: Lines, lists: _Lists) -> NDArray[np.uint8]:
    """The rows' text; a row after the beginning of a list has no comma before it."""
    kinds = lines.kinds
    first = np.empty(len(lines), dtype=np.bool_)
    first[0] = lists.fresh
    first[1:] = kinds[:-1] == Row.DEF
    lists.fresh = bool(kinds[-1] == Row.DEF)
    named = kinds[(kinds == Row.REF) | (kinds == Row.DEF)]
    runs = lines.runs
    columns = {
        Row.MAPPING: [runs.virtual, runs.data, runs.length, runs.time],
        Row.REF: [lines.names[named == Row.REF]],
        Row.DEF: [lines.names[named == Row.DEF]],
    }
    parts = [Rows(_END, np.flatnonzero(kinds == Row.DEF_END), [])]
    for kind, (alone, after) in _TEMPLATES.items():
        places = np.flatnonzero(kinds == kind)
        for template, some in ((alone, first[places]), (after, ~first[places])):
            if some.any():
                parts.append(Rows(template, places[some], [column[some] for column in columns[kind]]))
    return format_mixed(len(lines), parts)
