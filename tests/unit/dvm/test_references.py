from __future__ import annotations

import pytest

from drystone.base.errors import UsageError
from drystone.dvm.references import (
    check_device_name,
    check_uuid,
    names_in,
    paths_in,
    with_names_replaced,
    with_numbers_replaced,
    with_paths_replaced,
)
from drystone.kernel.dm.abc import DeviceNumber


def test_references_are_whole_words() -> None:
    assert names_in("2 64 {a} 0 {b.c} 128 {a} 9") == ("a", "b.c", "a")
    assert names_in("x{a} {a}y 7:0 {}{}") == ()


def test_names_paths_and_numbers_are_replaced() -> None:
    assert with_names_replaced("{a} 0 {b} 1", {"a": "253:0", "b": "253:1"}.__getitem__) == "253:0 0 253:1 1"
    assert paths_in("/dev/loop0 0 a/b") == ("/dev/loop0",)
    assert with_paths_replaced("/dev/loop0 0", lambda _: "7:0") == "7:0 0"
    assert with_numbers_replaced("253:7 0 253:70 8:0 ", {DeviceNumber(253, 7): "x"}) == "{x} 0 253:70 8:0"


@pytest.mark.parametrize("name", ["", "a b", "a/b", "{a}", ".", "..", "a\n", "a\x00", "ü\u2028", "x" * 128, "é" * 64])
def test_names_that_no_document_can_hold(name: str) -> None:
    with pytest.raises(UsageError, match="device name"):
        check_device_name(name)


def test_names_and_uuids_at_their_limits() -> None:
    assert check_device_name("x" * 127) == "x" * 127
    assert check_uuid("u" * 128, "x") == "u" * 128
    for uuid in ("u" * 129, "a b", "a\t"):
        with pytest.raises(UsageError, match="uuid"):
            check_uuid(uuid, "x")
