from __future__ import annotations

import numpy as np
import pytest

from drystone.base.errors import DamagedError
from drystone.formats.thin.packed_numbers import decode_numbers, encode_rows


def encode(*numbers: int) -> str:
    (code,) = encode_rows(np.array([numbers], dtype=np.uint64))
    return code.hex(" ")


@pytest.mark.parametrize(
    ("numbers", "code"),
    [
        # As thin_metadata_pack 1.1.0 writes them.
        ([1, 2, 3, 4, 5, 0] + [0] * 246, "01 01 74 11 35 60 f6"),
        ([133, 107, 129, 81, 136, 0], "01 85 41 1a 21 16 41 30 21 37 41 88"),
        ([3721, *range(3724, 4001, 3)], "02 89 0e 80 5d 13"),
        ([0, 1396, 2, 2], "01 00 22 74 05 42 72 05 51"),
        ([5], "01 05"),
        ([0, (1 << 64) - 1, 0], "01 00 28 ff ff ff ff ff ff ff ff 48 ff ff ff ff ff ff ff ff"),
    ],
)
def test_the_code_is_that_of_the_peer(numbers: list[int], code: str) -> None:
    assert encode(*numbers) == code
    assert decode_numbers(bytes.fromhex(code), 0, len(numbers)) == (numbers, len(bytes.fromhex(code)))


def test_rows_are_apart() -> None:
    rows = np.array([[1, 2, 3], [1, 2, 3], [9, 9, 9]], dtype=np.uint64)
    assert [code.hex() for code in encode_rows(rows)] == ["01017211", "01017211", "010952"]


@pytest.mark.parametrize(
    ("code", "count", "message"),
    [
        ("", 1, "too early"),
        ("01", 1, "too early"),
        ("02 05", 1, "too early"),
        ("03 01 02 03", 1, "3 bytes"),
        ("c0", 1, "not known"),
        ("74 51", 1, "no step"),
        ("74 74 11", 1, "no step"),
        ("01 01 52", 2, "are 3"),
        ("50 50 50", 1, "too early"),
    ],
)
def test_what_is_no_code_is_refused(code: str, count: int, message: str) -> None:
    with pytest.raises(DamagedError, match=message):
        decode_numbers(bytes.fromhex(code), 0, count)
