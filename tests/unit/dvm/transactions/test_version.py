"""The envelope around the metadata."""

from __future__ import annotations

import msgspec
import pytest

from drystone.base.errors import DamagedError, UsageError
from drystone.dvm.transactions.version import Holder, Version, build_version, parse_metadata, parse_version


def test_the_metadata_come_back_byte_by_byte() -> None:
    text = b'{"a":  [1.50, 1e3, "\\u00e9"],\n "b": null}'
    version = Version(at="2026-01-02T15:04:05+01:00", command=("update", "x"), devices=(Holder("u", "/p"),))
    version = msgspec.structs.replace(version, metadata=parse_metadata(b" " + text + b"\n", "x"))
    found = parse_version(build_version(version))
    assert bytes(found.metadata) == text
    assert found.devices == version.devices
    assert found.command == version.command


def test_nothing_was_stored_yet() -> None:
    assert bytes(parse_version(b"").metadata) == b"null"
    assert parse_version(b"").devices == ()


@pytest.mark.parametrize("data", [b"{", b"[]", b'{"at": "x", "version": 2}', b'{"at": "x", "other": 1}', b"\xff"])
def test_what_is_no_envelope(data: bytes) -> None:
    with pytest.raises(DamagedError, match="no version document"):
        parse_version(data)


@pytest.mark.parametrize("data", [b"", b" \n", b"{", b"1 2", b"nul", b'"\xff"', b"[" * 100_000])
def test_what_is_no_metadata(data: bytes) -> None:
    with pytest.raises(UsageError, match=r"^the output: "):
        parse_metadata(data, "the output")
