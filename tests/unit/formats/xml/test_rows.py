from __future__ import annotations

import numpy as np
import pytest

from drystone.formats.xml.rows import Rows, RowTemplate, count_digits, format_mixed, format_rows

PAIR = RowTemplate((b"<a n=", b" m=", b"/>\n"))
ONE = RowTemplate((b"(", b")\n"))
NONE = RowTemplate((b"--\n",))

EDGES = [0, 1, 9, 10, 99, 100, 9999, 10_000, 99_999_999, 100_000_000, (1 << 32) - 1, 1 << 32, 10**19 - 1, 10**19]
EDGES += [(1 << 64) - 1, (1 << 63)]


def numbers(*values: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    return np.array(values, dtype=np.uint64)


def test_numbers_of_every_width() -> None:
    backwards = EDGES[::-1]
    text = format_rows(PAIR, [numbers(*EDGES), numbers(*backwards)]).tobytes().decode()
    assert text == "".join(f"<a n={n} m={m}/>\n" for n, m in zip(EDGES, backwards, strict=True))


@pytest.mark.parametrize("kind", [np.uint8, np.uint32, np.uint64])
def test_columns_of_any_unsigned_type(kind: type[np.unsignedinteger]) -> None:
    assert format_rows(ONE, [np.array([7, 200], dtype=kind)]).tobytes() == b"(7)\n(200)\n"


def test_count_digits() -> None:
    assert count_digits(numbers(*EDGES)).tolist() == [len(str(each)) for each in EDGES]
    assert count_digits(numbers()).tolist() == []


def test_rows_of_several_templates_stand_in_their_places() -> None:
    parts = [
        Rows(ONE, np.array([1, 3]), [numbers(5, 123)]),
        Rows(PAIR, np.array([0]), [numbers(1), numbers(22)]),
        Rows(NONE, np.array([2, 4]), []),
        Rows(ONE, np.array([], dtype=np.int64), [numbers()]),
    ]
    assert format_mixed(5, parts).tobytes() == b"<a n=1 m=22/>\n(5)\n--\n(123)\n--\n"


def test_no_rows() -> None:
    assert format_rows(ONE, [numbers()]).tobytes() == b""


def test_many_rows_of_mixed_widths() -> None:
    random = np.random.default_rng(3)
    column = 10 ** random.integers(0, 19, 5000).astype(np.uint64) + random.integers(0, 9, 5000).astype(np.uint64)
    text = format_rows(ONE, [column]).tobytes().decode()
    assert text == "".join(f"({each})\n" for each in column.tolist())
