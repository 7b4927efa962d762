"""Lists of changes that others tell."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drystone.backup.told_source import ToldSource, parse_ranges
from drystone.base.errors import DrystoneError, NotFoundError, UsageError

ROWS = [(4096, 4096), (0, 512), (8192, 100), (8000, 300)]
JOINED = [[0, 512], [4096, 4204]]


@pytest.mark.parametrize(
    "data",
    [
        "".join(f"{begin} {length}\n" for begin, length in ROWS),
        json.dumps(ROWS),
        json.dumps({"pool": "p", "block_size": 4096, "ranges": ROWS}),
        json.dumps([{"offset": begin, "length": length, "exists": "true"} for begin, length in ROWS]),
    ],
)
def test_every_spelling_is_read(data: str) -> None:
    assert parse_ranges(data.encode()).tolist() == JOINED


@pytest.mark.parametrize("data", ["", "\n", "[]", '{"ranges": []}', "4096 0\n"])
def test_nothing_changed(data: str) -> None:
    assert parse_ranges(data.encode()).shape == (0, 2)


@pytest.mark.parametrize(
    "data",
    [
        "1 2 3 4\n", "1\n2\n", "a b\n", "-1 5\n", "5 -1\n", f"{1 << 62} {1 << 62}\n", f"{1 << 70} 1\n",
        "{}", '{"ranges": [[1]]}', '[{"offset": 1}]', "[1, 2]", "[[0, 1.5]]", '["a"]', "[[0, 4096]",
        f"[[{1 << 70}, 1]]", '{"x": ' + "[" * 100_000 + "]" * 100_000 + "}",
    ],
)  # fmt: skip
def test_what_is_no_list_is_refused(data: str) -> None:
    with pytest.raises(UsageError):
        parse_ranges(data.encode())


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 60)), max_size=20))
def test_the_joined_ranges_cover_the_same_bytes(rows: list[tuple[int, int]]) -> None:
    joined = parse_ranges(json.dumps(rows).encode())
    covered = {byte for begin, length in rows for byte in range(begin, begin + length)}
    assert {byte for begin, length in joined.tolist() for byte in range(begin, begin + length)} == covered
    assert (joined[1:, 0] > joined[:-1].sum(axis=1)).all()


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        parse_ranges(data)
    except DrystoneError:
        return


def test_a_source_reads_what_it_was_told(tmp_path: Path) -> None:
    image, changes = tmp_path / "image", tmp_path / "changes"
    image.write_bytes(bytes(range(256)) * 64)
    changes.write_text("512 512\n")
    with ToldSource(image, changes) as source:
        assert source.relative
        assert source.extents().tolist() == [[512, 512]]
        buffer = np.zeros(512, dtype=np.uint8)
        source.read_into(512, buffer)
        assert buffer.tobytes() == bytes(range(256)) * 2


def test_a_list_of_another_device_is_refused(tmp_path: Path) -> None:
    image, changes = tmp_path / "image", tmp_path / "changes"
    image.write_bytes(bytes(4096))
    changes.write_text("4096 1\n")
    with pytest.raises(UsageError, match="4096"):
        ToldSource(image, changes).__enter__()
    with pytest.raises(NotFoundError):
        ToldSource(image, tmp_path / "none").__enter__()
