"""`drystone volume fsck` over the simulated machine: each difference is found, explained, and mended or left alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from drystone.base.errors import BusyError, DamagedError, DrystoneError, KernelError
from drystone.dvm.metadata_snapshot import POOL, take_snapshot
from drystone.kernel.dm.abc import Uuid
from drystone.kernel.dm.statuses import ThinPoolStatus
from drystone.volumes.drivers.thin_pool import ThinPool
from drystone.volumes.fsck import Difference, examine, repair

from .world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.start()
    made.create("db")
    made.create("web")
    made.service.mount("web")
    made.service.create_snapshot("db", "monday")
    assert examine(made.service) == []
    return made


def state(world: World) -> object:
    """All that looking must not change."""
    kernel = world.host.kernel
    devices = [(each.name, kernel.table(each.name), kernel.info(each.name)) for each in kernel.list_devices()]
    return devices, world.host.nodes.copy(), world.host.thin_ids(), world.names(), world.host.held_root()


def the_one(found: list[Difference]) -> Difference:
    assert len(found) == 1, found
    return found[0]


def device(world: World, name: str) -> str:
    return f"convoy-pool-{world.service.find_volume(name).uuid}"


def deactivate(world: World) -> None:
    world.host.kernel.remove(device(world, "db"))
    del world.host.nodes[device(world, "db")]


def lose_node(world: World) -> None:
    del world.host.nodes[device(world, "db")]


def leave_node(world: World) -> None:
    world.host.nodes["convoy-pool-of-somebody"] = next(iter(world.host.nodes.values()))


def unmount(world: World) -> None:
    world.host.unmount(world.service.find_volume("web").mount_point)


def hold_metadata(world: World) -> None:
    pool = next(each for each in world.host.kernel.list_devices() if each.name == "convoy-pool")
    world.host.execute(take_snapshot(POOL, pool.name, pool.uuid)).require_done()


def leave_device(world: World) -> None:
    pool = next(each for each in world.host.kernel.list_devices() if each.name == "convoy-pool")
    prefix = pool.uuid.removesuffix("pool")
    kernel = world.host.kernel
    kernel.create("convoy-pool-stray", f"{prefix}stray")
    kernel.load("convoy-pool-stray", kernel.table(device(world, "db")))
    kernel.resume(Uuid(f"{prefix}stray"))


MENDABLE: dict[str, tuple[Callable[[World], None], str]] = {
    "inactive": (deactivate, "db"),
    "no-node": (lose_node, "db"),
    "stale-node": (leave_node, "/dev/mapper/convoy-pool-of-somebody"),
    "not-mounted": (unmount, "web"),
    "held-snapshot": (hold_metadata, "convoy-pool"),
}


@pytest.mark.parametrize("kind", MENDABLE)
def test_what_can_be_mended_is_and_only_when_asked(world: World, kind: str) -> None:
    damage, subject = MENDABLE[kind]
    damage(world)
    before = state(world)
    found = the_one(examine(world.service))
    assert (found.kind, found.subject, found.state, found.driver) == (kind, subject, "left", "devicemapper")
    assert found.text
    assert found.remedy
    assert state(world) == before, "looking changes nothing"
    assert the_one(repair(world.service)).state == "mended"
    assert examine(world.service) == []
    world.check()


def test_what_the_catalogue_does_not_know_is_deleted_only_on_that_word(world: World) -> None:
    uuid = world.service.find_volume("db").uuid
    snapshot = world.service.find_snapshot("monday").uuid
    with world.catalogue._write() as connection:  # as an old copy of the file would have it
        connection.execute("DELETE FROM snapshots WHERE uuid = ?", (snapshot,))
    found = the_one(examine(world.service))
    assert (found.kind, found.loses) == ("unknown-data", True)
    ids = world.host.thin_ids()
    assert the_one(repair(world.service)).state == "left"
    assert world.host.thin_ids() == ids
    assert the_one(repair(world.service, delete_unknown=True)).state == "mended"
    assert world.host.thin_ids() < ids
    assert world.service.find_volume("db").uuid == uuid
    world.check()
    (gone,) = ids - world.host.thin_ids()
    last = world.catalogue.list_audit(most=1)[0]
    assert (last.action, last.subject, last.outcome) == ("fsck-unknown-data", f"thin device {gone}", "done")


def test_data_that_is_gone_is_told_of_and_nothing_is_done(world: World) -> None:
    pool = next(each for each in world.host.kernel.list_devices() if each.name == "convoy-pool")
    snapshot = world.service.find_snapshot("monday")
    world.host.kernel.message(pool.name, f"delete {snapshot.facts['DevID']}")
    for look in (examine, repair):
        found = the_one(look(world.service))
        assert (found.kind, found.subject, found.state) == ("no-data", "monday", "left")
        assert "is gone" in found.text
    assert world.service.find_snapshot("monday") == snapshot


def test_an_active_device_of_nobody_is_made_inactive(world: World) -> None:
    leave_device(world)
    kinds = {each.kind for each in examine(world.service)}
    assert "unknown-device" in kinds
    assert {each.state for each in repair(world.service)} == {"mended"}
    assert examine(world.service) == []


def test_an_operation_whose_undoing_failed_is_ended(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = world.service.drivers["devicemapper"]

    def fail(*_: object, **__: object) -> None:
        raise DrystoneError("no luck")

    with monkeypatch.context() as patch:
        patch.setattr(driver, "delete_volume", fail)
        patch.setattr(world.host, "make_filesystem", fail)
        with pytest.raises(DrystoneError, match="undoing it failed too"):
            world.create("new")
        found = [each for each in examine(world.service) if each.kind == "cut-short"]
        assert the_one(found).subject == "new"
        assert "failed" in {each.state for each in repair(world.service)}
    assert {each.state for each in repair(world.service)} == {"mended"}
    world.check()
    world.create("new")


def test_what_an_operation_is_about_is_left_alone(world: World) -> None:
    """Looked at while a volume is being made: its thin id is in the pool, and the catalogue does not show it yet."""
    looked: list[list[Difference]] = []
    make = world.host.make_filesystem

    def make_and_look(kind: str, path: str) -> None:
        looked.append(examine(world.service))
        make(kind, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.host, "make_filesystem", make_and_look)
        world.create("new")
    assert looked == [[]]


def test_a_pool_that_failed_or_needs_a_check_is_told_of(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    status = ThinPool._status

    def needs_check(pool: ThinPool, *, no_flush: bool = False) -> ThinPoolStatus:
        return msgspec.structs.replace(status(pool, no_flush=no_flush), needs_check=True, transaction_id=99)

    def fails(pool: ThinPool, *, no_flush: bool = False) -> ThinPoolStatus:
        raise DamagedError(f"pool {pool.name} has failed ({no_flush})")

    monkeypatch.setattr(ThinPool, "_status", needs_check)
    assert {each.kind for each in repair(world.service)} == {"needs-check", "transaction"}
    monkeypatch.setattr(ThinPool, "_status", fails)
    assert the_one(examine(world.service)).kind == "pool-failed"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (DamagedError("block 7 has a wrong checksum"), "pool-failed"),
        (KernelError("read", 5, device="convoy-pool"), "pool-failed"),
        (BusyError("another process reads it"), "not-looked-at"),
    ],
    ids=["damaged", "kernel", "busy"],
)
def test_ids_that_cannot_be_read_do_not_end_the_look(
    world: World, monkeypatch: pytest.MonkeyPatch, error: DrystoneError, kind: str
) -> None:
    def fail(path: str, held_root: int) -> set[int]:
        raise error

    monkeypatch.setattr(world.host, "list_thin_ids", fail)
    lose_node(world)
    assert [each.kind for each in examine(world.service)] == [kind, "no-node"]
    assert world.host.held_root() is None
