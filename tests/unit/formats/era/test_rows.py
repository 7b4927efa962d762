from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from drystone.formats.era.rows import NumberedRows, read_bits, read_numbers, spell_bits, spell_numbers

ERAS = (b'    <era block="', b'" era="', b'"/>\n')
BITS = (b'    <bit block="', b'" value="', b'"/>\n')
BEGINS = [0, 7, 98, 9_990, 9_999, 10_000, 99_990, 123_456, 2**31 - 20]


def ends_of(text: bytes) -> NDArray[np.int64]:
    return np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == 10)


def spell_eras(begin: int, eras: list[int]) -> bytes:
    return b"".join(b'    <era block="%d" era="%d"/>\n' % (begin + place, era) for place, era in enumerate(eras))


@pytest.mark.parametrize("begin", BEGINS)
@pytest.mark.parametrize("most", [1, 10, 10_000, 10_001, 2**32])
def test_rows_of_numbers(begin: int, most: int) -> None:
    eras = np.random.default_rng(begin).integers(0, most, 30).astype(np.uint32)
    eras[7] = most - 1
    assert NumberedRows(*ERAS).format(begin, spell_numbers(eras)) == spell_eras(begin, eras.tolist())


@pytest.mark.parametrize("bits", [[0, 0, 0], [1, 1, 1], [0, 1, 0, 1]])
def test_rows_of_bits(bits: list[int]) -> None:
    text = NumberedRows(*BITS).format(9_998, spell_bits(np.array(bits, dtype=np.bool_)))
    words = ["false", "true"]
    assert text.decode().splitlines() == [
        f'    <bit block="{9_998 + place}" value="{words[bit]}"/>' for place, bit in enumerate(bits)
    ]


@pytest.mark.parametrize("begin", BEGINS)
def test_rows_are_read_back_group_by_group(begin: int) -> None:
    eras = np.random.default_rng(begin).integers(0, 2**32, 40, dtype=np.uint32) >> np.arange(40, dtype=np.uint32) % 32
    rows = NumberedRows(*ERAS)
    text = np.frombuffer(b"xx\n" + spell_eras(begin, eras.tolist()), dtype=np.uint8)
    ends = ends_of(text.tobytes())[1:]
    start, found = 3, 0
    while found < len(eras):
        values = rows.match(text, ends[found:], start, begin + found, read_numbers)
        assert len(values)
        assert np.array_equal(values, eras[found : found + len(values)])
        found += len(values)
        start = int(ends[found - 1]) + 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'block="3"', b'block="4"'),
        (b'era="3"', b'era="03"'),
        (b'era="3"', b'era="x"'),
        (b'era="3"', b'era=""'),
        (b'era="3"', b'era="4294967296"'),
        (b'era="3"', b'era="99999999999"'),
        (b'<era block="3"', b'<era  block="3"'),
        (b'era="3"/>', b'era="3" />'),
        (b'    <era block="3" era="3"/>\n', b"  </era_array>\n"),
    ],
)
def test_the_first_row_that_is_not_regular_ends_it(old: bytes, new: bytes) -> None:
    text = spell_eras(0, list(range(6))).replace(old, new)
    array = np.frombuffer(text, dtype=np.uint8)
    values = NumberedRows(*ERAS).match(array, ends_of(text), 0, 0, read_numbers)
    assert values.tolist() == [0, 1, 2]


def test_bits_that_are_neither_true_nor_false() -> None:
    rows = NumberedRows(*BITS)
    text = rows.format(0, spell_bits(np.array([True, False, True])))
    for wrong in (text.replace(b'"false"', b'"falsy"'), text.replace(b'"false"', b'"maybes"')):
        values = rows.match(np.frombuffer(wrong, dtype=np.uint8), ends_of(wrong), 0, 0, read_bits)
        assert values.tolist() == [True]
