from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from drystone.cli.tools.streams import open_output, write_chunks


def fail_midway() -> Iterator[bytes]:
    yield b"<superblock>"
    raise RuntimeError("the second block is damaged")


@pytest.mark.parametrize("before", [None, b"what was there"])
def test_a_failure_midway_leaves_what_was_there(tmp_path: Path, before: bytes | None) -> None:
    path = tmp_path / "dump.xml"
    if before is not None:
        path.write_bytes(before)
    with pytest.raises(RuntimeError):
        write_chunks(fail_midway(), str(path))
    assert (path.read_bytes() if path.exists() else None) == before
    assert list(tmp_path.iterdir()) == ([path] if before else [])


def test_a_file_that_is_replaced_keeps_its_owner_and_permissions(tmp_path: Path) -> None:
    path = tmp_path / "dump.xml"
    path.write_bytes(b"old")
    path.chmod(0o604)
    if os.geteuid() == 0:
        os.chown(path, 65534, 65534)
    owner = path.stat().st_uid
    write_chunks([b"a", b"b"], str(path))
    assert path.read_bytes() == b"ab"
    assert path.stat().st_mode & 0o777 == 0o604
    assert path.stat().st_uid == owner


def test_a_link_stays_one(tmp_path: Path) -> None:
    path, link = tmp_path / "dump.xml", tmp_path / "link"
    link.symlink_to(path)
    write_chunks([b"text"], str(link))
    assert link.is_symlink()
    assert path.read_bytes() == b"text"


def test_a_pipe_is_written_in_place(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()))
    reader.start()
    write_chunks([b"a", b"b"], str(pipe))
    reader.join()
    assert found == [b"ab"]
    assert pipe.is_fifo()


@pytest.mark.parametrize("place", ["/dev/stdout", "/proc/self/fd/1"])
def test_stdout_by_name_is_written_in_place_also_when_it_is_a_file(tmp_path: Path, place: str) -> None:
    code = f"from drystone.cli.tools.streams import write_chunks; write_chunks([b'text'], {place!r})"
    target = tmp_path / "out"
    with target.open("wb") as stdout:
        before = os.fstat(stdout.fileno()).st_ino
        subprocess.run([sys.executable, "-c", code], check=True, stdout=stdout)
    assert target.read_bytes() == b"text"
    assert target.stat().st_ino == before
    assert list(tmp_path.iterdir()) == [target]


def test_the_file_is_not_opened_before_there_is_text(tmp_path: Path) -> None:
    numbers = iter([1, 0])
    chunks = (b"%d" % (6 // number) for number in numbers)
    next(chunks)
    with pytest.raises(ZeroDivisionError):
        write_chunks(chunks, str(tmp_path / "none" / "dump.xml"))


def test_a_folder_that_is_not_there_is_told_by_the_name_that_was_given(tmp_path: Path) -> None:
    path = str(tmp_path / "none" / "dump.xml")
    with pytest.raises(FileNotFoundError) as caught, open_output(path):
        pass
    assert caught.value.filename == path


def test_a_link_to_itself_is_an_error_and_stays(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(link)
    with pytest.raises(OSError, match="symbolic links"):
        write_chunks([b"text"], str(link))
    assert list(tmp_path.iterdir()) == [link]


def test_a_link_to_what_is_not_there_makes_it(tmp_path: Path) -> None:
    path, link = tmp_path / "dump.xml", tmp_path / "link"
    link.symlink_to(path)
    write_chunks([b"text"], str(link))
    assert link.is_symlink()
    assert path.read_bytes() == b"text"
