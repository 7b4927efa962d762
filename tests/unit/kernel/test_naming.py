"""A free name is given on every file system, and one that is taken on none."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import NoReturn

import pytest

from drystone.kernel.libc import rename_to_free
from drystone.kernel.naming import Call, give_free_name


def refusing(number: int) -> Call:
    def refuse(_path: str, _target: str) -> NoReturn:
        raise OSError(number, os.strerror(number))

    return refuse


NO_LINK, NO_FLAGS = refusing(errno.EPERM), refusing(errno.EINVAL)
WAYS: list[tuple[Call, Call]] = [(os.link, NO_FLAGS), (NO_LINK, rename_to_free), (NO_LINK, NO_FLAGS)]


@pytest.mark.parametrize(("link", "rename"), WAYS)
def test_a_free_name_is_given(tmp_path: Path, link: Call, rename: Call) -> None:
    (tmp_path / "old").write_text("whole")
    give_free_name(tmp_path / "old", tmp_path / "new", link=link, rename=rename)
    assert (tmp_path / "new").read_text() == "whole"


@pytest.mark.parametrize(("link", "rename"), WAYS)
@pytest.mark.parametrize("dangling", [False, True])
def test_what_has_the_name_stays(tmp_path: Path, link: Call, rename: Call, dangling: bool) -> None:
    (tmp_path / "old").write_text("whole")
    if dangling:
        (tmp_path / "new").symlink_to("nothing")
    else:
        (tmp_path / "new").write_text("kept")
    with pytest.raises(FileExistsError):
        give_free_name(tmp_path / "old", tmp_path / "new", link=link, rename=rename)
    assert (tmp_path / "old").read_text() == "whole"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["new", "old"]
    assert (tmp_path / "new").is_symlink() == dangling
    assert dangling or (tmp_path / "new").read_text() == "kept"


@pytest.mark.parametrize(("link", "rename"), [(refusing(errno.EIO), rename_to_free), (NO_LINK, refusing(errno.EACCES))])
def test_a_failure_of_another_kind_is_told(tmp_path: Path, link: Call, rename: Call) -> None:
    (tmp_path / "old").write_text("whole")
    with pytest.raises(OSError, match=r"Input/output error|Permission denied"):
        give_free_name(tmp_path / "old", tmp_path / "new", link=link, rename=rename)
    assert [each.name for each in tmp_path.iterdir()] == ["old"]
