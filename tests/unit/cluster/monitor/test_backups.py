"""Backups, from the wish at the API to what the ihost says of them; snapshots come and go with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from drystone.cluster.queue.hint import Hint

from .world import SIZE, World

PERIOD = 17
"""Steps between two kills: a monitor that remembers nothing tells three hosts of the dlv before the backup."""


def ask(world: World, repository: str = "nightly") -> Any:
    return world.client.must("POST", "/dlvs/db/backups", {"repository": repository})


def show(world: World, backup: Any) -> Any:
    return world.client.must("GET", f"/backups/{backup['id']}")


def snapshots(world: World) -> set[str]:
    return {each.name for each in world.dlv().snapshots}


@pytest.fixture
def attached(world: World) -> World:
    world.make()
    world.attach()
    return world


def test_a_backup_is_made_of_a_snapshot_that_the_next_one_builds_upon(attached: World) -> None:
    world = attached
    first = ask(world)
    assert (first["status"], first["snapshot"]) == ("creating", f"backup-{first['id']}")
    world.go(1)
    seen = show(world, first)
    assert (seen["status"], seen["reason"], seen["done"] * 2) == ("processing", "h1 makes it", seen["total"])
    world.go()
    seen = show(world, first)
    assert (seen["status"], seen["backup"], seen["done"]) == ("finished", f"of {first['id'][:8]}", seen["size"])
    assert snapshots(world) == {first["snapshot"]}
    wish = world.backups.made[first["id"]]
    assert (wish.dlv, wish.thin_id, wish.repository) == (world.dlv().id, 1, "nightly")
    # To another place: nothing there builds upon the first one's snapshot, and that stays for the next one here.
    other = ask(world, "weekly")
    world.go()
    second = ask(world)
    world.go()
    assert snapshots(world) == {other["snapshot"], second["snapshot"]}
    told = [(what, subject) for what, kind, subject in world.client.events() if kind == "backup"]
    assert told[:3] == [("creating", first["id"]), ("processing", first["id"]), ("finished", first["id"])]
    listed = world.client.must("GET", "/backups?repository=nightly&status=finished")["items"]
    assert {each["id"] for each in listed} == {first["id"], second["id"]}


@pytest.mark.parametrize("first", range(1, PERIOD + 1, 4))
def test_monitors_that_are_killed_again_and_again_make_each_backup_once(
    make_world: Callable[..., World], first: int
) -> None:
    world = make_world()
    world.make()
    world.attach()
    world.steps.kill_from(first, PERIOD)
    made = []
    for _ in range(2):
        made.append(ask(world))
        world.go()
        assert show(world, made[-1])["status"] == "finished"
    assert world.steps.kills > 1
    assert set(world.backups.made) == {each["id"] for each in made}
    assert snapshots(world) == {made[1]["snapshot"]}


def test_a_backup_has_the_size_of_its_snapshot(attached: World) -> None:
    """A dlv that is made of it has that size: it may have grown since the backup was asked for."""
    backup = ask(attached)
    attached.client.must("POST", "/dlvs/db/resize", {"size": 2 * SIZE})
    attached.go()
    assert (show(attached, backup)["status"], show(attached, backup)["size"]) == ("finished", 2 * SIZE)


def test_one_that_fails_says_why_and_leaves_no_snapshot(attached: World) -> None:
    attached.backups.fails = "this ihost has no repository 'nightly'"
    backup = ask(attached)
    attached.go()
    assert show(attached, backup)["status"] == "failed"
    assert show(attached, backup)["reason"] == "h1: this ihost has no repository 'nightly'"
    assert snapshots(attached) == set()
    assert attached.client.ask("POST", f"/backups/{backup['id']}/cancel")[0] == 409


def test_an_ihost_that_is_away_is_asked_again(attached: World) -> None:
    attached.backups.hangs = True
    backup = ask(attached)
    attached.go(3)
    attached.cut.add("h1:9401")
    attached.go(1)
    assert show(attached, backup)["status"] == "processing"
    assert "nobody answers" in show(attached, backup)["reason"]
    # It was started anew, and knows of nothing.
    attached.backups.running.clear()
    attached.backups.hangs = False
    attached.cut.clear()
    attached.go()
    assert show(attached, backup)["status"] == "finished"


def test_a_backup_is_canceled(attached: World) -> None:
    attached.backups.hangs = True
    backup = ask(attached)
    attached.go(3)
    assert attached.backups.running
    attached.client.must("POST", f"/backups/{backup['id']}/cancel")
    attached.cut.add("h1:9401")
    attached.go(1)
    assert show(attached, backup)["status"] == "canceling"
    attached.cut.clear()
    attached.go()
    assert show(attached, backup)["status"] == "canceled"
    assert attached.backups.running == {}
    assert snapshots(attached) == set()
    assert attached.client.must("POST", f"/backups/{backup['id']}/cancel")["status"] == "canceled"


def test_one_waits_for_a_dlv_that_is_detached_and_ends_with_one_that_is_deleted(attached: World) -> None:
    attached.backups.hangs = True
    backup = ask(attached)
    attached.go(3)
    attached.client.must("DELETE", "/dlvs/db/attachment")
    attached.go()
    assert show(attached, backup)["status"] == "processing"
    assert show(attached, backup)["reason"] == "it goes on when dlv db is attached, which is detached"
    attached.client.must("DELETE", "/dlvs/db")
    attached.go()
    assert show(attached, backup)["status"] == "failed"


def test_a_snapshot_that_a_volume_is_to_go_back_to_outlives_its_backup(attached: World) -> None:
    attached.backups.hangs = True
    backup = ask(attached)
    attached.go(3)
    attached.client.must("DELETE", "/dlvs/db/attachment")
    attached.go()
    attached.client.must("POST", "/dlvs/db/rollback", {"snapshot": backup["snapshot"]})
    attached.client.must("POST", f"/backups/{backup['id']}/cancel")
    attached.go()
    assert show(attached, backup)["status"] == "canceled"
    assert [each.status for each in attached.dlv().snapshots] == ["available"]
    attached.attach()
    assert (attached.dlv().rollback, attached.dlv().thin_id) == (None, 2)


def test_a_hint_has_a_backup_looked_at(attached: World) -> None:
    backup = ask(attached)
    for _ in range(3):
        attached.monitor.heed([Hint("dlv", "db"), Hint("backup", backup["id"]), Hint("backup", "none")])
    assert show(attached, backup)["status"] == "finished"


def test_what_cannot_be_backed_up_is_refused(world: World) -> None:
    world.make()
    status, document = world.client.ask("POST", "/dlvs/db/backups", {"repository": "nightly"})
    assert (status, document["code"]) == (409, "refused")
    assert world.client.ask("POST", "/dlvs/none/backups", {"repository": "nightly"})[0] == 404
    world.attach()
    for body in ({}, {"repository": ""}, {"repository": "../x"}, {"repository": "s3://bucket"}, {"url": "s3://b"}):
        assert world.client.ask("POST", "/dlvs/db/backups", body)[0] == 400, body
    assert world.client.must("GET", "/backups")["items"] == []
    assert snapshots(world) == set()
    ask(world)
    status, document = world.client.ask("POST", "/dlvs/db/backups", {"repository": "weekly"})
    assert (status, document["code"]) == (409, "busy")
