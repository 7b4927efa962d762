"""Netlink attributes, there and back, and bytes that are none."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from drystone.kernel.genetlink import attribute, nested, parse_attributes


def test_attributes_have_their_layout() -> None:
    assert attribute(5, b"abc") == struct.pack("=HH", 7, 5) + b"abc\0"
    inner = attribute(1, b"xy")
    assert nested(7, inner) == struct.pack("=HH", 12, 7 | 1 << 15) + inner


@given(st.dictionaries(st.integers(0, (1 << 14) - 1), st.binary(max_size=9), max_size=5))
def test_they_go_round(wanted: dict[int, bytes]) -> None:
    data = b"".join(attribute(kind, value) for kind, value in wanted.items())
    assert parse_attributes(data) == wanted


@given(st.binary(max_size=64))
def test_any_bytes_end(data: bytes) -> None:
    assert sum(map(len, parse_attributes(data).values())) <= len(data)
