"""The parsers of device-mapper's answers over any bytes, and what goes out comes back."""

from __future__ import annotations

import contextlib
import struct

from hypothesis import example, given
from hypothesis import strategies as st

from drystone.base.errors import DamagedError
from drystone.kernel.dm.abc import DeviceNumber, TableLine
from drystone.kernel.dm.layout import (
    Header,
    decode_device,
    encode_device,
    pack_request,
    pack_table,
    parse_data,
    parse_deps,
    parse_header,
    parse_list,
    parse_table,
    parse_targets,
    parse_versions,
)

_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
_SECTORS = st.integers(0, (1 << 64) - 1)
_LINES = st.builds(TableLine, _SECTORS, _SECTORS, _TEXT.filter(lambda text: len(text.encode()) <= 15), _TEXT)


def _as_status(data: bytes, count: int) -> bytes:
    """The bytes of a load as a status would hold them: `next` from the beginning, not from the line."""
    buffer, at = bytearray(data), 0
    for _ in range(count):
        (step,) = struct.unpack_from("=I", buffer, at + 20)
        struct.pack_into("=I", buffer, at + 20, at + step)
        at += step
    return bytes(buffer)


@given(st.lists(_LINES, max_size=8))
def test_a_table_comes_back(table: list[TableLine]) -> None:
    data = pack_table(table)
    assert len(data) % 8 == 0
    assert parse_table(_as_status(data, len(table)), len(table)) == table


@given(st.integers(0, 4095), st.integers(0, (1 << 20) - 1))
def test_a_device_number_comes_back(major: int, minor: int) -> None:
    assert decode_device(encode_device(DeviceNumber(major, minor))) == (major, minor)


@given(
    _TEXT.filter(lambda text: len(text.encode()) <= 127),
    _TEXT.filter(lambda text: len(text.encode()) <= 128),
    st.integers(0, (1 << 32) - 1),
    st.binary(max_size=64),
)
def test_a_header_comes_back(name: str, uuid: str, number: int, data: bytes) -> None:
    header = Header(name=name, uuid=uuid, flags=number, event_nr=number, device=number, data_size=312 + len(data))
    buffer = pack_request(header, data)
    assert parse_header(buffer) == header
    assert parse_data(buffer, header) == data


@given(st.binary(max_size=400), st.integers(0, 1 << 32))
@example(struct.pack("=QQiI16s", 0, 8, 0, 40, b"zero"), 1 << 32)
def test_any_bytes_are_targets_or_damage(data: bytes, count: int) -> None:
    try:
        found = parse_targets(data, count)
    except DamagedError:
        return
    assert len(found) == count
    assert len(found) * 40 <= len(data)


@given(st.binary(max_size=400), st.sampled_from([(4, 30, 0), (4, 37, 0), (4, 47, 0)]))
def test_any_bytes_are_a_list_or_damage(data: bytes, version: tuple[int, int, int]) -> None:
    try:
        found = parse_list(data, version)
    except DamagedError:
        return
    assert len(found) * 12 <= len(data)


@given(st.binary(max_size=400))
def test_any_bytes_are_versions_deps_and_a_header_or_damage(data: bytes) -> None:
    with contextlib.suppress(DamagedError):
        assert len(parse_versions(data)) * 16 <= len(data)
    with contextlib.suppress(DamagedError):
        assert len(parse_deps(data)) * 8 <= len(data)
    with contextlib.suppress(DamagedError):
        parse_data(data, parse_header(data))
