"""Clones and volumes that go back, of the driver vfs: killed before every change of its folder and of the catalogue."""

from __future__ import annotations

import contextlib
import errno
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from drystone.base.clock import SystemClock
from drystone.base.errors import BusyError, UnsupportedError
from drystone.base.names import new_uuid
from drystone.testing.faults import Killed
from drystone.volumes.catalogue import Catalogue
from drystone.volumes.cloning import clone, preview_clone
from drystone.volumes.driver import Setting, Wish
from drystone.volumes.drivers import vfs
from drystone.volumes.fsck import examine
from drystone.volumes.group_snapshots import create_group
from drystone.volumes.previews import preview_delete
from drystone.volumes.rollback import measure, preview_roll_back, roll_back
from drystone.volumes.service import VolumeService


class Power:
    """Counts changes, and ends the process before one of them."""

    def __init__(self) -> None:
        self.count = 0
        self.kill_at: int | None = None

    def step(self) -> None:
        self.count += 1
        if self.kill_at is not None and self.count >= self.kill_at:
            raise Killed

    def before(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*arguments: Any, **named: Any) -> Any:
            self.step()
            return call(*arguments, **named)

        return stepped


class MortalCatalogue(Catalogue):
    power: Power

    @contextlib.contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        self.power.step()
        with super()._write() as connection:
            yield connection
            self.power.step()


class World:
    """A service over a folder; volume `db` with `new` in it now, and its snapshot `monday` with `old`."""

    def __init__(self, folder: Path, power: Power) -> None:
        self.folder, self.power = folder, power
        folder.mkdir()
        self.start()
        self.service.create(Wish(new_uuid(), "db"))
        (self.place("db") / "old").write_text("old")
        self.service.create_snapshot("db", "monday")
        (self.place("db") / "old").unlink()
        (self.place("db") / "new").write_text("new")

    def start(self) -> None:
        clock = SystemClock()
        catalogue = MortalCatalogue(self.folder / "catalogue.db", clock)
        catalogue.power = self.power
        catalogue.open()
        setting = Setting(self.folder, self.folder / "m", {"vfs.path": str(self.folder / "volumes")}, clock, catalogue)
        self.service = VolumeService(
            self.folder, self.folder / "m", catalogue, {"vfs": vfs.FACTORY.make(setting)}, clock
        )
        self.service.start()

    def place(self, name: str) -> Path:
        return self.folder / "volumes" / self.service.find_volume(name).facts["Folder"]

    def files(self) -> dict[str, list[str]]:
        volumes = self.service.catalogue.list_volumes()
        return {each.name: sorted(path.name for path in self.place(each.name).iterdir()) for each in volumes}

    def check(self) -> None:
        assert self.service.catalogue.list_operations() == []
        assert examine(self.service) == []
        there = {each.name for each in (self.folder / "volumes").iterdir()}
        assert there == {".snapshots", *(each.facts["Folder"] for each in self.service.catalogue.list_volumes())}


@pytest.fixture
def power(monkeypatch: pytest.MonkeyPatch) -> Power:
    made = Power()
    for name in ("unpack", "sync_folder"):
        monkeypatch.setattr(vfs, name, made.before(getattr(vfs, name)))
    monkeypatch.setattr(shutil, "rmtree", made.before(shutil.rmtree))
    for name in ("rename", "mkdir"):
        monkeypatch.setattr(Path, name, made.before(getattr(Path, name)))
    return made


OPERATIONS: dict[str, tuple[Callable[[World], object], dict[str, list[str]]]] = {
    "clone": (lambda world: clone(world.service, "monday", "copy"), {"db": ["new"], "copy": ["old"]}),
    "roll back": (lambda world: roll_back(world.service, "db", "monday"), {"db": ["old"]}),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_killed_before_every_change(tmp_path: Path, power: Power, name: str) -> None:
    operation, after = OPERATIONS[name]
    before = {"db": ["new"]}
    seen = []
    for kill_at in range(1, 60):
        world = World(tmp_path / str(kill_at), power)
        power.count, power.kill_at = 0, kill_at
        try:
            operation(world)
        except Killed:
            power.kill_at = None
            world.service.catalogue.close()
            world.start()
            world.check()
            assert world.files() in (before, after), kill_at
            seen.append(world.files())
            if world.files() == before:
                operation(world)
            assert world.files() == after
            world.check()
            world.service.stop()
        else:
            power.kill_at = None
            world.service.stop()
            assert kill_at > 8
            assert seen[0] == before
            assert name == "clone" or seen[-1] == after
            return
    pytest.fail("there is no end of it")


def test_killed_while_it_mends(tmp_path: Path, power: Power) -> None:
    """The start that undoes a volume's way back is killed at every step, too."""
    for kill_at in range(1, 60):
        world = World(tmp_path / str(kill_at), power)
        power.count, power.kill_at = 0, 9  # both renames are done, the catalogue does not know it
        with pytest.raises(Killed):
            roll_back(world.service, "db", "monday")
        world.service.catalogue.close()
        power.count, power.kill_at = 0, kill_at
        with contextlib.suppress(Killed):
            world.start()
        is_whole = power.count < kill_at
        power.kill_at = None
        world.service.catalogue.close()
        world.start()
        world.check()
        assert world.files() == {"db": ["new"]}
        world.service.stop()
        if is_whole:
            assert kill_at > 3
            return
    pytest.fail("there is no end of it")


def test_what_it_refuses(tmp_path: Path, power: Power) -> None:
    world = World(tmp_path / "world", power)
    with pytest.raises(UnsupportedError, match="no file system"):
        clone(world.service, "monday", renew=True)
    world.service.create(Wish(new_uuid(), "web"))
    with pytest.raises(UnsupportedError, match="driver vfs takes no snapshots of several volumes at one moment"):
        create_group(world.service, ["db", "web"])
    world.service.mount("db")
    with pytest.raises(BusyError, match="is mounted at"):
        roll_back(world.service, "db", "monday")
    world.check()


def test_a_folder_that_is_kept_is_not_removed_by_what_the_journal_has_left(
    tmp_path: Path, power: Power, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path / "world", power)

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "no luck")

    place = world.place("db")
    with monkeypatch.context() as patch:
        patch.setattr(world.service.drivers["vfs"], "discard", fail)
        roll_back(world.service, "db", "monday")
    with pytest.raises(BusyError, match="or was cut short"):
        preview_delete(world.service, "db", keep_data=True)
    with pytest.raises(BusyError, match="or was cut short"):
        world.service.delete("db", keep_data=True)
    world.start()
    world.check()
    world.service.delete("db", keep_data=True)
    world.start()
    assert [each.name for each in place.iterdir()] == ["old"]


def test_going_back_twice(tmp_path: Path, power: Power) -> None:
    world = World(tmp_path / "world", power)
    world.service.create_snapshot("db", "tuesday")
    assert measure(world.service, "db", "monday").changed is None
    assert preview_roll_back(world.service, "db", "monday")[0].words[0].startswith("tar -x")
    assert preview_clone(world.service, "monday", "copy")[0].words[0].startswith("mkdir")
    for name, files in (("monday", ["old"]), ("tuesday", ["new"]), ("monday", ["old"])):
        roll_back(world.service, "db", name)
        assert world.files() == {"db": files}
        world.check()
