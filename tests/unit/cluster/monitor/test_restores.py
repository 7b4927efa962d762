"""Restores, from the wish at the API to a dlv that is detached; nobody has it before all of it is there."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from drystone.cluster.model.backup import Backup
from drystone.cluster.state import backups
from drystone.cluster.state.database import Work

from .world import PATIENCE, SIZE, World

ID, VOLUME, UUID = (f"{digit * 8}-3f0c-4d3b-9a53-2f4a6f3f7b11" for digit in "123")
PERIOD = 19
"""Steps between two kills."""
FIRSTS = range(1, PERIOD + 1, 1 if os.environ.get("DRYSTONE_ALL_KILLS") else 12)


def record(world: World, **others: Any) -> None:
    """A backup of a dlv that is gone."""
    backup = Backup(
        id=ID, dlv="db", volume=VOLUME, snapshot=f"backup-{ID}", size=SIZE, repository="nightly", status="finished",
        done=SIZE, total=SIZE, backup=UUID,
    )  # fmt: skip
    world.database.change(lambda work: backups.add(work.connection, replace(backup, **others)))


def restore(world: World, **wanted: Any) -> str:
    body = {"name": "new", "dvg": "fast", "ihost": "h1", **wanted}
    job: dict[str, Any] = world.client.must("POST", f"/backups/{ID}/restore", body)
    assert (job["kind"], job["dlv"], job["status"], job["total"]) == ("restore", "new", "creating", SIZE)
    return str(job["id"])


def job_of(world: World, job: str) -> dict[str, Any]:
    found: dict[str, Any] = world.client.must("GET", f"/jobs/{job}")
    return found


def check_nobody_has_it(world: World) -> None:
    """Unless all of it is there."""
    dlv = world.dlv("new")
    if dlv.id not in world.restores.filled:
        assert dlv.status not in {"attached", "attaching", "detached"}
        assert dlv.restore is not None
        assert "drystone-dlv-new" not in world.ihost.tables()
        assert "drystone-dlv-new" not in world.ihost.nodes


def check_restored(world: World, job: str) -> None:
    dlv = world.dlv("new")
    assert (dlv.status, dlv.restore, dlv.wanted, dlv.attachment) == ("detached", None, "", None), dlv.reason
    wish = world.restores.filled[dlv.id]
    assert (wish.id, wish.repository, wish.volume, wish.backup) == (job, "nightly", VOLUME, UUID)
    ended = job_of(world, job)
    assert (ended["status"], ended["reason"], ended["done"], ended["total"]) == ("finished", "", SIZE, SIZE)
    assert world.ihost.tables() == {}


def check_gone(world: World) -> None:
    assert world.client.ask("GET", "/dlvs/new")[0] == 404
    assert world.slices() == {"d1": set(), "d2": set()}
    assert world.ihost.tables() == {}


def begin(world: World) -> str:
    """A restore that does not come to an end: the job's id."""
    record(world)
    world.restores.hangs = True
    job = restore(world)
    world.go()
    assert job_of(world, job)["status"] == "processing"
    assert world.dlv("new").status == "restoring"
    return job


def test_a_backup_becomes_a_dlv_like_any_other(world: World) -> None:
    job = begin(world)
    check_nobody_has_it(world)
    seen = job_of(world, job)
    assert (seen["reason"], seen["done"], seen["total"]) == ("h1 fills it", SIZE // 2, SIZE)
    world.restores.hangs = False
    world.go()
    check_restored(world, job)
    told = [(what, kind) for what, kind, subject in world.client.events() if subject in {"new", job}]
    assert ("restored", "dlv") in told
    assert told[-1] == ("finished", "job")
    world.client.must("PUT", "/dlvs/new/attachment", {"ihost": "h1"})
    world.go()
    assert world.dlv("new").status == "attached"
    assert "drystone-dlv-new" in world.ihost.nodes


@pytest.mark.parametrize("first", FIRSTS)
def test_a_restore_in_which_monitors_are_killed_again_and_again(make_world: Callable[..., World], first: int) -> None:
    """With DRYSTONE_ALL_KILLS=1 each step of it is the one of a kill in one of these."""
    world = make_world()
    record(world)
    world.steps.kill_from(first, PERIOD)
    job = restore(world)
    for _ in range(8 * PATIENCE):
        world.go(1)
        check_nobody_has_it(world)
    check_restored(world, job)
    assert world.steps.kills > 1


def test_an_agent_that_was_started_anew_begins_anew(world: World) -> None:
    job = begin(world)
    world.restores.running.clear()
    world.cut.add("h1:9401")
    world.go(1)
    assert "nobody answers" in job_of(world, job)["reason"]
    world.cut.clear()
    world.restores.hangs = False
    world.go()
    check_restored(world, job)


def test_an_ihost_that_was_started_anew_is_shut_out_and_fills_it_from_the_beginning(world: World) -> None:
    job = begin(world)
    world.ihost.boot()
    world.restores.running.clear()
    for _ in range(4 * PATIENCE):
        world.go(1)
        check_nobody_has_it(world)
    world.restores.hangs = False
    world.go()
    check_restored(world, job)
    assert "fencing" in [what for what, kind, subject in world.client.events() if (kind, subject) == ("dlv", "new")]


def test_a_leg_that_is_lost_meanwhile_is_done_without(world: World) -> None:
    job = begin(world)
    world.lose("d2")
    world.go()
    assert {leg.dpv for leg in world.dlv("new").legs if not leg.in_sync} == {"d2"}
    world.restores.hangs = False
    world.go()
    check_restored(world, job)


def test_one_that_fails_says_why_and_leaves_nothing(world: World) -> None:
    record(world)
    world.restores.fails = "there is no backup of that id"
    job = restore(world)
    world.go()
    assert (job_of(world, job)["status"], job_of(world, job)["reason"]) == (
        "failed", "h1: there is no backup of that id",
    )  # fmt: skip
    world.go()
    check_gone(world)
    assert world.client.ask("POST", f"/jobs/{job}/cancel")[0] == 409


def test_one_that_is_canceled_leaves_nothing(world: World) -> None:
    job = begin(world)
    assert world.client.must("POST", f"/jobs/{job}/cancel")["status"] == "canceling"
    world.go()
    check_gone(world)
    assert job_of(world, job)["status"] == "canceled"


def test_a_dead_ihost_is_left_by_force_once_the_job_is_canceled(world: World) -> None:
    job = begin(world)
    world.cut.add("h1:9401")
    world.go(PATIENCE + 1)
    assert world.client.ask("DELETE", "/dlvs/new/attachment?force=1")[0] == 409
    world.client.must("POST", f"/jobs/{job}/cancel")
    world.go(PATIENCE + 1)
    assert world.dlv("new").status == "detaching"
    world.client.must("DELETE", "/dlvs/new/attachment?force=1")
    for _ in range(4):
        world.go(1)
        assert world.client.ask("PUT", "/dlvs/new/attachment", {"ihost": "h1"})[0] in {404, 409}
    world.go()
    assert world.client.ask("GET", "/dlvs/new")[0] == 404
    assert job_of(world, job)["status"] == "canceled"


def test_nothing_else_is_done_with_it_meanwhile(world: World) -> None:
    job = begin(world)
    for method, path, body in (
        ("PUT", "/dlvs/new/attachment", {"ihost": "h1"}),
        ("DELETE", "/dlvs/new/attachment", None),
        ("DELETE", "/dlvs/new", None),
        ("POST", "/dlvs/new/snapshots", {"name": "monday"}),
        ("POST", "/dlvs/new/backups", {"repository": "nightly"}),
        ("POST", "/dlvs/new/resize", {"size": 2 * SIZE}),
    ):
        status, document = world.client.ask(method, path, body)
        assert (status, document["code"]) == (409, "busy"), path
        assert "is being restored" in document["detail"], path
    assert world.client.ask("POST", "/dlvs/new/clones", {"name": "other"})[0] == 409
    assert world.client.ask("POST", "/dlvs/new/rollback", {"snapshot": "monday"})[0] in {404, 409}
    world.restores.hangs = False
    world.go()
    check_restored(world, job)


def test_an_ihost_that_is_to_fill_a_dlv_is_not_forgotten(world: World) -> None:
    record(world)
    job = restore(world)
    status, document = world.client.ask("DELETE", "/ihosts/h1")
    assert (status, document["detail"]) == (409, "ihost h1 is to fill dlv new from a backup")
    world.go()
    check_restored(world, job)
    world.client.must("DELETE", "/dlvs/new")
    world.go()
    world.client.must("DELETE", "/ihosts/h1")


def test_what_cannot_be_restored_is_refused(world: World) -> None:
    good = {"name": "new", "dvg": "fast", "ihost": "h1"}
    assert world.client.ask("POST", f"/backups/{ID}/restore", good)[0] == 404
    record(world, status="processing", backup="")
    assert world.client.ask("POST", f"/backups/{ID}/restore", good)[1]["detail"] == f"backup {ID} is processing"

    def finish(work: Work) -> None:
        before = backups.load(work.connection, ID)
        backups.save(work.connection, before, replace(before, status="finished", backup=UUID))

    world.database.change(finish)
    for wrong, status in (
        ({"ihost": "h2"}, 404),
        ({"dvg": "slow"}, 404),
        ({"mirrors": 3}, 409),
        ({"mirrors": 4}, 400),
        ({"size": SIZE}, 400),
        ({"name": "../new"}, 400),
    ):
        assert world.client.ask("POST", f"/backups/{ID}/restore", {**good, **wrong})[0] == status, wrong
    preview = world.client.must("POST", f"/backups/{ID}/restore?dry_run=1", good)
    assert (preview["dlv"]["size"], preview["dlv"]["restore"]["backup"]) == (SIZE, UUID)
    assert "ihost h1 puts it together then, without a device for users" in preview["notes"][0]
    assert world.client.must("GET", "/jobs")["items"] == world.client.must("GET", "/dlvs")["items"] == []
    world.client.must("POST", "/ihosts/h1/unavailable", {})
    assert world.client.ask("POST", f"/backups/{ID}/restore", good)[0] == 409
