"""Packed metadata goes both ways, also between us and thin-provisioning-tools 1.x, where that is installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drystone.cli.pdata_tools import run_tool
from drystone.formats.thin.packed_numbers import decode_numbers, encode_rows
from drystone.testing.peers import Peer, find_peer
from drystone.testing.thin_metadata import BlockMap, write_thin_metadata


@pytest.fixture
def peer() -> Peer:
    found = find_peer("1.x")
    if found is None:
        pytest.skip("thin-provisioning-tools 1.x is not here; scripts/peers fetches it")
    return found


def make_image(kind: str) -> bytes:
    devices: dict[int, BlockMap] = {}
    if kind == "scattered":
        devices[1] = {block * 3: (block * 7919 % 65_537, block % 5) for block in range(5000)}
    if kind == "shared":
        devices[1] = {block: block for block in range(3000)}
        devices[2] = {**devices[1], 77: 9000}
        devices[1 << 20] = {(1 << 40) + block: (1 << 30) - block for block in range(500)}
    return write_thin_metadata(devices, held=devices, nr_blocks=512, nr_data_blocks=1 << 20)


@pytest.mark.parametrize("kind", ["empty", "scattered", "shared"])
def test_what_we_pack_they_unpack(kind: str, tmp_path: Path, peer: Peer) -> None:
    source, packed, back = (tmp_path / name for name in ("source", "packed", "back"))
    source.write_bytes(make_image(kind))
    assert run_tool(["thin_metadata_pack", "-i", str(source), "-o", str(packed)]) == 0
    done = peer.run("thin_metadata_unpack", "-i", packed, "-o", back)
    assert done.returncode == 0, done.stderr
    assert back.read_bytes() == source.read_bytes()


@pytest.mark.parametrize("kind", ["empty", "scattered", "shared"])
def test_what_they_pack_we_unpack(kind: str, tmp_path: Path, peer: Peer) -> None:
    source, packed, back = (tmp_path / name for name in ("source", "packed", "back"))
    source.write_bytes(make_image(kind))
    done = peer.run("thin_metadata_pack", "-i", source, "-o", packed)
    assert done.returncode == 0, done.stderr
    assert run_tool(["thin_metadata_unpack", "-i", str(packed), "-o", str(back)]) == 0
    assert back.read_bytes() == source.read_bytes()


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 5), st.integers(1, 300), st.data())
def test_numbers_there_and_back(height: int, width: int, data: st.DataObject) -> None:
    number = st.integers(0, (1 << 64) - 1) | st.integers(0, 300)
    run = st.tuples(number, st.integers(-20, 20) | st.integers(-(1 << 63), 1 << 63), st.integers(1, 40))
    rows = []
    for _ in range(height):
        row: list[int] = []
        for start, step, length in data.draw(st.lists(run, min_size=1, max_size=6)):
            row += [(start + step * place) % (1 << 64) for place in range(length)]
        rows.append((row * width)[:width])
    codes = encode_rows(np.array(rows, dtype=np.uint64))
    assert [decode_numbers(code, 0, width) for code in codes] == [
        (row, len(code)) for row, code in zip(rows, codes, strict=True)
    ]
