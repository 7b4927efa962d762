from __future__ import annotations

import io
import json

import pytest

from drystone.base.errors import DamagedError
from drystone.formats.pdata.memory import MemoryBlocks
from drystone.formats.thin.dump import Choice, DeviceEnd, Pool, dump
from drystone.formats.thin.parse import DefBegin, DefEnd, DeviceBegin, DumpPart, Mappings, Ref, parse_xml
from drystone.formats.thin.parse_json import parse_json
from drystone.formats.thin.spelling import SPELLERS
from drystone.formats.thin.superblock import read_superblock
from drystone.testing.thin_metadata import BlockMap, write_thin_metadata

HEAD = '<superblock uuid="" time="2" transaction="5" version="2" data_block_size="128" nr_data_blocks="1000">'
DEVICE = '<device dev_id="1" mapped_blocks="3" transaction="0" creation_time="0" snap_time="1">'
FIRST = {block: 100 + block * 2 for block in range(400)}


def flatten(parts: list[DumpPart]) -> list[object]:
    """Parts without their lines, mappings as rows (virtual, data, time, length)."""
    rows: list[object] = []
    for part in parts:
        match part:
            case Mappings(runs):
                columns = (runs.virtual, runs.data, runs.time, runs.length)
                rows += zip(*(each.tolist() for each in columns), strict=True)
            case Ref(name) | DefBegin(name):
                rows.append((type(part).__name__, name))
            case DeviceBegin(details):
                rows.append(details)
            case _:
                rows.append(part)
    return rows


def parse(text: str) -> list[object]:
    return flatten(list(parse_xml(io.BytesIO(text.encode()))))


def spell(form: str, *, old: bool = False) -> bytes:
    devices: dict[int, BlockMap] = {
        1: FIRST,
        2: {**FIRST, 200: (950, 2)},
        3: {},
        7: {block: block for block in range(40)},
    }
    reader = MemoryBlocks(write_thin_metadata(devices, fan_out=40, nr_data_blocks=1000))
    parts = dump(reader, read_superblock(reader), Choice(share=not old))
    return b"".join(bytes(chunk) for chunk in SPELLERS[form, old](parts))


def test_a_small_dump() -> None:
    parts = parse(
        f'{HEAD}<def name="x"><single_mapping origin_block="1" data_block="2" time="0"/></def>{DEVICE}'
        '<ref name="x"/><range_mapping origin_begin="5" data_begin="6" length="7" time="8"/><ref name="17"/></device>'
        "</superblock>"
    )
    assert parts[0] == Pool(2, 5, 0, 2, 128, 1000)
    assert parts[1:4] == [("DefBegin", "x"), (1, 2, 0, 1), DefEnd()]
    assert parts[5:] == [("Ref", "x"), (5, 6, 8, 7), ("Ref", "17"), DeviceEnd()]


def test_json_is_the_same_as_xml() -> None:
    text = spell("json")
    due = parse(spell("xml").decode())
    assert flatten(list(parse_json(io.BytesIO(text)))) == due
    assert flatten(list(parse_json(io.BytesIO(json.dumps(json.loads(text), indent=1).encode())))) == due
    assert len(due) > 300


def test_the_old_spelling() -> None:
    rows = parse(spell("xml", old=True).decode())
    assert sum(isinstance(row, tuple) for row in rows) > 800
    assert not any(isinstance(row, tuple) and row[0] == "Ref" for row in rows)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<html></html>", "line 1: <html> at the beginning is no thin metadata"),
        (f"{DEVICE}</device>", "line 1: <device> at the beginning"),
        (f"{HEAD}\n<superblock/></superblock>", "line 2: <superblock> in <superblock>"),
        (f"{HEAD}\n{DEVICE}\n<x/></device></superblock>", "line 3: <x> in <device>"),
        (f"{HEAD}<ref name='1'/></superblock>", "line 1: mappings outside of a device"),
        (f"{HEAD}<def name='1'>\n<ref name='1'/></def></superblock>", "line 2: <ref> in <def>"),
        (f"{HEAD}<def/></superblock>", "line 1: <def> without a name"),
        (HEAD.replace('time="2"', ""), "line 1: <superblock>: attribute 'time' is missing"),
        (HEAD.replace("128", "12b"), "line 1: <superblock>: data_block_size is '12b', expected a whole number"),
        (HEAD.replace('"2" data', '"4294967296" data'), "version is 4294967296, expected at most 4294967295"),
        (HEAD + DEVICE.replace('"1" mapped', '"16777216" mapped'), "dev_id is 16777216, expected at most 16777215"),
    ],
)
def test_xml_that_is_no_dump(text: str, reason: str) -> None:
    with pytest.raises(DamagedError) as caught:
        parse(text)
    assert reason in caught.value.message


@pytest.mark.parametrize(
    ("mapping", "reason"),
    [
        ('range_mapping origin_begin="0" data_begin="1" length="0" time="0"', "length is 0, expected 1 to"),
        (
            'range_mapping origin_begin="0" data_begin="1099511627775" length="2" time="0"',
            "last data block is",
        ),
        ('single_mapping origin_block="0" data_block="1099511627776" time="0"', "data block is 1099511627776"),
        ('single_mapping origin_block="0" data_block="1" time="16777216"', "time is 16777216, expected 0 to 16777215"),
    ],
)
def test_numbers_that_do_not_fit(mapping: str, reason: str) -> None:
    sound = '<single_mapping origin_block="0" data_block="0" time="0"/>\n'
    with pytest.raises(DamagedError) as caught:
        parse(f"{HEAD}\n{DEVICE}\n{sound * 20}<{mapping}/>\n</device></superblock>")
    assert reason in caught.value.message
    assert caught.value.message.startswith("line 23: ")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "{}",
        "[1]" * 3,
        '{"superblock": 1, "definitions": [], "devices": []}',
        spell("json").decode()[:-4],
        spell("json").decode()[:300],
        spell("json").decode().replace("[0, 100", "[[0, 100", 1),
        spell("json").decode().replace("102, 1", "-102, 1", 1),
        spell("json").decode().replace("102, 1", f"{1 << 64}, 1", 1),
        spell("json").decode().replace("102, 1", "102, 1, 5", 1),
        spell("json").decode().replace('{"ref"', '{"fer"', 1),
        json.dumps(json.loads(spell("json"))).replace("102, 1", "102.5, 1", 1),
        json.dumps(json.loads(spell("json"))).replace("102, 1", "true, 1", 1),
        json.dumps(json.loads(spell("json"))).replace("[[", "[[[", 1),
        "[" * 100_000,
    ],
)
def test_json_that_is_no_dump(text: str) -> None:
    with pytest.raises(DamagedError):
        list(parse_json(io.BytesIO(text.encode())))
