from __future__ import annotations

from pathlib import Path

import pytest

from drystone.base.errors import DamagedError, RefusedError, UnavailableError
from drystone.fleet.disk.identity import initialize, read_identity


def test_a_disk_is_made_once(tmp_path: Path) -> None:
    made = initialize(tmp_path, "f1")
    assert initialize(tmp_path, "f1") == made == read_identity(tmp_path)
    assert {each.name for each in tmp_path.iterdir()} == {".drystone", "primary", "secondary"}
    with pytest.raises(RefusedError, match="fleet f1"):
        initialize(tmp_path, "f2")


def test_an_unmounted_folder_is_no_disk(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="no identity") as caught:
        read_identity(tmp_path)
    assert "errno" not in caught.value.facts


@pytest.mark.parametrize("text", [b"", b"{}", b"\0" * 300, b"[" * 100_000, b'{"fleet": 1}'])
def test_a_damaged_identity_is_told(tmp_path: Path, text: bytes) -> None:
    initialize(tmp_path, "f1")
    (tmp_path / ".drystone/disk.json").write_bytes(text)
    with pytest.raises(DamagedError):
        read_identity(tmp_path)


def test_a_later_format_is_refused(tmp_path: Path) -> None:
    initialize(tmp_path, "f1")
    path = tmp_path / ".drystone/disk.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(UnavailableError, match="format 2"):
        read_identity(tmp_path)
