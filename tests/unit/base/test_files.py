from __future__ import annotations

import os
from pathlib import Path

import pytest

from drystone.base.errors import UsageError
from drystone.base.files import replace_file, replacing, write_all


def test_a_file_is_replaced_whole_and_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    replace_file(path, b"old")
    replace_file(path, b"new", mode=0o640)
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.json"
    replace_file(path, b"old")

    def no_space(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_folder_is_synced_after_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    fsync, rename = os.fsync, os.rename

    def recorded_fsync(handle: int) -> None:
        steps.append("fsync folder" if Path(f"/proc/self/fd/{handle}").is_dir() else "fsync file")
        fsync(handle)

    def recorded_rename(source: str, target: str) -> None:
        steps.append("rename")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(os, "rename", recorded_rename)
    replace_file(tmp_path / "state.json", b"new")
    assert steps == ["fsync file", "rename", "fsync folder"]


def test_short_writes_are_gone_on_with() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, True)
    write_all(writer, b"x" * 60000)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        assert stream.read() == b"x" * 60000


def test_what_is_written_is_at_its_place_only_when_all_went_well(tmp_path: Path) -> None:
    path = tmp_path / "dump.xml"
    path.write_bytes(b"old")

    def write_half() -> None:
        with replacing(path) as file:
            file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert path.read_bytes() == b"old"
    with replacing(path, mode=0o640) as file:
        file.write(b"whole")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"whole"
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_what_need_not_be_durable_is_not_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(handle: int) -> None:
        raise AssertionError(handle)

    monkeypatch.setattr(os, "fsync", refused)
    with replacing(tmp_path / "dump.xml", durable=False) as file:
        file.write(b"text")
    assert (tmp_path / "dump.xml").read_bytes() == b"text"


def test_a_folder_that_is_not_there_is_told_by_the_name_that_was_given(tmp_path: Path) -> None:
    path = tmp_path / "none" / "dump.xml"
    with pytest.raises(FileNotFoundError) as caught:
        replace_file(path, b"")
    assert caught.value.filename == str(path)


def test_only_a_plain_file_is_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path / "link", tmp_path):
        with pytest.raises(UsageError, match="no plain file"):
            replace_file(path, b"new")
    assert (tmp_path / "fifo").is_fifo()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["fifo", "link"]
