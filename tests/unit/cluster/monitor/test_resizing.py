"""Volumes that get larger, and that go back to a snapshot; with monitors that are killed at each of their steps."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from drystone.base.errors import KernelError, RefusedError
from drystone.cluster.model.calls import VolumeWish
from drystone.kernel.dm.abc import Ref
from drystone.kernel.dm.simulated.thin_metadata import ThinMetadata

from .world import PATIENCE, SIZE, World

NAME = "drystone-dlv-db"
PERIOD = 12
"""Steps between two kills. Those behind a call or a transaction are enough: the next step is before another one, and
nothing happens in between."""


def pool_of(world: World) -> ThinMetadata:
    """What the pool has committed, as it is asked to."""
    world.ihost.dm.status(f"{NAME}:pool")
    found = [each for each in world.ihost.dm.machine.contents.values() if isinstance(each, ThinMetadata)]
    return max(found, key=lambda each: (each.transaction_id, each.time, each.next_block))


def blocks(world: World) -> dict[int, set[int]]:
    """The virtual blocks of each thin device."""
    return {number: {*each.mappings} for number, each in pool_of(world).devices.items()}


def size(world: World) -> int:
    """Bytes of the final device."""
    return sum(line.length for line in world.ihost.dm.table(NAME)) * 512


def write(world: World, block: int) -> None:
    world.ihost.dm.write(NAME, 128 * block, 128)


def snapshot(world: World, name: str) -> None:
    world.client.must("POST", "/dlvs/db/snapshots", {"name": name})
    world.go()


def detach(world: World) -> None:
    world.client.must("DELETE", "/dlvs/db/attachment")
    world.go()
    assert world.dlv().status == "detached", world.dlv().reason


def jobs(world: World, kind: str) -> list[tuple[str, str]]:
    found = world.client.must("GET", f"/jobs?kind={kind}")["items"]
    return [(each["status"], each["reason"]) for each in found]


def test_a_volume_gets_larger_while_attached_and_its_pool_when_it_is_written_to(
    make_world: Callable[..., World],
) -> None:
    world = make_world()
    world.make(size=2 * SIZE)
    world.attach()
    world.ihost.calls.clear()
    job = world.client.must("POST", "/dlvs/db/resize", {"size": 4 * SIZE})
    world.go()
    ended = world.client.must("GET", f"/jobs/{job['id']}")
    assert (ended["status"], ended["reason"], size(world)) == ("finished", "", 4 * SIZE)
    suspended = [call.arguments["ref"] for call in world.ihost.calls if call.operation == "suspend"]
    assert len(suspended) == 2, "the thin device and the final one, and neither the pool nor a mirror"
    assert (world.ihost.grown, world.dlv().fill) == ([], 0)
    assert len(world.dlv().groups) == 2, "nothing is given out for it yet"
    for block in range(2 * SIZE // 65536):
        write(world, block)
    world.go()
    assert len(world.dlv().groups) == 3, "the rule for growth is of the new size"


def test_a_file_system_follows_and_is_asked_to_once(world: World) -> None:
    world.make()
    world.attach()
    job = world.client.must("POST", "/dlvs/db/resize", {"size": 2 * SIZE, "grow_filesystem": True})
    world.go()
    assert world.client.must("GET", f"/jobs/{job['id']}")["status"] == "finished"
    assert (world.ihost.grown, world.dlv().fill) == ([NAME], 0)
    detach(world)
    world.attach()
    assert world.ihost.grown == [NAME]


def test_why_a_file_system_does_not_follow_is_the_jobs_reason_and_nothing_waits_for_it(world: World) -> None:
    def refuse() -> None:
        raise RefusedError("xfs grows only while it is mounted")

    world.make()
    world.attach()
    world.ihost.before_growth = refuse
    world.client.must("POST", "/dlvs/db/resize", {"size": 2 * SIZE, "grow_filesystem": True})
    world.client.must("POST", "/dlvs/db/resize", {"size": 3 * SIZE})
    snapshot(world, "monday")
    assert sorted(jobs(world, "resize")) == [
        ("failed", "the volume has its size, the file system on it does not: xfs grows only while it is mounted"),
        ("finished", ""),
    ]
    assert (size(world), world.dlv().fill, world.dlv().reason) == (3 * SIZE, 0, "")
    assert [(each.status, each.size) for each in world.dlv().snapshots] == [("available", 3 * SIZE)]
    world.ihost.before_growth = lambda: None
    world.client.must("POST", "/dlvs/db/resize", {"size": 3 * SIZE, "grow_filesystem": True})
    world.go()
    assert world.ihost.grown == [NAME]


def test_a_size_that_is_recorded_while_detached_is_there_with_the_next_attachment(world: World) -> None:
    world.make()
    world.client.must("POST", "/dlvs/db/resize", {"size": 2 * SIZE})
    world.go()
    assert jobs(world, "resize") == [("finished", "")]
    world.client.must("POST", "/dlvs/db/resize", {"size": 3 * SIZE, "grow_filesystem": True})
    world.go()
    assert ("processing", "it is attached nowhere: its ihost is told with the next attachment") in jobs(world, "resize")
    world.attach()
    assert (size(world), world.ihost.grown) == (3 * SIZE, [NAME])
    assert {status for status, _ in jobs(world, "resize")} == {"finished"}


def test_a_leg_that_fails_while_it_gets_larger_leaves_its_set_and_the_size_comes(world: World) -> None:
    world.make()
    leg = world.attach().legs[-1]
    world.cut.add("h1:9401")
    world.client.must("POST", "/dlvs/db/resize", {"size": 2 * SIZE, "grow_filesystem": True})
    world.fail(leg.id)
    assert size(world) == 2 * SIZE, "what its watcher was answered has the size, too"
    world.cut.clear()
    world.heal()
    world.go()
    assert jobs(world, "resize") == [("finished", "")]
    assert world.ihost.grown == [NAME]


def test_a_volume_goes_back_and_snapshots_are_of_before_and_after(world: World) -> None:
    world.make()
    world.attach()
    write(world, 0)
    snapshot(world, "monday")
    write(world, 1)
    detach(world)
    world.client.must("POST", "/dlvs/db/snapshots", {"name": "before"})
    job = world.client.must("POST", "/dlvs/db/rollback", {"snapshot": "monday"})
    world.client.must("POST", "/dlvs/db/snapshots", {"name": "after"})
    world.go()
    assert world.client.must("GET", f"/jobs/{job['id']}")["status"] == "creating"
    world.puts.clear()
    world.attach()
    assert world.client.must("GET", f"/jobs/{job['id']}")["status"] == "finished"
    monday, before, after = (each.thin_id for each in world.dlv().snapshots)
    volume = world.dlv().thin_id
    assert blocks(world) == {monday: {0}, before: {0, 1}, volume: {0}, after: {0}}
    assert (monday, before, volume, after) == (1, 2, 3, 4)
    assert {each.status for each in world.dlv().snapshots} == {"available"}
    wishes = [wish for at, wish in world.puts if at == "h1:9401" and isinstance(wish, VolumeWish) and wish.disks]
    shown = [NAME in {device.name for device in wish.state.devices} for wish in wishes]
    told = ["delete 0" in str(wish.state) for wish in wishes]
    assert shown == sorted(shown), "once it can be opened it stays so"
    assert shown.index(True) == told.index(True), "and that is when it has gone back"
    assert ("rolling back", "dlv", "db") in world.client.events()


def test_a_rollback_whose_ihost_dies_before_it_hears_of_it_is_done_by_the_next_attachment(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.make()
    world.attach()
    write(world, 0)
    snapshot(world, "monday")
    write(world, 1)
    detach(world)
    world.client.must("POST", "/dlvs/db/rollback", {"snapshot": "monday"})
    world.client.must("PUT", "/dlvs/db/attachment", {"ihost": "h1"})
    step = world.steps.step

    def cut_once_it_is_recorded() -> None:
        if world.dlv().rollback is None:
            world.cut.add("h1:9401")
        step()

    monkeypatch.setattr(world.steps, "step", cut_once_it_is_recorded)
    world.go()
    monkeypatch.undo()
    assert (world.dlv().thin_id, pool_of(world).transaction_id) == (2, 2), "it is recorded, and the pool does not know"
    world.client.must("POST", "/ihosts/h1/unavailable", {"reason": "it burns"})
    world.client.must("DELETE", "/dlvs/db/attachment?force=1")
    world.ihost.boot()
    world.go(4 * PATIENCE)
    world.cut.clear()
    world.client.must("POST", "/ihosts/h1/available", {})
    world.go()
    world.attach()
    world.watch()
    assert blocks(world) == {1: {0}, 2: {0}}
    assert jobs(world, "rollback") == [("finished", "")]


@pytest.mark.parametrize(
    ("refused", "number"), [("create_snap 2 1", errno.ENOSPC), ("", errno.EOPNOTSUPP), ("delete 0", errno.EIO)]
)
def test_a_rollback_that_the_pool_refuses_has_failed_and_the_volume_is_what_it_was(
    world: World, monkeypatch: pytest.MonkeyPatch, refused: str, number: int
) -> None:
    """Its metadata is full; it is read-only; it fails at the last moment, after the volume's snapshot was made."""
    world.make()
    world.attach()
    write(world, 0)
    snapshot(world, "monday")
    write(world, 1)
    detach(world)
    world.client.must("POST", "/dlvs/db/rollback", {"snapshot": "monday"})
    message = world.ihost.dm.message

    def refuse(ref: Ref, text: str, *, sector: int = 0) -> str:
        if text.startswith(refused or ("create", "delete", "set")) and text != "set_transaction_id 2 2":
            raise KernelError("message", number)
        return message(ref, text, sector=sector)

    monkeypatch.setattr(world.ihost.dm, "message", refuse)
    world.client.must("PUT", "/dlvs/db/attachment", {"ihost": "h1"})
    world.go(PATIENCE - 1)
    assert jobs(world, "rollback")[0][0] == "processing"
    world.go(4 * PATIENCE)
    ((status, reason),) = jobs(world, "rollback")
    assert (status, errno.errorcode[number] in reason) == ("failed", True)
    assert "the volume is as it was" in reason
    assert (world.dlv().status, world.dlv().reason) == ("attached", "")
    assert blocks(world)[0] == {0, 1}
    assert NAME in world.ihost.tables()
    monkeypatch.undo()
    detach(world)
    world.client.must("POST", "/dlvs/db/rollback", {"snapshot": "monday"})
    world.attach()
    assert blocks(world) == {1: {0}, 2: {0}}, "what was made before is made anew"
    assert world.dlv().transaction_id == pool_of(world).transaction_id == 3


@pytest.mark.parametrize("first", range(2, PERIOD + 1, 2))
def test_monitors_that_are_killed_at_each_step_come_to_the_same_end(
    make_world: Callable[..., World], first: int
) -> None:
    world = make_world()
    world.make()
    world.attach()
    write(world, 0)
    snapshot(world, "monday")
    write(world, 1)
    world.steps.kill_from(first, PERIOD)
    world.client.must("POST", "/dlvs/db/resize", {"size": 2 * SIZE, "grow_filesystem": True})
    world.go()
    assert (size(world), {*world.ihost.grown}) == (2 * SIZE, {NAME})
    detach(world)
    world.client.must("POST", "/dlvs/db/rollback", {"snapshot": "monday"})
    world.attach()
    assert blocks(world) == {1: {0}, 2: {0}}
    write(world, 1)
    world.go()
    assert blocks(world) == {1: {0}, 2: {0, 1}}
    assert jobs(world, "resize") + jobs(world, "rollback") == [("finished", "")] * 2
    assert world.dlv().transaction_id == pool_of(world).transaction_id == 3
    assert world.steps.kills > 2
