"""Folders of labs: who holds them, and what happens to those that nobody holds."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

import pytest

from drystone.base.errors import ExistsError, RefusedError, UsageError
from drystone.lab.folders import (
    check_lab_name,
    claim_folder,
    clear_dead,
    make_disks_folder,
    remove_disks_folder,
    running_labs,
    runtime_root,
    sweep,
)


def test_a_claimed_name_is_taken_until_its_lock_is_let_go(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
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


def start_kernel(folder: Path) -> subprocess.Popen[bytes]:
    """A process with the words of a guest's kernel, or of a helper that has outlived it."""
    return subprocess.Popen(["sh", "-c", "sleep 60; :", f"uml_dir={folder}/node1/uml"], start_new_session=True)


def test_a_sweep_ends_the_guests_of_a_dead_lab_and_removes_its_folders(tmp_path: Path) -> None:
    disks = tmp_path / "elsewhere" / "disks"
    disks.mkdir(parents=True)
    root = tmp_path / "root"
    (root / "demo" / "node1").mkdir(parents=True)
    (root / "demo" / "disks").symlink_to(disks)
    guest, other = start_kernel(root / "demo"), start_kernel(root / "demo2")
    sweep(root)
    assert guest.wait(120) == -9
    assert other.poll() is None
    os.killpg(other.pid, 9)
    other.wait()
    assert list(tmp_path.iterdir()) == []


def test_only_a_lab_that_nobody_holds_is_dead(tmp_path: Path) -> None:
    folder, lock = claim_folder(tmp_path / "root", "demo")
    assert not clear_dead(folder)
    os.close(lock)
    assert clear_dead(folder)
    assert not clear_dead(folder)


def test_the_folder_of_all_labs_goes_with_the_last_and_comes_back(tmp_path: Path) -> None:
    root = tmp_path / "root"
    locks = [claim_folder(root, name)[1] for name in ("one", "two")]
    for name, lock in zip(("one", "two"), locks, strict=True):
        assert root.exists()
        os.close(lock)
        clear_dead(root / name)
    assert not root.exists()
    sweep(root)


def test_labs_that_come_and_go_at_once_do_not_hurt_each_other(tmp_path: Path) -> None:
    root, failures = tmp_path / "root", []

    def come_and_go(name: str) -> None:
        try:
            for _ in range(100):
                folder, lock = claim_folder(root, name)
                os.close(lock)
                clear_dead(folder)
        except OSError as error:
            failures.append(error)

    threads = [threading.Thread(target=come_and_go, args=(f"lab{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert not root.exists()


def test_disks_have_a_folder_below_tmpdir_that_goes_with_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    one, two = Path(make_disks_folder("demo")), Path(make_disks_folder("demo"))
    assert one != two
    remove_disks_folder(one)
    assert two.is_dir()
    remove_disks_folder(two)
    assert list(tmp_path.iterdir()) == []


def test_a_root_that_others_can_enter_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / f"drystone-disks-{os.getuid()}").mkdir(mode=0o755)
    with pytest.raises(RefusedError, match="private"):
        make_disks_folder("demo")
    (tmp_path / "root").mkdir(mode=0o755)
    with pytest.raises(RefusedError, match="private"):
        claim_folder(tmp_path / "root", "demo")


def test_a_session_folder_holds_the_labs_if_it_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/tmp")
    assert runtime_root() == Path("/tmp/drystone")
    for place in (f"{tmp_path}{'x' * 32}", "relative", "/nowhere"):
        monkeypatch.setenv("XDG_RUNTIME_DIR", place)
        assert runtime_root() == Path(f"/tmp/drystone-{os.getuid()}")


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
