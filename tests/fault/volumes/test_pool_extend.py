"""A pool on devices that grew: extended at once, or by the next start when it was cut short; refused where it must."""

from __future__ import annotations

from pathlib import Path

import pytest

from drystone.base.errors import DamagedError, DrystoneError, MismatchError, RefusedError, UnsupportedError, UsageError
from drystone.kernel.dm.statuses import ThinPoolStatus
from drystone.testing.faults import Killed
from drystone.testing.volume_host import DATA, METADATA, SimulatedHost
from drystone.volumes.drivers import thin_pool
from drystone.volumes.pool_care import extend, list_pools, preview_extend

from .world import World

SECTORS = {DATA: 1 << 15, METADATA: 1 << 13}


def grow(host: SimulatedHost, path: str, times: int = 2) -> None:
    """As losetup -c does it."""
    disk = host.kernel.machine.disks[host.paths[path]]
    disk.sectors = SECTORS[path] * times


def sizes(world: World) -> tuple[int, int, int]:
    """Sectors of data: by the record, by the table and by the metadata; all three are to be one."""
    record = world.catalogue.get_pool("convoy-pool")
    assert record is not None
    table = world.host.kernel.table("convoy-pool")
    status = ThinPoolStatus.parse(world.host.kernel.status("convoy-pool")[0].text)
    assert isinstance(status, ThinPoolStatus)
    return record.data_sectors, table[-1].start + table[-1].length, status.total_data * 128


def metadata_blocks(world: World) -> int:
    status = ThinPoolStatus.parse(world.host.kernel.status("convoy-pool")[0].text)
    assert isinstance(status, ThinPoolStatus)
    return status.total_metadata


def prepare(folder: Path, *paths: str) -> World:
    """A pool in use, on devices that have become twice as large."""
    folder.mkdir(exist_ok=True)
    world = World(folder)
    world.start()
    world.create("db")
    world.service.mount("db")
    world.service.create_snapshot("db", "monday")
    for path in paths:
        grow(world.host, path)
    return world


@pytest.mark.parametrize("paths", [(DATA,), (METADATA,), (DATA, METADATA)], ids=["data", "metadata", "both"])
def test_it_becomes_as_large_as_its_devices(tmp_path: Path, paths: tuple[str, ...]) -> None:
    world = prepare(tmp_path, *paths)
    before = world.catalogue.get_pool("convoy-pool")
    (shown,) = preview_extend(world.service)
    assert shown.program is not None
    assert world.catalogue.get_pool("convoy-pool") == before
    assert sizes(world) == (1 << 15,) * 3
    growth = extend(world.service)
    data, metadata = (2 if each in paths else 1 for each in (DATA, METADATA))
    assert (growth.data_before, growth.data_after) == (16 << 20, data * 16 << 20)
    assert (growth.metadata_before, growth.metadata_after) == (4 << 20, metadata * 4 << 20)
    assert sizes(world) == (data << 15,) * 3
    assert metadata_blocks(world) == metadata << 10
    world.check()
    with pytest.raises(RefusedError, match="as large as its devices"):
        extend(world.service)
    for reboot in (False, True):
        world.restart(reboot=reboot)
        assert sizes(world) == (data << 15,) * 3
        world.check()


@pytest.mark.parametrize("reboot", [False, True], ids=["killed", "power-cut"])
@pytest.mark.parametrize("paths", [(DATA,), (METADATA,), (DATA, METADATA)], ids=["data", "metadata", "both"])
def test_killed_before_every_change(tmp_path: Path, paths: tuple[str, ...], reboot: bool) -> None:
    """The old size or the new one, all three the same; what was cut short can be done again."""
    model = prepare(tmp_path / "model", *paths)
    model.host.steps.clear()
    extend(model.service)
    steps, after = len(model.host.steps), sizes(model)
    model.catalogue.close()
    assert steps >= 2
    for kill_at in range(1, steps + 1):
        world = prepare(tmp_path / str(kill_at), *paths)
        world.host.steps.clear()
        world.host.kill_at = kill_at
        with pytest.raises(Killed):
            extend(world.service)
        world.restart(reboot=reboot)
        world.check()
        assert sizes(world) in {(1 << 15,) * 3, after}, f"killed before step {kill_at}"
        if sizes(world) != after or metadata_blocks(world) != metadata_blocks(model):
            extend(world.service)
        assert sizes(world) == after
        assert metadata_blocks(world) == metadata_blocks(model)
        world.check()
        world.catalogue.close()


def test_a_kernel_that_refuses_leaves_it_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = prepare(tmp_path, DATA)

    def refuse(program: object) -> object:
        raise DrystoneError("no memory")

    with monkeypatch.context() as patch:
        patch.setattr(world.host, "execute", refuse)
        with pytest.raises(DrystoneError, match="no memory"):
            extend(world.service)
    assert sizes(world) == (1 << 15,) * 3
    extend(world.service)
    assert sizes(world) == (1 << 16,) * 3


def test_a_full_pool_has_room_again(tmp_path: Path) -> None:
    world = prepare(tmp_path, DATA)
    device = f"convoy-pool-{world.service.find_volume('db').uuid}"
    blocks = (1 << 15) // 128
    world.create("large", (blocks - 8) * (64 << 10))
    large = f"convoy-pool-{world.service.find_volume('large').uuid}"
    world.host.kernel.write(large, 0, (blocks - 8) * 128)
    (pool,) = list_pools(world.service)
    assert (pool.state, pool.data_total) == ("full", 16 << 20)
    extend(world.service)
    (pool,) = list_pools(world.service)
    assert (pool.state, pool.text, pool.data_total) == ("ok", "", 32 << 20)
    world.host.kernel.write(device, 0, 128)
    world.service.create_snapshot("db", "tuesday")


def test_what_cannot_be_extended_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = prepare(tmp_path)
    before = world.catalogue.get_pool("convoy-pool")
    with pytest.raises(RefusedError, match=r"16.0 MiB of data, 4.0 MiB of metadata") as refused:
        extend(world.service)
    assert "losetup -c" in refused.value.hint
    world.host.kernel.machine.disks[world.host.paths[DATA]].sectors = 1 << 14
    with pytest.raises(MismatchError, match="is smaller than the pool"):
        extend(world.service)
    grow(world.host, DATA)
    with pytest.raises(DrystoneError, match="'nothing' does not run"):
        extend(world.service, "nothing")
    world.service.drivers["plain"] = object()  # type: ignore[assignment]  # a driver without the ability
    with pytest.raises(UnsupportedError, match="driver plain has no pool"):
        extend(world.service, "plain")
    world.service.drivers["second"] = world.service.drivers["devicemapper"]
    with pytest.raises(UsageError, match="several drivers") as several:
        extend(world.service)
    assert several.value.hint == "--driver devicemapper or second"
    status = ThinPoolStatus.parse
    worse = "1 10/1024 0/256 - ro discard_passdown queue_if_no_space needs_check 1024"
    monkeypatch.setattr(ThinPoolStatus, "parse", lambda _: status(worse))
    with pytest.raises(DamagedError, match="needs a check"):
        extend(world.service, "devicemapper")
    monkeypatch.undo()
    assert world.catalogue.get_pool("convoy-pool") == before


def test_a_pool_in_use_gets_another_low_water_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool that an older daemon brought up, with another mark in its table, goes on under this one."""
    world = World(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(thin_pool, "low_water", lambda total: total // 20)
        world.start()
    world.create("db")
    world.service.mount("db")
    world.create("idle")
    assert world.host.kernel.table("convoy-pool")[0].params.split()[3] == "12"
    world.restart()
    assert world.host.kernel.table("convoy-pool")[0].params.split()[3] == "25"
    world.check()
    world.service.create_snapshot("db", "monday")
    world.check()
