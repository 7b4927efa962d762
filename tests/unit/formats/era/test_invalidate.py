from __future__ import annotations

import json

import numpy as np

from drystone.formats.era.invalidate import ROWS_AT_ONCE, format_json, format_ranges, format_xml

RANGES = [[[14, 1], [20, 2]], [[99, 1], [100_000, 900_001]]]
RUNS = [np.array(each, dtype=np.uint64).tobytes() for each in RANGES]


def test_xml() -> None:
    assert b"".join(format_xml(RUNS)).decode() == (
        "<blocks>\n"
        '  <block block="14"/>\n'
        '  <range begin="20" end="22"/>\n'
        '  <block block="99"/>\n'
        '  <range begin="100000" end="1000001"/>\n'
        "</blocks>\n"
    )


def test_the_spelling_of_0_9() -> None:
    text = b"".join(format_xml(RUNS[:1], old=True))
    assert text == b'<blocks>\n  <block block="14"/>\n  <range begin="20" end = "22"/>\n</blocks>\n'


def test_ranges() -> None:
    assert b"".join(format_ranges(RUNS)) == b"14 1\n20 2\n99 1\n100000 900001\n"


def test_json() -> None:
    document = json.loads(b"".join(format_json(RUNS, b'"written_since": 4')))
    assert document == {"written_since": 4, "ranges": [row for ranges in RANGES for row in ranges]}


def test_nothing_changed() -> None:
    assert b"".join(format_xml([])) == b"<blocks>\n</blocks>\n"
    assert b"".join(format_ranges([])) == b""
    assert json.loads(b"".join(format_json([], b'"a": 1'))) == {"a": 1, "ranges": []}


def test_many_come_in_pieces() -> None:
    ranges = np.stack((np.arange(100_000) * 3, np.full(100_000, 2)), axis=1).astype(np.uint64).tobytes()
    pieces = list(format_ranges([ranges]))
    assert len(pieces) == -(-100_000 // ROWS_AT_ONCE)
    assert b"".join(pieces).count(b"\n") == 100_000
