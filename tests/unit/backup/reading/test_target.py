"""Where a restore may write, and where not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from drystone.backup.reading.new_file import NewFile
from drystone.backup.reading.target import FileTarget, choose_target
from drystone.base.errors import ExistsError, KernelError, NotFoundError, UsageError


@pytest.mark.parametrize("path", ["/dev/no-such-disk", "/dev/mapper/no-such-volume"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_mistyped_device_is_not_made_as_a_file(path: str, overwrite: bool) -> None:
    with pytest.raises(NotFoundError, match=path):
        choose_target(path, 4096, overwrite=overwrite)
    assert not os.path.lexists(path)


def test_neither_a_folder_nor_a_character_device_is_replaced(tmp_path: Path) -> None:
    for path in (str(tmp_path), "/dev/null"):
        with pytest.raises(UsageError, match="neither"):
            choose_target(path, 4096, overwrite=True)


@pytest.mark.parametrize("path", ["", "no-such-folder/"])
def test_what_names_no_file_makes_none(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError):
        choose_target(path, 4096)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KernelError), NewFile(str(tmp_path / "file"), size=-1):
        pass
    assert list(tmp_path.iterdir()) == []


def test_files_in_shared_memory_are_files() -> None:
    assert isinstance(choose_target("/dev/shm/no-such-file", 4096), FileTarget)


def test_what_a_link_leads_to_is_replaced_and_the_link_stays(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_bytes(b"old")
    link.symlink_to(real)
    with pytest.raises(ExistsError), choose_target(str(link), 3):
        pass
    with choose_target(str(link), 3, overwrite=True) as target:
        target.write(0, b"new")
        assert real.read_bytes() == b"old"
    assert link.is_symlink()
    assert real.read_bytes() == b"new"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["link", "real"]


def test_a_link_that_leads_to_itself_is_a_name_that_is_taken(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(ExistsError), choose_target(str(tmp_path / "loop"), 3):
        pass
    assert (tmp_path / "loop").is_symlink()
