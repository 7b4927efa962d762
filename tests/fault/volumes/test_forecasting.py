"""What is forecast of a backup over the simulated machine: since which snapshot, and how much; nothing is left held."""

from __future__ import annotations

from pathlib import Path

import pytest

from drystone.base.clock import SystemClock
from drystone.base.errors import NotFoundError, UnsupportedError
from drystone.volumes.backups import Backups
from drystone.volumes.forecasting import BackupForecast, forecast_backup
from drystone.volumes.work import Work

from .world import BLOCK, World

CHUNK = 1 << 20
SIZE = 8 * CHUNK


def write(world: World, block: int) -> None:
    name = f"convoy-pool-{world.service.find_volume('db').uuid}"
    world.host.kernel.write(name, block * BLOCK // 512, BLOCK // 512)


def test_since_the_last_backup_whose_snapshot_is_here(tmp_path: Path) -> None:
    world, backups, dest = World(tmp_path), Backups(SystemClock(), Work()), f"vfs://{tmp_path}/backups"
    world.start()
    world.create("db", SIZE)

    def ask(destination: str = dest) -> BackupForecast:
        steps = world.host.steps.count("message")
        found = forecast_backup(world.service, backups, "db", destination)
        assert world.host.held_root() is None
        assert world.host.steps.count("message") - steps <= 3, "the metadata snapshot, and nothing else"
        assert (found.name, found.size) == ("db", SIZE)
        return found

    write(world, 40)
    first = ask()
    assert first == ask("")
    assert (first.base, first.read, first.sampled) == ("", 2 * CHUNK, 0), "what mkfs wrote, and the block"
    assert not (tmp_path / "backups").exists()
    world.service.create_snapshot("db", "monday")
    backups.create(world.service, "monday", dest)
    assert (ask().base, ask().read) == ("monday", 0)
    assert (ask("").base, ask("").read) == ("", 2 * CHUNK)
    write(world, 41)
    write(world, 100)
    told = ask()
    assert (told.base, told.read, told.sampled) == ("monday", 2 * CHUNK, 6 * CHUNK)
    assert 2 * CHUNK < told.written < 2 * CHUNK + (256 << 10)
    world.service.create_snapshot("db", "tuesday")
    backups.create(world.service, "tuesday", dest)
    assert ask().base == "tuesday"
    world.service.delete_snapshot("tuesday")
    assert (ask().base, ask().read) == ("monday", 2 * CHUNK)
    world.service.resize("db", 2 * SIZE, filesystem=False)
    resized = forecast_backup(world.service, backups, "db", dest)
    assert (resized.base, resized.size) == ("", 2 * SIZE), "a base of another size is none"
    with pytest.raises(NotFoundError):
        forecast_backup(world.service, backups, "web", dest)
    world.check()


def test_a_driver_that_cannot_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world, backups = World(tmp_path), Backups(SystemClock(), Work())
    world.start()
    world.create("db")
    monkeypatch.setitem(world.service.drivers, "devicemapper", object())  # has no abilities
    with pytest.raises(UnsupportedError, match="driver devicemapper cannot tell"):
        forecast_backup(world.service, backups, "db")
