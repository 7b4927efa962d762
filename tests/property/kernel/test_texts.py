"""Parsers of the kernel's texts over any bytes, and spellings that come back."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from drystone.base.errors import DamagedError, UsageError
from drystone.kernel.dm.abc import DeviceNumber, TableLine, Uuid
from drystone.kernel.dm.nodes import mangle
from drystone.kernel.dm.text import format_ref, format_table, parse_ref, parse_table_text
from drystone.kernel.kmsg import parse_record
from drystone.kernel.loop import LoopStatus, pack_status, parse_status
from drystone.kernel.mounts import parse_mountinfo

_FIELD = st.binary(min_size=1, max_size=12).filter(lambda data: b"\0" not in data)


def _escape(field: bytes) -> bytes:
    return b"".join(b"\\%03o" % byte if byte in b" \t\n\\" else bytes([byte]) for byte in field)


@given(st.binary(max_size=300))
def test_any_bytes_are_mounts_or_damage(data: bytes) -> None:
    try:
        found = parse_mountinfo(data)
    except DamagedError:
        return
    assert len(found) == len([line for line in data.split(b"\n") if line])


@given(_FIELD, _FIELD, _FIELD, st.lists(st.sampled_from([b"master:1", b"shared:9", b"unbindable"]), max_size=3))
def test_paths_of_any_bytes_come_back(root: bytes, target: bytes, source: bytes, optional: list[bytes]) -> None:
    fields = [b"36", b"35", b"98:0", _escape(root), _escape(target), b"rw,noatime", *optional]
    line = b" ".join([*fields, b"-", b"ext4", _escape(source), b"rw"])
    (found,) = parse_mountinfo(line)
    assert found.root.encode("utf-8", "surrogateescape") == root
    assert found.target.encode("utf-8", "surrogateescape") == target
    assert found.source.encode("utf-8", "surrogateescape") == source
    assert found.optional == tuple(each.decode() for each in optional)
    assert found.kind == "ext4"


@given(st.binary(min_size=1, max_size=127))
def test_a_name_is_spelled_once_and_plainly(data: bytes) -> None:
    spelled = mangle(data.decode("utf-8", "surrogateescape"))
    assert mangle(spelled) == spelled
    assert spelled.isascii()
    assert not set(spelled) & set("/ \0\n\t'\"")


@given(
    st.binary(max_size=40).filter(lambda data: b"\\" not in data),
    st.binary(max_size=40).filter(lambda data: b"\\" not in data),
)
def test_two_names_are_not_spelled_alike(one: bytes, two: bytes) -> None:
    spelled = [mangle(each.decode("utf-8", "surrogateescape")) for each in (one, two)]
    assert (spelled[0] == spelled[1]) == (one == two)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_log_record_or_none(data: bytes) -> None:
    line = parse_record(data)
    assert line is None or "\n" not in line


@given(st.binary(max_size=300))
def test_any_bytes_are_a_loop_status_or_damage(data: bytes) -> None:
    try:
        parse_status(data)
    except DamagedError:
        assert len(data) < 232


@given(st.integers(0, (1 << 64) - 1), st.integers(0, (1 << 64) - 1), st.integers(0, (1 << 32) - 1))
def test_a_loop_status_comes_back(offset: int, size_limit: int, flags: int) -> None:
    status = LoopStatus(offset=offset, size_limit=size_limit, flags=flags)
    assert parse_status(pack_status(status)) == status


_WORD = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#"), min_size=1, max_size=8)


@given(
    st.lists(
        st.builds(TableLine, st.integers(0, 1 << 50), st.integers(1, 1 << 50), _WORD, st.lists(_WORD).map(" ".join))
    )
)
def test_a_table_comes_back_from_its_text(table: list[TableLine]) -> None:
    assert parse_table_text(format_table(table)) == table


@given(st.text(max_size=100))
def test_any_text_is_a_table_or_refused(text: str) -> None:
    with contextlib.suppress(UsageError):
        parse_table_text(text)


@given(
    st.one_of(
        _WORD.filter(lambda word: ":" not in word and "/" not in word),
        st.builds(Uuid, _WORD),
        st.builds(DeviceNumber, st.integers(0, 4095), st.integers(0, 1 << 19)),
    )
)
def test_a_reference_comes_back_from_its_text(ref: str | Uuid | DeviceNumber) -> None:
    assert parse_ref(format_ref(ref)) == ref
