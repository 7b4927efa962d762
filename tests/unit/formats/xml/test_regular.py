from __future__ import annotations

import numpy as np
import pytest

from drystone.formats.xml.elements import RowKind
from drystone.formats.xml.regular import IRREGULAR, MARGIN, FoundLines, find_lines

SINGLE = RowKind("s", ("a", "b"), indent=1)
RANGE = RowKind("r", ("a", "b", "c"), indent=1)


def find(text: bytes, margin: bytes = bytes(MARGIN)) -> FoundLines:
    return find_lines(np.frombuffer(margin + text + margin, dtype=np.uint8), [SINGLE, RANGE])


def test_lines_of_two_kinds() -> None:
    found = find(b' <s a="1" b="22"/>\n <r a="3" b="4" c="18446744073709551615"/>\n <s a="5" b="0"/>\n')
    assert found.kinds.tolist() == [0, 1, 0]
    assert [column.tolist() for column in found.columns[0]] == [[1, 5], [22, 0]]
    assert [column.tolist() for column in found.columns[1]] == [[3], [4], [(1 << 64) - 1]]
    assert found.ends.tolist() == [19, 62, 80]


def test_every_number_of_digits() -> None:
    values = [int("1234567890123456789"[:width]) for width in range(1, 20)]
    found = find(b"".join(b' <s a="%d" b="7"/>\n' % each for each in values))
    assert found.columns[0][0].tolist() == values


@pytest.mark.parametrize(
    "line",
    [
        b' <s a="01" b="2"/>\n',
        b' <s a="" b="2"/>\n',
        b' <s a="1" b="2" />\n',
        b' <s a="1"  b="2"/>\n',
        b'  <s a="1" b="2"/>\n',
        b'\t<s a="1" b="2"/>\n',
        b" <s a='1' b='2'/>\n",
        b' <s b="1" a="2"/>\n',
        b' <s a="-1" b="2"/>\n',
        b' <s a="1:" b="2"/>\n',
        b' <s a="/0" b="2"/>\n',
        b' <s a="18446744073709551616" b="2"/>\n',
        b' <s a="99999999999999999999" b="2"/>\n',
        b' <s a="100000000000000000000" b="2"/>\n',
        b' <t a="1" b="2"/>\n',
        b' <s a="1" b="2"/>\r\n',
        b' <s a="1" b="2">\n',
        b"\n",
        b'""""\n',
        b' <s a="\xb1" b="2"/>\n',
        b' <s a="1" b="2"/> <s a="1" b="2"/>\n',
    ],
)
def test_any_other_line_is_irregular(line: bytes) -> None:
    sound = b' <s a="4" b="5"/>\n'
    found = find(sound + line + sound)
    assert found.kinds.tolist() == [0, IRREGULAR, 0]
    assert found.columns[0][0].tolist() == [4, 4]


def test_what_is_in_the_margin_is_of_no_matter() -> None:
    text = b' <s a="4" b="123456789"/>\n'
    assert find(text, b"9" * MARGIN).columns[0][1].tolist() == [123456789]


def test_no_lines() -> None:
    found = find(b"")
    assert len(found.kinds) == 0
    assert [len(column) for column in found.columns[0]] == [0, 0]
