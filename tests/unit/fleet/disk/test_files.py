from __future__ import annotations

import os
from pathlib import Path

import pytest

from drystone.fleet.disk.files import DiskFiles


def test_names_are_a_keys_utf_8(tmp_path: Path) -> None:
    files = DiskFiles(tmp_path)
    files.make_folders("ä/\U0001f600")
    handle = files.create("ä/\U0001f600/e\u0301\n")
    files.write(handle, b"abc")
    files.write_at(handle, b"X", 1)
    files.set_time(handle, 1234.5)
    files.sync(handle)
    os.close(handle)
    assert os.path.isfile(os.fsencode(tmp_path) + "/ä/\U0001f600/e\u0301\n".encode())  # noqa: PTH113  # bytes
    assert files.names("ä/\U0001f600") == ["e\u0301\n"]
    path = tmp_path / "ä/\U0001f600/e\u0301\n"
    assert path.read_bytes() == b"aXc"
    assert path.stat().st_mtime == 1234.5


def test_a_copy_takes_a_part_of_a_file(tmp_path: Path) -> None:
    files = DiskFiles(tmp_path)
    (tmp_path / "a").write_bytes(b"0123456789" * 100_000)
    source, target = files.open("a"), files.create("b")
    files.write(target, b"before ")
    files.copy(source, target, 0, 500_003)
    files.copy(source, target, 500_000, 7)
    with pytest.raises(OSError, match="shorter"):
        files.copy(source, target, 999_999, 2)
    os.close(source)
    os.close(target)
    data = b"0123456789" * 100_000
    assert (tmp_path / "b").read_bytes().startswith(b"before " + data[:500_003] + data[500_000:500_007])


def test_what_is_gone_is_gone(tmp_path: Path) -> None:
    files = DiskFiles(tmp_path)
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("file")
    assert not files.unlink("nothing")
    assert not files.unlink("file/below")
    assert files.names("nothing") == [] == files.names("file")
    assert not files.exists("nothing")
    with pytest.raises(OSError, match="symbolic"):
        files.open("link")
    assert files.unlink("link")
    assert (tmp_path / "file").exists()
    with pytest.raises(FileExistsError):
        files.create("file")
