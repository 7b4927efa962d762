"""Notes on disk: each folder that is made for them is durable too. Which calls are older than what is noted."""

from __future__ import annotations

from pathlib import Path

import pytest

from drystone.base.errors import MismatchError, UsageError
from drystone.cluster.agents.legs_note import LegsNote
from drystone.cluster.agents.notes import Notes, check_epoch
from drystone.cluster.model.calls import LegsWish
from drystone.dvm.state import State

NOTE = LegsNote(LegsWish("db", 1, (), State()), ())


class Disk:
    """Which entries of folders a power cut leaves. `steps`: syncs until the process is killed."""

    def __init__(self, steps: int = -1) -> None:
        self.kept: set[Path] = set()
        self.steps = steps

    def sync(self, folder: Path) -> None:
        if self.steps == 0:
            raise KeyboardInterrupt
        self.steps -= 1
        self.kept.update(folder.iterdir())


def test_every_folder_that_is_made_is_durable(tmp_path: Path) -> None:
    disk, folder = Disk(), tmp_path / "a" / "b" / "notes"
    Notes(folder, LegsNote, sync=disk.sync).write("db", NOTE)
    assert {tmp_path / "a", tmp_path / "a" / "b", folder} <= disk.kept
    assert folder.stat().st_mode & 0o777 == 0o700


def test_folders_of_a_process_that_was_killed_are_made_durable(tmp_path: Path) -> None:
    for steps in range(len(tmp_path.parents) + 3):
        disk, folder = Disk(steps), tmp_path / str(steps) / "b" / "notes"
        with pytest.raises(KeyboardInterrupt):
            Notes(folder, LegsNote, sync=disk.sync).write("db", NOTE)
        disk.steps = -1
        Notes(folder, LegsNote, sync=disk.sync).write("db", NOTE)
        assert {folder.parent.parent, folder.parent, folder} <= disk.kept
        assert Notes(folder, LegsNote).read("db") == NOTE


def test_folders_are_synced_once(tmp_path: Path) -> None:
    disk = Disk()
    notes = Notes(tmp_path / "notes", LegsNote, sync=disk.sync)
    notes.write("db", NOTE)
    disk.steps = 0
    notes.write("db", NOTE)


def test_older_sets_are_refused_however_high_the_epoch_is() -> None:
    noted = LegsWish("db", 7, (), State(), 5)
    check_epoch(noted, LegsWish("db", 8, (), State(), 5))
    with pytest.raises(MismatchError, match="old copy") as refused:
        check_epoch(noted, LegsWish("db", 9, (), State(), 4))
    assert refused.value.facts == {"epoch": 7, "set_epoch": 5}


@pytest.mark.parametrize("sets", [-1, 8])
def test_sets_are_of_no_epoch_that_is_to_come(sets: int) -> None:
    with pytest.raises(UsageError, match="not from 0 to 7"):
        check_epoch(None, LegsWish("db", 7, (), State(), sets))
