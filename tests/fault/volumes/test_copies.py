"""Clones, volumes that go back, and snapshots of groups, on a simulated machine: what is done, and what is refused.

That they are whole or not at all after a kill is in test_kills.py.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from drystone.base.errors import (
    BusyError,
    DrystoneError,
    ExhaustedError,
    ExistsError,
    NotFoundError,
    UnsupportedError,
    UsageError,
)
from drystone.base.names import new_uuid
from drystone.testing.faults import FaultyDeviceMapper, fail_calls
from drystone.volumes.abilities import back_roller
from drystone.volumes.cloning import clone, preview_clone
from drystone.volumes.driver import Volume, Wish
from drystone.volumes.fsck import examine, repair
from drystone.volumes.group_snapshots import create_group, preview_group
from drystone.volumes.previews import preview_mount
from drystone.volumes.reconcile import reconcile
from drystone.volumes.rollback import measure, preview_roll_back, roll_back

from .world import BLOCK, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.start()
    made.create("db")
    made.create("web")
    made.service.create_snapshot("db", "monday")
    return made


def device(world: World, name: str) -> str:
    return f"convoy-pool-{world.service.find_volume(name).uuid}"


def write(world: World, name: str, block: int) -> None:
    world.host.kernel.write(device(world, name), block * BLOCK // 512, 8)


def blocks(world: World, name: str) -> set[int]:
    """The blocks that a volume's or snapshot's thin device maps."""
    found = world.service.catalogue.list_volumes() + world.service.catalogue.list_snapshots()
    (facts,) = (each.facts for each in found if each.name == name)
    world.host.kernel.status("convoy-pool")  # which commits
    return set(world.host._metadata.devices[int(facts["DevID"])].mappings)


# Clones


def test_a_clone_holds_what_the_snapshot_holds_and_needs_it_no_more(world: World) -> None:
    write(world, "db", 3)
    made = clone(world.service, "monday", "copy")
    assert (made.size, made.driver, made.mount_point) == (1 << 20, "devicemapper", "")
    assert made.uuid != world.service.find_volume("db").uuid
    assert blocks(world, "copy") == blocks(world, "monday") == {0}
    world.check()
    write(world, "copy", 5)
    assert blocks(world, "copy") == {0, 5}
    assert blocks(world, "monday") == {0}
    assert world.host.renewed == set()
    world.service.delete("db")
    world.service.mount("copy")
    world.check()
    assert examine(world.service) == []


def test_a_clone_with_a_file_system_of_its_own(world: World) -> None:
    made = clone(world.service, "monday", renew=True)
    assert made.name == f"volume-{made.uuid[:8]}"
    assert world.host.renewed == {int(made.facts["DevID"])}
    world.check()


def test_a_clone_of_a_snapshot_that_is_being_backed_up(world: World) -> None:
    """Its device is read only and in use: it stays so."""
    with world.service.reading("monday", ()) as reading, reading.driver.read_snapshot(reading.snapshot, None):
        key = f"convoy-pool-{reading.snapshot.uuid}"
        assert world.host.kernel.info(key).read_only
        clone(world.service, "monday", "copy")
        assert world.host.kernel.info(key).read_only
        assert not world.host.kernel.info(key).suspended
    world.check()


def test_the_snapshot_stays_while_it_is_cloned(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    make = world.host.renew_filesystem

    def delete_first(path: str, place: str) -> None:
        with pytest.raises(BusyError, match="snapshot monday"):
            world.service.delete_snapshot("monday")
        make(path, place)

    monkeypatch.setattr(world.host, "renew_filesystem", delete_first)
    clone(world.service, "monday", "copy", renew=True)
    world.service.delete_snapshot("monday")


CLONES_REFUSED: dict[str, tuple[str, str, type[DrystoneError]]] = {
    "no snapshot": ("tuesday", "copy", NotFoundError),
    "no snapshot but a volume": ("db", "copy", NotFoundError),
    "a taken name": ("monday", "web", ExistsError),
    "a wrong name": ("monday", "a b", UsageError),
}


@pytest.mark.parametrize("what", CLONES_REFUSED)
def test_a_clone_that_cannot_be_changes_nothing(world: World, what: str) -> None:
    snapshot, name, kind = CLONES_REFUSED[what]
    before = len(world.host.steps)
    for call in (clone, preview_clone):
        with pytest.raises(kind):
            call(world.service, snapshot, name)
    assert set(world.host.steps[before:]) <= {"begin"}
    world.check()


# Going back


def test_a_volume_goes_back_and_its_snapshots_stay(world: World) -> None:
    write(world, "db", 3)
    world.service.create_snapshot("db", "tuesday")
    write(world, "db", 4)
    old = world.service.find_volume("db").facts["DevID"]
    loss = measure(world.service, "db", "monday")
    assert (loss.volume.name, loss.snapshot.name, loss.changed) == ("db", "monday", 2 * BLOCK)
    after = roll_back(world.service, "db", "monday")
    assert [(each.action, each.outcome) for each in world.catalogue.list_audit("db")][-1] == ("rollback", "done")
    assert world.service.find_volume("db") == after
    assert blocks(world, "db") == {0}
    assert int(old) not in world.host.thin_ids()
    assert [each.name for each in world.catalogue.list_snapshots()] == ["monday", "tuesday"]
    world.check()
    roll_back(world.service, "db", "tuesday")
    assert blocks(world, "db") == {0, 3}
    world.service.mount("db")
    world.check()
    assert examine(world.service) == []


def test_a_volume_that_is_used_does_not_go_back(world: World) -> None:
    refused: dict[str, Callable[[], object]] = {
        "is mounted at": lambda: world.service.mount("db"),
        "is open": lambda: world.host.kernel.open(world.host.nodes[device(world, "db")], exclusive=False),
    }
    for text, use in refused.items():
        use()
        before = len(world.host.steps)
        for call in (roll_back, measure, preview_roll_back):
            with pytest.raises(BusyError, match=text):
                call(world.service, "db", "monday")
        assert len(world.host.steps) == before
        if text == "is mounted at":
            world.service.umount("db")


def test_the_snapshot_of_another_volume_is_no_way_back(world: World) -> None:
    with pytest.raises(UsageError, match="snapshot monday is none of volume web") as caught:
        roll_back(world.service, "web", "monday")
    assert "volume clone monday" in caught.value.hint
    world.service.create_snapshot("web", "own")
    with pytest.raises(UsageError) as caught:
        roll_back(world.service, "web", "monday")
    assert caught.value.hint == "it has own"


def test_what_was_replaced_is_removed_by_fsck_when_it_could_not_be_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    driver = world.service.drivers["devicemapper"]

    def fail(*_: object) -> None:
        raise DrystoneError("no luck")

    with monkeypatch.context() as patch:
        patch.setattr(driver, "discard", fail)
        after = roll_back(world.service, "db", "monday")
    assert "is still there: no luck" in caplog.text
    assert world.service.find_volume("db") == after
    assert [each.kind for each in examine(world.service)] == ["cut-short"]
    reconcile(world.catalogue, world.service.drivers)
    world.check()


# Groups


def test_snapshots_of_a_group_are_of_one_moment(world: World) -> None:
    world.service.mount("web")
    before = len(world.host.steps)
    taken = create_group(world.service, ["web", "db"], "night")
    assert [each.name for each in taken] == ["night-web", "night-db"]
    steps = [each for each in world.host.steps[before:] if each in {"suspend", "resume", "message"}]
    # Both suspended, both messages, both resumed; then the transaction and the question for it.
    assert steps == ["suspend"] * 2 + ["message"] * 2 + ["resume"] * 2 + ["message"] * 2
    assert world.host.steps[before:].count("commit") == 3  # the journal, the pool's transaction, the snapshots
    world.check()
    again = create_group(world.service, ["web", "db"])
    assert again[0].name.removesuffix("-web") == again[1].name.removesuffix("-db")


GROUPS_REFUSED: dict[str, tuple[list[str], str, type[DrystoneError], str]] = {
    "one volume": (["db"], "", UsageError, "two volumes or more"),
    "one twice": (["db", "web", "db"], "", UsageError, "db is named twice"),
    "no volume": (["db", "nothing"], "", NotFoundError, "nothing"),
    "a taken name": (["web", "db"], "taken", ExistsError, "taken-db"),
    "a wrong name": (["web", "db"], "a b", UsageError, "snapshot name"),
    "too long a name": (["web", "db"], "a" * 99, UsageError, "snapshot name"),
}


@pytest.mark.parametrize("what", GROUPS_REFUSED)
def test_a_group_that_cannot_be_changes_nothing(world: World, what: str) -> None:
    names, name, kind, text = GROUPS_REFUSED[what]
    world.service.create_snapshot("db", "taken-db")
    before = len(world.host.steps)
    for call in (create_group, preview_group):
        with pytest.raises(kind, match=text):
            call(world.service, names, name)
    assert set(world.host.steps[before:]) <= {"begin"}
    world.check()


def test_two_groups_at_once_do_not_wait_for_each_other(world: World) -> None:
    threads = [
        threading.Thread(target=create_group, args=(world.service, names, f"group{number}"))
        for number in range(6)
        for names in (["db", "web"] if number % 2 else ["web", "db"],)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert not any(each.is_alive() for each in threads)
    assert len(world.catalogue.list_snapshots()) == 1 + 2 * 6
    world.check()


# All of them

OPERATIONS: dict[str, Callable[[World], object]] = {
    "clone": lambda world: clone(world.service, "monday", "copy"),
    "roll back": lambda world: roll_back(world.service, "db", "monday"),
    "group": lambda world: create_group(world.service, ["db", "web"], "night"),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_step_that_fails_leaves_nothing(tmp_path: Path, name: str) -> None:
    """Each call to the kernel fails once; then the same goes through."""
    for number in range(1, 60):
        world = World(tmp_path / str(number))
        world.folder.mkdir()
        service = world.start()
        for each in ("db", "web"):
            world.create(each)
        service.create_snapshot("db", "monday")
        before = world.names()
        world.host._faulty = FaultyDeviceMapper(world.host.kernel, fail_calls({number: errno.EIO}))
        try:
            OPERATIONS[name](world)
        except DrystoneError:
            world.check()
            assert world.names() == before
        else:
            reconcile(world.catalogue, service.drivers)  # what a rollback could not discard
            world.check()
            if not world.host._faulty.calls or len(world.host._faulty.calls) < number:
                world.catalogue.close()
                return
            world.catalogue.close()
            continue
        world.host.revive()
        OPERATIONS[name](world)
        world.check()
        world.catalogue.close()
    pytest.fail("there is no end of it")


def test_a_pool_that_is_full_takes_none(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.start()
    for each in ("db", "web", *(f"full{number}" for number in range(15))):
        world.create(each)
    world.service.create_snapshot("db", "monday")
    for number in range(15):
        for block in range(16):
            write(world, f"full{number}", block)
    for block in range(10):
        write(world, "web", block)
    for operation in OPERATIONS.values():
        before = world.names()
        with pytest.raises(ExhaustedError, match="is full"):
            operation(world)
        assert world.names() == before
    world.check()


def test_previews_change_nothing_and_say_what_would_be_done(world: World) -> None:
    before, ids = world.names(), world.host.thin_ids()
    steps = len(world.host.steps)
    (cloned,) = preview_clone(world.service, "monday", "copy", renew=True)
    (back,) = preview_roll_back(world.service, "db", "monday")
    (group,) = preview_group(world.service, ["db", "web"], "night")
    assert cloned.words[-1].endswith("gets a new UUID")
    assert back.words[-1] == f"then: thin device {world.service.find_volume('db').facts['DevID']} is deleted"
    for each in (cloned, back, group):
        assert each.program is not None
    assert (world.names(), world.host.thin_ids(), len(world.host.steps)) == (before, ids, steps)


def test_a_driver_without_the_abilities_says_so(world: World) -> None:
    class Plain:
        name = "plain"

    world.service.drivers["devicemapper"] = Plain()  # type: ignore[assignment]
    for operation in OPERATIONS.values():
        with pytest.raises(UnsupportedError, match="driver plain"):
            operation(world)


def test_a_volume_with_a_line_in_the_journal_does_not_go_back_and_can_be_deleted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = world.service.drivers["devicemapper"]

    def fail(*_: object) -> None:
        raise DrystoneError("no luck")

    world.service.create_snapshot("db", "tuesday")
    with monkeypatch.context() as patch:
        patch.setattr(driver, "discard", fail)
        roll_back(world.service, "db", "monday")
        with pytest.raises(BusyError, match="or was cut short"):
            roll_back(world.service, "db", "tuesday")
    world.restart(reboot=True)
    world.check()
    after = roll_back(world.service, "db", "tuesday")
    assert world.service.find_volume("db") == after
    with monkeypatch.context() as patch:
        patch.setattr(world.service.drivers["devicemapper"], "discard", fail)
        roll_back(world.service, "db", "monday")
    world.service.delete("db")
    reconcile(world.catalogue, world.service.drivers)
    world.check()


def test_a_volume_that_is_between_two_contents_is_not_used(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It went back, the catalogue could not be written, and neither could that be undone: what were written now to the
    snapshot's content would be gone with it."""
    write(world, "db", 3)

    with monkeypatch.context() as patch:
        patch.setattr(world.catalogue, "commit_rollback", _no_room)
        patch.setattr(world.service.drivers["devicemapper"], "discard", _no_room)
        with pytest.raises(DrystoneError, match="undoing it failed too"):
            roll_back(world.service, "db", "monday")
    uses: list[Callable[[], object]] = [
        lambda: world.service.mount("db"),
        lambda: preview_mount(world.service, "db", ""),
        lambda: world.service.create_snapshot("db", "tuesday"),
        lambda: create_group(world.service, ["db", "web"]),
    ]
    for use in uses:
        with pytest.raises(BusyError, match="neither done nor undone"):
            use()
    assert world.host.mounted == []
    assert [each.state for each in repair(world.service)] == ["mended"]
    world.service.mount("db")
    assert blocks(world, "db") == {0, 3}
    world.check()


def test_a_volume_that_went_back_is_used_while_what_it_was_is_still_there(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise DrystoneError("no luck")

    with monkeypatch.context() as patch:
        patch.setattr(world.service.drivers["devicemapper"], "discard", fail)
        roll_back(world.service, "db", "monday")
    world.service.mount("db")
    write(world, "db", 5)
    world.service.create_snapshot("db", "tuesday")
    assert [each.state for each in repair(world.service)] == ["mended"]
    assert blocks(world, "db") == {0, 5}
    world.check()


def test_an_id_of_what_could_not_be_undone_at_the_start_is_not_given_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the journal and the pool's record; and the next start cannot write that record."""
    begins: list[Callable[[], object]] = [
        lambda: world.catalogue.begin_create(world.service.plan(Wish(new_uuid(), "copy"), "", None)),
        lambda: world.catalogue.begin_rollback(*_plan_roll_back(world)),
    ]
    for begin in begins:
        begin()
        with monkeypatch.context() as patch:
            patch.setattr(type(world.catalogue), "put_pool", _no_room)
            world.restart()
        (left,) = world.catalogue.list_operations()
        snapshot = world.service.create_snapshot("web", f"after-{left.action}")
        assert snapshot.facts["DevID"] != left.volume.facts["DevID"]
        assert [each.state for each in repair(world.service)] == ["mended"]
        world.check()


def _plan_roll_back(world: World) -> tuple[Volume, Volume]:
    volume, snapshot = world.service.find_volume("db"), world.service.find_snapshot("monday")
    plan = back_roller(world.service.drivers["devicemapper"]).plan_roll_back(volume, snapshot)
    return volume, replace(volume, facts=plan.facts)


def _no_room(*_: object) -> None:
    raise ExhaustedError("no room for the catalogue")
