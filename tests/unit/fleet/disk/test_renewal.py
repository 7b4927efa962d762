"""A disk whose index is lost begins anew, as another disk; a whole one does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from drystone.base.errors import DamagedError, RefusedError, UnavailableError
from drystone.fleet.disk.disk import Disk
from drystone.fleet.disk.identity import initialize, read_identity
from drystone.fleet.disk.renewal import plan_renewal, renew


def make_disk(folder: Path) -> Path:
    """A disk with two files that people see."""
    root = folder / "data_1"
    root.mkdir()
    initialize(root, "fleet")
    for place in ("primary/web/dump", "secondary/db/sub/dump"):
        (root / place).parent.mkdir(parents=True)
        (root / place).write_bytes(b"bytes")
    return root


def list_all(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


@pytest.mark.parametrize("how", ["gone", "damaged"])
def test_a_disk_without_its_index_begins_anew_and_its_files_are_set_aside(tmp_path: Path, how: str) -> None:
    root = make_disk(tmp_path)
    before = read_identity(root)
    index = root / ".drystone/index.db"
    index.unlink()
    if how == "damaged":
        index.write_bytes(b"not a database" * 1000)
    there = list_all(root)
    plan = plan_renewal(root)
    assert list_all(root) - {".drystone/lock"} == there
    assert (plan.identity, plan.files, plan.size) == (before, 2, 10)
    assert "index" in plan.trouble
    identity = renew(plan)
    assert identity == read_identity(root)
    assert (identity.fleet, identity.disk_id == before.disk_id) == ("fleet", False)
    assert (plan.aside / "primary/web/dump").read_bytes() == b"bytes"
    assert (plan.aside / "secondary/db/sub/dump").read_bytes() == b"bytes"
    assert (plan.aside / ".drystone/index.db").exists() == (how == "damaged")
    disk = Disk(root, "data_1")
    disk.open("fleet")
    assert disk.placements() == {}
    assert list(disk.strays()) == []
    disk.close()


def test_a_whole_disk_is_left_alone(tmp_path: Path) -> None:
    root = make_disk(tmp_path)
    with pytest.raises(RefusedError):
        plan_renewal(root)
    (root / ".drystone/index.db").rename(root / "kept")
    plan = plan_renewal(root)
    (root / "kept").rename(root / ".drystone/index.db")
    with pytest.raises(RefusedError):
        renew(plan)
    assert read_identity(root) == plan.identity


def test_a_disk_that_another_took_the_place_of_is_left_alone(tmp_path: Path) -> None:
    root = make_disk(tmp_path)
    (root / ".drystone/index.db").unlink()
    plan = plan_renewal(root)
    root.rename(tmp_path / "taken out")
    (make_disk(tmp_path) / ".drystone/index.db").unlink()
    before = list_all(root)
    with pytest.raises(RefusedError, match="another disk"):
        renew(plan)
    assert list_all(root) == before


def test_a_folder_that_is_no_disk_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError):
        plan_renewal(tmp_path)
    assert list_all(tmp_path) == set()


def test_one_that_was_broken_off_and_of_which_nobody_knows_what_it_was_is_left_alone(tmp_path: Path) -> None:
    root = make_disk(tmp_path)
    (root / "given-up-1").mkdir()
    (root / ".drystone").rename(root / "given-up-1/.drystone")
    (root / "given-up-1/.drystone/disk.json").write_bytes(b"{")
    before = list_all(root)
    with pytest.raises(DamagedError):
        plan_renewal(root)
    assert list_all(root) == before


@pytest.mark.parametrize("moved", [("primary",), ("primary", "secondary", ".drystone")])
def test_what_was_broken_off_is_done_again(tmp_path: Path, moved: tuple[str, ...]) -> None:
    root = make_disk(tmp_path)
    (root / ".drystone/index.db").unlink()
    plan = plan_renewal(root)
    plan.aside.mkdir()
    for name in moved:
        (root / name).rename(plan.aside / name)
    disk = Disk(root, "data_1")
    with pytest.raises((DamagedError, UnavailableError)):
        disk.open("fleet")
    again = plan_renewal(root)
    assert again.identity == plan.identity
    if again.aside == plan.aside:  # in the same second
        plan.aside.rename(root / "given-up-1")
        again = plan_renewal(root)
    assert renew(again).disk_id != plan.identity.disk_id
    disk.open("fleet")
    disk.close()
