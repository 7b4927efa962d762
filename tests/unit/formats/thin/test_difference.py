from __future__ import annotations

import json
from typing import Any

import pytest

from drystone.formats.pdata.memory import MemoryBlocks
from drystone.formats.thin.delta_text import Sides, spell_json, spell_xml
from drystone.formats.thin.devices import find_mapping_root
from drystone.formats.thin.difference import Kind, iter_segments
from drystone.formats.thin.superblock import read_superblock
from drystone.testing.thin_metadata import write_thin_metadata

FIRST = {block: 100 + block for block in range(20)}
SECOND: dict[int, int | tuple[int, int]] = {block: data for block, data in FIRST.items() if block not in {3, 4}}
SECOND |= {8: (500, 2), 9: (501, 2), 10: (700, 2), 30: 40, 31: 41, 32: 90}
SAME, LEFT, RIGHT, DIFFERENT = Kind.SAME, Kind.LEFT_ONLY, Kind.RIGHT_ONLY, Kind.DIFFERENT


def read(**options: bool) -> list[tuple[Any, ...]]:
    reader = MemoryBlocks(write_thin_metadata({1: FIRST, 2: SECOND}, fan_out=4))
    roots = [find_mapping_root(reader, read_superblock(reader), dev) for dev in (1, 2)]
    return [
        row
        for part in iter_segments(reader, roots[0], roots[1], **options)
        for row in zip(part.kinds.tolist(), part.begin.tolist(), part.length.tolist(), strict=True)
    ]


def test_segments_by_kind() -> None:
    assert read() == [(SAME, 0, 3), (LEFT, 3, 2), (SAME, 5, 3), (DIFFERENT, 8, 3), (SAME, 11, 9), (RIGHT, 30, 3)]


def test_what_changed_only() -> None:
    assert read(changed_only=True) == [(LEFT, 3, 2), (DIFFERENT, 8, 3), (RIGHT, 30, 3)]


def test_segments_by_data() -> None:
    assert read(by_data=True)[3:] == [
        (DIFFERENT, 8, 2),
        (DIFFERENT, 10, 1),
        (SAME, 11, 9),
        (RIGHT, 30, 2),
        (RIGHT, 32, 1),
    ]


def spell(*, as_json: bool = False, verbose: bool = False, old: bool = False) -> str:
    reader = MemoryBlocks(write_thin_metadata({1: FIRST, 2: SECOND}, fan_out=4, held={1: FIRST}, transaction_id=3))
    superblock = read_superblock(reader)
    roots = [find_mapping_root(reader, superblock, dev) for dev in (1, 2)]
    segments = iter_segments(reader, roots[0], roots[1], by_data=verbose)
    sides = Sides(("thin", 1), ("root", 77))
    if as_json:
        chunks = spell_json(superblock, sides, segments, verbose=verbose)
    else:
        chunks = spell_xml(superblock, sides, segments, verbose=verbose, old=old)
    return b"".join(bytes(chunk) for chunk in chunks).decode()


def test_plain_xml() -> None:
    lines = spell().splitlines()
    assert lines[:4] == [
        '<superblock uuid="" time="0" transaction="3" data_block_size="128" nr_data_blocks="701">',
        '  <diff left="1" right_root="77">',
        '    <same begin="0" length="3"/>',
        '    <left_only begin="3" length="2"/>',
    ]
    assert lines[-3:] == ['    <right_only begin="30" length="3"/>', "  </diff>", "</superblock>"]


def test_the_old_spelling_tells_of_a_metadata_snapshot() -> None:
    assert ' nr_data_blocks="701" metadata_snap="' in spell(old=True)


def test_verbose_xml() -> None:
    assert spell(verbose=True).splitlines()[11:-2] == [
        "    <different>",
        '      <range begin="8" left_data_begin="108" right_data_begin="500" length="2"/>',
        '      <range begin="10" left_data_begin="110" right_data_begin="700" length="1"/>',
        "    </different>",
        "    <same>",
        '      <range begin="11" data_begin="111" length="9"/>',
        "    </same>",
        "    <right_only>",
        '      <range begin="30" data_begin="40" length="2"/>',
        '      <range begin="32" data_begin="90" length="1"/>',
        "    </right_only>",
    ]


@pytest.mark.parametrize("verbose", [True, False])
def test_json(verbose: bool) -> None:
    document = json.loads(spell(as_json=True, verbose=verbose))
    assert document["left"] == 1
    assert document["right_root"] == 77
    assert document["rows"][1] == ["left_only", 3, 2, *([103, None] if verbose else [])]
    assert document["rows"][-1] == (["right_only", 32, 1, None, 90] if verbose else ["right_only", 30, 3])


def test_two_that_are_the_same() -> None:
    reader = MemoryBlocks(write_thin_metadata({1: FIRST}, fan_out=4))
    root = find_mapping_root(reader, read_superblock(reader), 1)
    assert [part.length.tolist() for part in iter_segments(reader, root, root)] == [[20]]
    read_before = reader.blocks_read
    assert list(iter_segments(reader, root, root, changed_only=True)) == []
    assert reader.blocks_read == read_before
