"""Folders of labs: who holds them, and what happens to those that nobody holds."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from drystone.base.errors import ExistsError, UsageError
from drystone.lab.folders import check_lab_name, claim_folder, running_labs, started_at, sweep


def test_a_claimed_name_is_taken_until_its_lock_is_let_go(tmp_path: Path) -> None:
    folder, lock = claim_folder(tmp_path, "demo")
    (folder / "control").touch()
    with pytest.raises(ExistsError, match="demo"):
        claim_folder(tmp_path, "demo")
    sweep(tmp_path)
    assert list(running_labs(tmp_path)) == ["demo"]
    os.close(lock)
    again, lock = claim_folder(tmp_path, "demo")
    assert not list(again.iterdir())
    os.close(lock)


def test_a_sweep_ends_the_guests_of_a_dead_lab_and_removes_its_folders(tmp_path: Path) -> None:
    guest = subprocess.Popen(["sleep", "60"], start_new_session=True)
    disks = tmp_path / "elsewhere"
    disks.mkdir()
    root = tmp_path / "root"
    node = root / "demo" / "node1"
    node.mkdir(parents=True)
    (node / "pid").write_text(f"{guest.pid} {started_at(guest.pid)}")
    (root / "demo" / "disks").symlink_to(disks)
    sweep(root)
    assert guest.wait(10) == -9
    assert not list(root.iterdir())
    assert not disks.exists()


def test_a_sweep_spares_a_process_that_only_has_the_same_pid(tmp_path: Path) -> None:
    other = subprocess.Popen(["sleep", "60"], start_new_session=True)
    node = tmp_path / "demo" / "node1"
    node.mkdir(parents=True)
    (node / "pid").write_text(f"{other.pid} 1")
    sweep(tmp_path)
    assert other.poll() is None
    other.kill()
    other.wait()


def test_an_empty_folder_goes_once_it_is_old(tmp_path: Path) -> None:
    for name in ("new", "old"):
        (tmp_path / name).mkdir()
    os.utime(tmp_path / "old", (0, 0))
    sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


@pytest.mark.parametrize("name", ["", "a", "../x", "a/b", "x" * 33])
def test_names_that_are_no_folders_are_refused(name: str) -> None:
    with pytest.raises(UsageError):
        check_lab_name(name)
