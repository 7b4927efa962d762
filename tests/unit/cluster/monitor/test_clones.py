"""Clones on simulated kernels: their lives, what waits for them, and monitors and ihosts that die meanwhile."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from drystone.base.errors import UnavailableError
from drystone.cluster.model.cloning import is_copying
from drystone.cluster.model.dlv import Dlv
from drystone.cluster.state import rows
from drystone.cluster.state.database import Work

from .world import PATIENCE, SIZE, World

PERIOD = 29
"""Steps between two kills."""
FIRSTS = range(1, PERIOD + 1, 1 if os.environ.get("DRYSTONE_ALL_KILLS") else 14)


def clone(world: World, **wanted: object) -> str:
    """Ask for a clone `new` of `db`; the job's id."""
    job: dict[str, Any] = world.client.must("POST", "/dlvs/db/clones", {"name": "new", **wanted})
    assert (job["kind"], job["dlv"], job["total"]) == ("clone", "new", SIZE)
    return str(job["id"])


def job_of(world: World, job: str) -> dict[str, Any]:
    found: dict[str, Any] = world.client.must("GET", f"/jobs/{job}")
    return found


def begin(world: World, **wanted: object) -> str:
    """A clone that copies, and is not done: the job's id."""
    world.make()
    world.attach()
    world.ihost.dm.hydrated = 64
    job = clone(world, **wanted)
    world.go()
    assert (world.dlv("new").status, job_of(world, job)["status"]) == ("attached", "processing")
    return job


def final_table(world: World) -> str:
    return world.ihost.tables()["drystone-dlv-new"]


def snapshots(world: World) -> list[tuple[str, str, bool]]:
    return [(each.name, each.status, each.opened) for each in world.dlv().snapshots]


def check_whole(world: World, job: str) -> Dlv:
    """It is a dlv like any other, and nothing is left of the copying."""
    dlv = world.dlv("new")
    assert (dlv.status, dlv.source) == ("attached", None), dlv.reason
    ended = job_of(world, job)
    assert (ended["status"], ended["reason"], ended["done"], ended["total"]) == ("finished", "", SIZE, SIZE)
    thin = world.ihost.dm.info("drystone-dlv-new:thin0").number
    assert final_table(world) == f"linear {thin} 0"
    assert not [name for name in world.ihost.tables() if name.endswith((":clone", ":thin16777215"))]
    pool = world.ihost.agent.look(dlv.id).pool
    assert pool is not None
    assert pool.transaction_id == dlv.transaction_id == 2
    return dlv


def test_a_clone_is_usable_at_once_copied_and_then_a_dlv_like_any_other(world: World) -> None:
    job = begin(world)
    assert "drystone-dlv-new" in world.ihost.nodes
    assert "drystone-dlv-new:clone" in world.ihost.tables()
    ((name, status, is_open),) = snapshots(world)
    assert (name, status, is_open) == (f"clone-{job}", "available", True)
    source = world.ihost.dm.info("drystone-dlv-db:thin1")
    assert source.read_only
    assert world.ihost.tables()["drystone-dlv-new:clone"].split()[3] == str(source.number)
    found = job_of(world, job)
    assert (found["done"], found["reason"]) == (64 * 65536, "25 % is copied")
    world.ihost.dm.hydrated = None
    world.go()
    check_whole(world, job)
    assert snapshots(world) == []
    assert "drystone-dlv-db:thin1" not in world.ihost.tables()
    assert (world.dlv().status, world.dlv().transaction_id) == ("attached", 3)
    code, problem = world.client.ask("POST", f"/jobs/{job}/cancel")
    assert (code, problem["code"]) == (409, "refused")


def test_a_snapshot_that_was_there_stays_and_what_is_counted_is_not_taken_for_durable(world: World) -> None:
    """The kernel counts regions that it has copied; the commit that makes them durable fails at first."""
    world.make()
    world.attach()
    world.client.must("POST", "/dlvs/db/snapshots", {"name": "monday"})
    world.go()
    world.ihost.dm.hydrated = 0
    job = clone(world, snapshot="monday")
    world.go()
    assert snapshots(world) == [("monday", "available", True)]
    world.ihost.dm.hydrated = None
    world.ihost.dm.commit_fails = True
    world.go(PATIENCE)
    assert is_copying(world.dlv("new"))
    assert job_of(world, job)["status"] == "processing"
    world.ihost.dm.commit_fails = False
    world.go()
    check_whole(world, job)
    assert snapshots(world) == [("monday", "available", False)]
    assert "drystone-dlv-db:thin1" not in world.ihost.tables()
    world.client.must("DELETE", "/dlvs/db/snapshots/monday")


def test_a_source_is_not_detached_deleted_or_robbed_of_its_snapshot_while_a_clone_is_there(world: World) -> None:
    job = begin(world)
    for method, path in (
        ("DELETE", "/dlvs/db/attachment"),
        ("DELETE", "/dlvs/db/attachment?force=1"),
        ("DELETE", f"/dlvs/db/snapshots/clone-{job}"),
    ):
        status, problem = world.client.ask(method, path)
        assert (status, problem["code"]) == (409, "busy")
        assert job in problem["detail"]
        assert "dlv new" in problem["detail"]
    assert world.client.ask("POST", "/dlvs/new/clones", {"name": "third"})[1]["code"] == "busy", "it has not all yet"
    world.client.must("DELETE", "/dlvs/new/attachment")
    world.go()
    assert world.dlv("new").status == "detached"
    assert "25 % is copied; it goes on when it is attached" in job_of(world, job)["reason"]
    world.client.must("DELETE", "/dlvs/db/attachment")
    world.go()
    assert world.dlv().status == "detached"
    assert world.client.ask("DELETE", "/dlvs/db")[1]["code"] == "busy"
    status, problem = world.client.ask("PUT", "/dlvs/new/attachment", {"ihost": "h1"})
    assert (status, problem["code"]) == (409, "refused")
    assert "dlv db, which is attached nowhere" in problem["detail"]
    world.attach()
    world.client.must("PUT", "/dlvs/new/attachment", {"ihost": "h1"})
    world.go()
    assert (world.dlv("new").status, job_of(world, job)["reason"]) == ("attached", "25 % is copied")
    world.ihost.dm.hydrated = None
    world.go()
    check_whole(world, job)


def test_while_a_clone_is_copied_its_pool_grows_legs_fail_and_snapshots_wait(world: World) -> None:
    job = begin(world)
    world.client.must("POST", "/dlvs/new/snapshots", {"name": "monday"})
    extension = world.client.must("POST", "/dlvs/new/extend", {"size": SIZE})
    world.go()
    assert [each.status for each in world.dlv("new").snapshots] == ["planned"]
    assert job_of(world, extension["id"])["status"] == "finished"
    for name in ("db", "new"):
        world.fail(world.dlv(name).legs[-1].id)
        assert len([leg for leg in world.dlv(name).legs if not leg.in_sync]) == 1
        world.heal()
        world.go()
        world.watch()
    assert {leg.in_sync for name in ("db", "new") for leg in world.dlv(name).legs} == {True}
    world.ihost.dm.hydrated = None
    world.go()
    assert [each.status for each in world.dlv("new").snapshots] == ["available"]
    assert job_of(world, job)["status"] == "finished"


def test_a_backup_of_a_clone_begins_when_all_of_it_is_copied(world: World) -> None:
    begin(world)
    backup = world.client.must("POST", "/dlvs/new/backups", {"repository": "nightly"})
    world.go()
    seen = world.client.must("GET", f"/backups/{backup['id']}")
    assert (seen["status"], seen["reason"]) == (
        "creating", "its snapshot is planned: its dlv is a clone: it is made when all of that is copied",
    )  # fmt: skip
    world.ihost.dm.hydrated = None
    world.go()
    assert world.client.must("GET", f"/backups/{backup['id']}")["status"] == "finished"
    assert [each.status for each in world.dlv("new").snapshots] == ["available"]


def test_a_backups_snapshot_that_is_copied_from_outlives_the_next_backup(world: World) -> None:
    world.make()
    world.attach()
    made = []
    for _ in range(3):
        made.append(world.client.must("POST", "/dlvs/db/backups", {"repository": "nightly"}))
        world.go()
        assert world.client.must("GET", f"/backups/{made[-1]['id']}")["status"] == "finished"
        names = {each.name for each in world.dlv().snapshots}
        if len(made) == 1:
            world.ihost.dm.hydrated = 64
            job = clone(world, snapshot=made[0]["snapshot"])
            world.go()
        elif len(made) == 2:
            assert snapshots(world) == [
                (made[0]["snapshot"], "available", True),
                (made[1]["snapshot"], "available", False),
            ]
            world.ihost.dm.hydrated = None
            world.go()
            check_whole(world, job)
    assert names == {made[2]["snapshot"]}


def test_a_clone_is_copied_while_its_source_gets_larger_and_legs_of_both_move(make_world: Callable[..., World]) -> None:
    """What the source becomes after the snapshot is not the clone's; legs are below both pools."""
    world = make_world(dpvs=3)
    job = begin(world)
    world.client.must("POST", "/dlvs/db/resize", {"size": 2 * SIZE})
    left = world.dlv("new").legs[0].dpv
    assert left in {leg.dpv for leg in world.dlv().legs}
    world.client.must("POST", f"/dpvs/{left}/evacuate")
    for _ in range(12):
        world.go()
        world.watch()
    assert world.client.must("GET", f"/dpvs/{left}/evacuation")["status"] == "evacuated"
    assert (world.dlv().size, world.dlv("new").size) == (2 * SIZE, SIZE)
    assert left not in {leg.dpv for name in ("db", "new") for leg in world.dlv(name).legs}
    assert is_copying(world.dlv("new"))
    assert "drystone-dlv-new:clone" in world.ihost.tables()
    world.ihost.dm.hydrated = None
    world.go()
    check_whole(world, job)
    world.client.must("POST", "/dlvs/new/resize", {"size": 2 * SIZE})
    world.go()
    assert world.client.must("GET", "/jobs?kind=resize&dlv=new")["items"][0]["status"] == "finished"


def test_a_source_goes_back_while_its_clone_is_away_and_is_copied_from_after_that(world: World) -> None:
    world.make()
    world.attach()
    world.client.must("POST", "/dlvs/db/snapshots", {"name": "monday"})
    world.go()
    world.ihost.dm.hydrated = 64
    job = clone(world)
    world.go()
    for name in ("new", "db"):
        world.client.must("DELETE", f"/dlvs/{name}/attachment")
        world.go()
    world.client.must("POST", "/dlvs/db/rollback", {"snapshot": "monday"})
    world.attach()
    assert (world.dlv().rollback, world.dlv().thin_id) == (None, 3)
    world.client.must("PUT", "/dlvs/new/attachment", {"ihost": "h1"})
    world.go()
    assert "drystone-dlv-new:clone" in world.ihost.tables()
    world.ihost.dm.hydrated = None
    world.go()
    check_whole(world, job)
    assert snapshots(world) == [("monday", "available", False)]


def test_an_ihost_that_is_started_anew_gets_the_source_first_and_the_copying_goes_on(world: World) -> None:
    job = begin(world)
    world.ihost.boot()
    world.ihost.dm.hydrated = 32
    world.ihost.agent.recover()
    world.go()
    world.go()
    world.watch()
    assert (world.dlv().status, world.dlv("new").status) == ("attached", "attached")
    assert "drystone-dlv-new:clone" in world.ihost.tables()
    world.ihost.dm.hydrated = None
    world.go()
    check_whole(world, job)


def test_an_ihost_that_is_gone_loses_the_clone_first_then_the_source(world: World) -> None:
    job = begin(world)
    world.cut.add("h1:9401")
    world.go(PATIENCE + 1)
    assert world.client.ask("DELETE", "/dlvs/db/attachment?force=1")[1]["code"] == "busy"
    for name in ("new", "db"):
        world.client.must("DELETE", f"/dlvs/{name}/attachment?force=1")
        world.go()
    assert (world.dlv().status, world.dlv("new").status) == ("detached", "detached")
    world.ihost.boot()
    world.ihost.agent.recover()
    world.cut.clear()
    world.go()
    world.attach()
    world.client.must("PUT", "/dlvs/new/attachment", {"ihost": "h1"})
    world.go()
    world.watch()
    world.ihost.dm.hydrated = None
    world.go()
    check_whole(world, job)


def test_a_clone_whose_source_is_not_put_together_yet_waits_and_says_so(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(world)
    for name in ("new", "db"):
        world.client.must("DELETE", f"/dlvs/{name}/attachment")
        world.go()
    put = world.ihost.agent.put

    def refuse(wish: Any) -> Any:
        if wish.dlv == world.dlv().id and wish.disks:
            raise UnavailableError("the source is not put together")
        return put(wish)

    world.client.must("PUT", "/dlvs/db/attachment", {"ihost": "h1"})
    with monkeypatch.context() as patch:
        patch.setattr(world.ihost.agent, "put", refuse)
        world.go(PATIENCE)
        world.client.must("PUT", "/dlvs/new/attachment", {"ihost": "h1"})
        world.go(2 * PATIENCE)
        assert world.dlv("new").reason == "its source, dlv db, is attaching: it is copied where that is attached"
    world.go()
    world.go()
    assert (world.dlv().status, world.dlv("new").status) == ("attached", "attached")


def test_a_job_that_is_canceled_takes_its_clone_with_it(world: World) -> None:
    job = begin(world)
    assert world.client.must("POST", f"/jobs/{job}/cancel")["status"] == "canceling"
    assert world.client.must("POST", f"/jobs/{job}/cancel")["status"] == "canceling"
    world.go()
    assert world.client.ask("GET", "/dlvs/new")[0] == 404
    ended = job_of(world, job)
    assert (ended["status"], ended["reason"]) == ("canceled", "its dlv was deleted")
    assert snapshots(world) == []
    assert {leg for legs in world.slices().values() for leg in legs} == {leg.id for leg in world.dlv().legs}
    assert not [name for name in world.ihost.tables() if "new" in name or ":thin1" in name]


def test_a_source_that_cannot_make_a_snapshot_fails_the_job_and_the_clone_can_be_deleted(world: World) -> None:
    world.make()
    world.attach()
    job = clone(world)

    def fail(work: Work) -> None:
        dlv = rows.load_dlv(work.connection, "db")
        failed = replace(dlv.snapshots[0], status="failed", reason="its pool refuses it")
        rows.save_dlv(work.connection, dlv, replace(dlv, snapshots=(failed,)))

    world.database.change(fail)
    world.go()
    ended = job_of(world, job)
    assert (ended["status"], ended["reason"]) == (
        "failed", f"snapshot clone-{job} of its source failed: delete dlv new",
    )  # fmt: skip
    world.client.must("DELETE", "/dlvs/new")
    world.go()
    assert world.client.ask("GET", "/dlvs/new")[0] == 404
    assert snapshots(world) == []
    # The name has another volume by now: whoever cancels the old job is not to lose that one.
    world.client.must("POST", "/dlvs", {"name": "new", "dvg": "fast", "size": SIZE})
    world.go()
    assert world.client.ask("POST", f"/jobs/{job}/cancel")[0] == 409
    world.go()
    assert world.dlv("new").status == "detached"


def live(world: World) -> None:
    """A clone's whole life beside its source, to the end of both."""
    world.make()
    world.attach()
    world.ihost.dm.hydrated = 64
    job = clone(world)
    world.go()
    assert world.dlv("new").status == "attached", world.dlv("new").reason
    world.ihost.dm.hydrated = None
    world.go()
    check_whole(world, job)
    assert snapshots(world) == []
    for name in ("db", "new"):
        world.client.must("DELETE", f"/dlvs/{name}/attachment")
        world.go()
        assert (world.dlv(name).status, world.dlv(name).clean) == ("detached", True)
        world.client.ask("DELETE", f"/dlvs/{name}")
        world.go()
        assert world.client.ask("GET", f"/dlvs/{name}")[0] == 404
    assert world.slices() == {"d1": set(), "d2": set()}
    assert world.ihost.tables() == {}
    assert world.admitted() == set()
    assert [each["status"] for each in world.client.must("GET", "/jobs?kind=clone")["items"]] == ["finished"]


@pytest.mark.parametrize("first", FIRSTS)
def test_a_clones_life_in_which_monitors_are_killed_again_and_again(
    make_world: Callable[..., World], first: int
) -> None:
    """With DRYSTONE_ALL_KILLS=1 each step of a life is the one of a kill in one of these."""
    world = make_world()
    world.steps.kill_from(first, PERIOD)
    live(world)
    assert world.steps.kills > 6
