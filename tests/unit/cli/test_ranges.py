"""Ranges as lines, JSON and bitmaps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from drystone.base.errors import DamagedError, NotFoundError
from drystone.cli.ranges import Extent, print_ranges, set_bits

Ranges = NDArray[np.uint64]

BATCHES = [[[0, 3], [9, 1]], [], [[100, 1]]]


def batches(rows: list[list[list[int]]] = BATCHES) -> Iterator[Ranges]:
    for each in rows:
        yield np.array(each, dtype=np.uint64).reshape(-1, 2)


def test_lines(capsys: pytest.CaptureFixture[str]) -> None:
    print_ranges({}, batches(), Extent(512), bitmap=None, as_json=False)
    assert capsys.readouterr().out == "0 1536\n4608 512\n51200 512\n"


@pytest.mark.parametrize("rows", [BATCHES, [], [[]]])
def test_json(rows: list[list[list[int]]], capsys: pytest.CaptureFixture[str]) -> None:
    print_ranges({"device": "d", "n": None}, batches(rows), Extent(512), bitmap=None, as_json=True)
    wanted = [[begin * 512, length * 512] for each in rows for begin, length in each]
    assert json.loads(capsys.readouterr().out) == {"device": "d", "n": None, "ranges": wanted}


@pytest.mark.parametrize(("size", "last"), [(None, 512), (51300, 100), (51200, 0), (600, 0)])
def test_the_last_block_ends_with_the_device(size: int | None, last: int, capsys: pytest.CaptureFixture[str]) -> None:
    print_ranges({}, batches(), Extent(512, 101, size), bitmap=None, as_json=False)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    ends = [int(begin) + int(length) for begin, length in lines]
    assert max(ends) <= (size or 1 << 62)
    assert (["51200", str(last)] in lines) == bool(last)


def test_a_bitmap(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bits"
    print_ranges({"a": 1}, batches(), Extent(512, 128), bitmap=path, as_json=True)
    assert path.read_bytes() == bytes([7, 2, *[0] * 10, 16, 0, 0, 0])
    assert json.loads(capsys.readouterr().out) == {"a": 1, "bitmap": str(path), "bytes": 16, "changed_blocks": 5}
    print_ranges({}, batches(), Extent(512), bitmap=path, as_json=False)
    assert path.read_bytes() == bytes([7, 2, *[0] * 10, 16]), "nobody knows how many blocks there are"
    print_ranges({}, batches([]), Extent(512), bitmap=path, as_json=False)
    assert path.read_bytes() == b""
    assert capsys.readouterr().out == ""
    with pytest.raises(NotFoundError, match="there is no folder"):
        print_ranges({}, batches(), Extent(512), bitmap=tmp_path / "nowhere" / "bits", as_json=False)


def test_blocks_where_no_device_reaches(tmp_path: Path) -> None:
    for bitmap in (None, tmp_path / "bits"):
        with pytest.raises(DamagedError, match="where no device reaches"):
            print_ranges({}, batches([[[1 << 62, 1]]]), Extent(512), bitmap=bitmap, as_json=False)


@given(st.sets(st.integers(0, 999)), st.integers(1, 7))
def test_bits(blocks: set[int], step: int) -> None:
    ranges: list[list[int]] = []
    for block in sorted(blocks):
        if ranges and sum(ranges[-1]) == block:
            ranges[-1][1] += 1
        else:
            ranges.append([block, 1])
    bits = np.zeros(125, dtype=np.uint8)
    for at in range(0, len(ranges), step):
        set_bits(bits, np.array(ranges[at : at + step], dtype=np.uint64).reshape(-1, 2))
    assert set(np.flatnonzero(np.unpackbits(bits, bitorder="little")).tolist()) == blocks
