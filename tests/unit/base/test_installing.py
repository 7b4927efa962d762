"""Files put in place on a machine."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from drystone.base.errors import ExistsError, KernelError, NotFoundError, UsageError
from drystone.base.installing import InstalledFile, Wanted, check_program, find_program, install

UNIT = Wanted("/etc/units/one", b"text\n")
TABLE = Wanted("/etc/table", b"to be filled in\n", mode=0o600, keep=True)


def states(*files: InstalledFile) -> list[str]:
    return [each.state for each in files]


def test_what_is_there_and_the_same_or_to_be_kept_is_let_alone(tmp_path: Path) -> None:
    root = str(tmp_path)
    assert states(*install(root, [UNIT, TABLE], dry_run=True)) == ["new", "new"]
    assert list(tmp_path.iterdir()) == []
    assert states(*install(root, [UNIT, TABLE])) == ["new", "new"]
    (tmp_path / "etc/table").write_text("mine\n")
    assert states(*install(root, [UNIT, TABLE], overwrite=True)) == ["same", "kept"]
    assert (tmp_path / "etc/table").read_text() == "mine\n"


def test_somebody_elses_file_stays_and_nothing_else_is_written(tmp_path: Path) -> None:
    (tmp_path / "etc/units").mkdir(parents=True)
    (tmp_path / "etc/units/one").write_text("somebody's\n")
    with pytest.raises(ExistsError, match="one is there"):
        install(str(tmp_path), [TABLE, UNIT])
    assert not (tmp_path / "etc/table").exists()
    assert states(*install(str(tmp_path), [UNIT], overwrite=True, dry_run=True)) == ["replaced"]
    assert (tmp_path / "etc/units/one").read_text() == "somebody's\n"
    assert states(*install(str(tmp_path), [UNIT], overwrite=True)) == ["replaced"]
    assert (tmp_path / "etc/units/one").read_bytes() == UNIT.data


def test_modes_and_durability_whatever_the_umask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    real = os.fsync

    def note(handle: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{handle}").readlink()))
        real(handle)

    monkeypatch.setattr(os, "fsync", note)
    before = os.umask(0o077)
    try:
        install(str(tmp_path), [UNIT, TABLE])
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "etc/units/one").stat().st_mode) == 0o644
    assert stat.S_IMODE((tmp_path / "etc/table").stat().st_mode) == 0o600
    assert {str(tmp_path), str(tmp_path / "etc"), str(tmp_path / "etc/units")} <= set(synced)


def test_what_cannot_be_installed(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        install(str(tmp_path / "nowhere"), [UNIT])
    (tmp_path / "etc").write_text("no folder")
    with pytest.raises(KernelError):
        install(str(tmp_path), [UNIT])


def test_programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    check_program("/usr/bin/drystone")
    for program in ("drystone", "/a b/x", "/a%b/x", "/a;b", '/a"b', "/a$b"):
        with pytest.raises(UsageError, match="cannot stand in a unit"):
            check_program(program)
    own = tmp_path / "drystone"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(own)])
    assert find_program("drystone") == str(own)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["pytest"])
    assert find_program("drystone") == str(own)
    with pytest.raises(NotFoundError, match="no program other"):
        find_program("other")
