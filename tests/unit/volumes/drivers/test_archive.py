"""A folder comes back out of its archive as it was; an archive cannot reach outside its folder."""

from __future__ import annotations

import errno
import io
import os
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drystone.base.errors import DamagedError
from drystone.volumes.drivers.archive import pack, unpack


def make_tree(folder: Path) -> None:
    (folder / "empty").mkdir()
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / "sub" / "deep" / "name with blanks \udcff").write_bytes(b"odd name")
    (folder / "file").write_bytes(os.urandom(5000))
    (folder / "nothing").write_bytes(b"")
    os.link(folder / "file", folder / "sub" / "same")
    (folder / "link").symlink_to("sub/deep")
    (folder / "broken").symlink_to("/nowhere/at/all")
    os.mkfifo(folder / "fifo")
    (folder / "closed").write_bytes(b"x")
    (folder / "closed").chmod(0o400)
    (folder / "sub").chmod(0o2750)
    with (folder / "sparse").open("wb") as file:
        file.truncate(64 << 20)
        file.seek(32 << 20)
        file.write(b"island")
    os.utime(folder / "file", ns=(1_500_000_000_123_456_789, 1_600_000_000_987_654_321))
    os.utime(folder / "sub", ns=(5, 1_000_000_000_000_000_007))


def describe(folder: Path) -> dict[str, tuple[object, ...]]:
    found: dict[str, tuple[object, ...]] = {}
    for path in [folder, *folder.rglob("*")]:
        facts = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(facts.st_mode) else b""
        link = str(path.readlink()) if path.is_symlink() else ""
        found[str(path.relative_to(folder))] = (
            facts.st_mode,
            facts.st_uid,
            facts.st_gid,
            facts.st_mtime_ns,
            facts.st_nlink,
            content,
            link,
        )
    return found


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    folder.mkdir()
    make_tree(folder)
    return folder


def test_everything_comes_back(tmp_path: Path, tree: Path) -> None:
    before = describe(tree)
    length = pack(tree, tmp_path / "a.tar")
    assert length == (tmp_path / "a.tar").stat().st_size
    back = tmp_path / "back"
    back.mkdir()
    unpack(tmp_path / "a.tar", back)
    assert describe(back) == before


def test_holes_stay_holes(tmp_path: Path, tree: Path) -> None:
    pack(tree, tmp_path / "a.tar")
    assert (tmp_path / "a.tar").stat().st_size > 64 << 20
    assert (tmp_path / "a.tar").stat().st_blocks * 512 < 1 << 20
    back = tmp_path / "back"
    back.mkdir()
    unpack(tmp_path / "a.tar", back)
    assert (back / "sparse").stat().st_blocks * 512 < 1 << 20


def test_other_programs_read_it(tmp_path: Path, tree: Path) -> None:
    pack(tree, tmp_path / "a.tar")
    back = tmp_path / "back"
    back.mkdir()
    subprocess.run(["tar", "-x", "-p", "-f", str(tmp_path / "a.tar"), "-C", str(back)], check=True)
    mine = {name: facts[5:] for name, facts in describe(tree).items()}
    assert {name: facts[5:] for name, facts in describe(back).items()} == mine


def test_extended_attributes(tmp_path: Path) -> None:
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "file").write_bytes(b"x")
    value = b"\x00\xff binary = \n value"
    try:
        os.setxattr(folder / "file", "user.note", value)
    except OSError:
        return  # this file system has no attributes: nothing can be kept, and nothing was promised
    pack(folder, tmp_path / "a.tar")
    back = tmp_path / "back"
    back.mkdir()
    unpack(tmp_path / "a.tar", back)
    assert os.getxattr(back / "file", "user.note") == value


def test_an_archive_that_cannot_be_written_leaves_nothing(tmp_path: Path, tree: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"older")
    with pytest.raises(FileExistsError):
        pack(tree, tmp_path / "a.tar")
    assert (tmp_path / "a.tar").read_bytes() == b"older"


def forge(path: Path, *members: tarfile.TarInfo) -> None:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size))


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    info.size = 1 if kind == tarfile.REGTYPE else 0
    return info


@pytest.mark.parametrize(
    "members",
    [
        [member("/etc/evil")],
        [member("../evil")],
        [member("a/../../evil")],
        [member("lnk", tarfile.SYMTYPE, ".."), member("lnk/evil")],
        [member("h", tarfile.LNKTYPE, "/etc/passwd")],
        [member("lnk", tarfile.SYMTYPE, "/etc/passwd"), member("h", tarfile.LNKTYPE, "lnk")],
        [member("never/made/here")],
        [member("x", b"Q")],
    ],
)
def test_an_archive_reaches_nothing_outside(tmp_path: Path, members: list[tarfile.TarInfo]) -> None:
    forge(tmp_path / "a.tar", *members)
    back = tmp_path / "deep" / "back"
    back.mkdir(parents=True)
    with pytest.raises(DamagedError):
        unpack(tmp_path / "a.tar", back)
    assert [each.name for each in (tmp_path / "deep").iterdir()] == ["back"]


@pytest.mark.parametrize("content", [b"", b"no tar", bytes(512), b"\xff" * 1024])
def test_bytes_that_are_no_archive(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.tar").write_bytes(content)
    back = tmp_path / "back"
    back.mkdir()
    if content == bytes(512):
        unpack(tmp_path / "a.tar", back)
        assert list(back.iterdir()) == []
    else:
        with pytest.raises(DamagedError):
            unpack(tmp_path / "a.tar", back)


def test_what_goes_away_meanwhile_is_left_out(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    walk = os.walk

    def walk_and_remove(*args: Any, **options: Any) -> Iterator[tuple[str, list[str], list[str]]]:
        for parent, folders, files in walk(*args, **options):
            if "file" in files:
                (tree / "file").unlink()
                shutil.rmtree(tree / "empty")
            yield parent, folders, files

    monkeypatch.setattr("os.walk", walk_and_remove)
    pack(tree, tmp_path / "archive")
    back = tmp_path / "back"
    back.mkdir()
    unpack(tmp_path / "archive", back)
    assert not (back / "file").exists()
    # Its other name is a file of its own now, not a link to what is not there.
    assert (back / "sub" / "same").stat().st_size == 5000


def test_a_folder_that_cannot_be_listed_is_an_error(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def refuse(path: str) -> Any:
        if Path(path).name == "deep":
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(PermissionError):
        pack(tree, tmp_path / "archive")
    assert not (tmp_path / "archive").exists()
