"""Attachments and snapshots over HTTP: wishes that are recorded, and the tables they stand for."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from drystone.cluster.model import in_sync
from drystone.cluster.model.tables import REGION
from drystone.cluster.state import rows
from drystone.cluster.state.database import Work
from drystone.testing.cluster.client import GIB, Client

H1 = {"ihost": "h1"}


@pytest.fixture
def ready(client: Client) -> Client:
    """A dlv `db` on d1 and d2 whose agents have made its legs, and two ihosts."""
    client.make_group("d1", "d2")
    client.make_ihost("h1")
    client.make_ihost("h2")
    client.make_dlv()

    def made(work: Work) -> None:
        dlv = rows.load_dlv(work.connection, "db")
        legs = tuple(replace(leg, status="ready") for leg in dlv.legs)
        rows.save_dlv(work.connection, dlv, replace(dlv, legs=legs, status="detached", reason=""))

    client.desk.database.change(made)
    return client


def attach_to(client: Client, ihost: str) -> None:
    """As when agents have fulfilled the wish."""

    def done(work: Work) -> None:
        dlv = rows.load_dlv(work.connection, "db")
        change = in_sync.attach(dlv, ihost, {leg.id for leg in dlv.legs})
        rows.save_dlv(work.connection, dlv, replace(change.dlv, status="attached", reason=""))

    client.desk.database.change(done)


def test_a_wish_is_recorded_and_the_same_again_is_the_same(ready: Client) -> None:
    before = ready.must("GET", "/dlvs/db/attachment")
    assert (before["wanted"], before["ihost"], before["status"]) == ("", "", "detached")
    status, state = ready.ask("PUT", "/dlvs/db/attachment", H1)
    assert (status, state["status"], state["wanted"], state["ihost"]) == (202, "attaching", "h1", "")
    assert state["epoch"] == before["epoch"] + 1
    assert ready.ask("PUT", "/dlvs/db/attachment", H1) == (202, state)
    assert ready.events().count(("attaching", "dlv", "db")) == 1
    assert ready.ask("DELETE", "/ihosts/h1")[1]["code"] == "busy"
    assert ready.ask("DELETE", "/dlvs/db")[1]["code"] == "busy"


def test_a_dlv_is_at_one_ihost_only(ready: Client) -> None:
    ready.must("PUT", "/dlvs/db/attachment", H1)
    assert ready.ask("PUT", "/dlvs/db/attachment", {"ihost": "h2"})[1]["code"] == "busy"
    attach_to(ready, "h1")
    assert ready.ask("PUT", "/dlvs/db/attachment", {"ihost": "h2"})[1]["code"] == "busy"
    assert [each["name"] for each in ready.must("GET", "/dlvs?ihost=h1")["items"]] == ["db"]


def test_what_is_creating_is_not_attached_and_dry_run_shows_how_it_would_be(client: Client) -> None:
    client.make_group("d1", "d2")
    client.make_ihost("h1")
    dlv = client.make_dlv()
    assert client.ask("PUT", "/dlvs/db/attachment", H1)[1]["code"] == "busy"
    preview = client.must("PUT", "/dlvs/db/attachment?dry_run=1", H1)
    assert preview["notes"] == ["dlv db is creating: now it would be refused"]
    hosts = [(call["host"], call["body"]["kind"], call["body"]["epoch"]) for call in preview["calls"]]
    assert hosts == [("d1", "legs", 2), ("d2", "legs", 2), ("h1", "volume", 3)]
    assert preview["calls"][0]["body"]["exports"][0]["initiators"] == ["iqn.2026-11.example:h1"]
    volume = preview["calls"][2]["body"]
    assert {each["secret"] for each in (*preview["calls"][0]["body"]["exports"], *volume["disks"])} == {""}
    assert {(disk["leg"], disk["portal"]) for disk in volume["disks"]} == {
        (leg["id"], f"{leg['dpv']}:3260") for leg in dlv["legs"]
    }
    tables = {device["name"]: device["table"] for device in volume["state"]["devices"]}
    data = [leg["id"] for leg in dlv["legs"] if leg["group"] == 1]
    log = f"/dev/drystone/log/{dlv['id']}/g1.s0"
    legs = " ".join(f"/dev/drystone/leg/{leg} 0" for leg in data)
    assert tables["drystone-dlv-db:g1.s0"] == [
        {"start": 0, "length": GIB // 512, "target": "mirror",
         "params": f"disk 3 {log} {REGION} nosync 2 {legs} 1 handle_errors"},
    ]  # fmt: skip
    assert tables["drystone-dlv-db"][0]["length"] == GIB // 512
    assert volume["logs"][1] == {"path": log, "regions": GIB // 512 // REGION, "bits": "nosync"}
    assert client.must("GET", "/dlvs/db") == dlv


def test_an_ihost_that_is_not_available_gets_nothing(ready: Client) -> None:
    ready.must("POST", "/ihosts/h1/unavailable", {"reason": "kernel update"})
    status, problem = ready.ask("PUT", "/dlvs/db/attachment", H1)
    assert (status, problem["code"]) == (409, "refused")
    assert "kernel update" in problem["detail"]
    assert ready.ask("PUT", "/dlvs/db/attachment", {"ihost": "h9"})[1]["code"] == "not-found"


def test_a_wish_is_taken_back_before_it_is_fulfilled(ready: Client) -> None:
    ready.must("PUT", "/dlvs/db/attachment", H1)
    assert ready.ask("DELETE", "/dlvs/db/attachment") == (204, None)
    assert ready.ask("DELETE", "/dlvs/db/attachment") == (204, None)
    assert ready.must("GET", "/dlvs/db")["status"] == "detached"
    assert ready.must("PUT", "/dlvs/db/attachment", {"ihost": "h2"})["wanted"] == "h2"


def test_a_dlv_is_detached_by_its_ihost(ready: Client) -> None:
    ready.must("PUT", "/dlvs/db/attachment", H1)
    attach_to(ready, "h1")
    status, state = ready.ask("DELETE", "/dlvs/db/attachment")
    assert (status, state["status"], state["wanted"], state["ihost"]) == (202, "detaching", "", "h1")
    assert ready.ask("DELETE", "/dlvs/db/attachment") == (202, state)
    assert ready.ask("PUT", "/dlvs/db/attachment", H1)[1]["code"] == "busy"


def test_force_is_for_ihosts_that_are_not_available(ready: Client) -> None:
    ready.must("PUT", "/dlvs/db/attachment", H1)
    attach_to(ready, "h1")
    assert ready.ask("DELETE", "/dlvs/db/attachment?force=1")[1]["code"] == "refused"
    ready.must("POST", "/ihosts/h1/unavailable", {"reason": "it burns"})
    ready.must("DELETE", "/dlvs/db/attachment")
    state = ready.must("DELETE", "/dlvs/db/attachment?force=1")
    assert (state["status"], state["ihost"]) == ("fencing", "h1")
    assert ready.must("DELETE", "/dlvs/db/attachment")["status"] == "fencing", "what is fenced is not detached gently"


def test_a_snapshot_is_planned_until_the_pool_is_told(ready: Client) -> None:
    status, snapshot = ready.ask("POST", "/dlvs/db/snapshots", {"name": "monday"})
    assert (status, snapshot["status"], snapshot["thin_id"], snapshot["size"]) == (202, "planned", 1, GIB)
    assert snapshot["reason"] == "its dlv is attached nowhere"
    assert ready.ask("POST", "/dlvs/db/snapshots", {"name": "monday"})[1]["code"] == "exists"
    assert ready.must("POST", "/dlvs/db/snapshots", {"name": "tuesday"})["thin_id"] == 2
    assert [each["name"] for each in ready.must("GET", "/dlvs/db/snapshots")["items"]] == ["monday", "tuesday"]
    assert ready.must("GET", "/dlvs/db/snapshots/monday") == snapshot
    assert ready.ask("DELETE", "/dlvs/db/snapshots/monday") == (204, None)
    assert ready.ask("GET", "/dlvs/db/snapshots/monday")[0] == 404
    assert ("deleted", "snapshot", "db@monday") in ready.events()


def test_a_snapshot_that_the_pool_has_is_deleted_by_it(ready: Client) -> None:
    ready.must("POST", "/dlvs/db/snapshots", {"name": "monday"})

    def made(work: Work) -> None:
        dlv = rows.load_dlv(work.connection, "db")
        there: Any = tuple(replace(each, status="available") for each in dlv.snapshots)
        rows.save_dlv(work.connection, dlv, replace(dlv, snapshots=there))

    ready.desk.database.change(made)
    status, snapshot = ready.ask("DELETE", "/dlvs/db/snapshots/monday")
    assert (status, snapshot["status"]) == (202, "deleting")
    assert ready.ask("DELETE", "/dlvs/db/snapshots/monday") == (202, snapshot)
    assert ready.events().count(("deleting", "snapshot", "db@monday")) == 1
