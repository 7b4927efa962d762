"""What wipefs tells."""

from __future__ import annotations

from pathlib import Path

import pytest

from drystone.kernel.programs import find_program
from drystone.kernel.wipefs import Mark, list_marks, parse_marks


def test_its_output() -> None:
    text = '{"signatures": [{"offset": "0x438", "length": 2, "type": "ext4"}, {"offset": "0x0", "type": "x"}]}'
    assert parse_marks(text) == (Mark("ext4", 1080, 2), Mark("x", 0, 0))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"signatures": [{"offset": "x", "type": "y"}]}'])
def test_what_is_not_its_output_tells_nothing(text: str) -> None:
    assert parse_marks(text) == ()


def test_the_program_itself(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    data = bytearray(1 << 20)
    path.write_bytes(data)
    assert list_marks(str(path)) == ()
    data[4086:4096] = b"SWAPSPACE2"
    data[1024:1036] = (1).to_bytes(4, "little") + (200).to_bytes(4, "little") + bytes(4)
    path.write_bytes(data)
    expected = {"swap"} if find_program("wipefs") else set()
    assert {mark.kind for mark in list_marks(str(path))} == expected
