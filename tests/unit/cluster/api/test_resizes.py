"""Resizes and rollbacks over HTTP: recorded at once, and the calls and tables that they stand for."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from drystone.cluster.model import in_sync
from drystone.cluster.model.dlv import Dlv
from drystone.cluster.state import rows
from drystone.cluster.state.database import Work
from drystone.testing.cluster.client import GIB, Client

BACK = {"snapshot": "monday"}


@pytest.fixture
def ready(client: Client) -> Client:
    """A dlv `db` that is detached, with a snapshot that is there."""
    client.make_group("d1", "d2")
    client.make_ihost("h1")
    client.make_dlv()
    client.must("POST", "/dlvs/db/snapshots", {"name": "monday"})
    change(client, made)
    return client


def change(client: Client, action: Any) -> None:
    """Record what `action` makes of the dlv."""

    def do(work: Work) -> None:
        dlv = rows.load_dlv(work.connection, "db")
        rows.save_dlv(work.connection, dlv, action(dlv))

    client.desk.database.change(do)


def made(dlv: Dlv) -> Dlv:
    legs = tuple(replace(leg, status="ready") for leg in dlv.legs)
    snapshots = tuple(replace(each, status="available") for each in dlv.snapshots)
    return replace(dlv, legs=legs, snapshots=snapshots, status="detached", reason="")


def attached(dlv: Dlv) -> Dlv:
    given = in_sync.attach(dlv, "h1", {leg.id for leg in dlv.legs}).dlv
    return replace(given, wanted="h1", status="attached")


def test_a_size_is_recorded_with_its_job_once(ready: Client) -> None:
    body = {"size": 2 * GIB, "grow_filesystem": True}
    status, job = ready.ask("POST", "/dlvs/db/resize", body, key="k")
    assert (status, job["kind"], job["status"]) == (202, "resize", "processing")
    assert ready.ask("POST", "/dlvs/db/resize", body, key="k") == (202, job)
    dlv = ready.must("GET", "/dlvs/db")
    assert (dlv["size"], dlv["fill"], dlv["epoch"]) == (2 * GIB, job["fill"], job["fill"])
    assert ready.must("GET", "/jobs?kind=resize")["items"] == [job]
    assert ready.ask("POST", f"/jobs/{job['id']}/cancel")[1]["code"] == "refused"
    assert ready.events()[-1] == ("processing", "job", job["id"])


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"size": GIB - 4096}, 409, "refused"),
        ({"size": GIB}, 409, "refused"),
        ({"size": GIB + 1}, 400, "usage"),
        ({"size": 1 << 62}, 400, "usage"),
        ({"size": "2g"}, 400, "usage"),
        ({"size": 2 * GIB, "filesystem": True}, 400, "usage"),
        ({}, 400, "usage"),
    ],
)
def test_a_size_that_cannot_be_changes_nothing(ready: Client, body: Any, status: int, code: str) -> None:
    before = ready.must("GET", "/dlvs/db")
    for query in ("", "?dry_run=1"):
        answer = ready.ask("POST", f"/dlvs/db/resize{query}", body)
        assert (answer[0], answer[1]["code"]) == (status, code)
    assert ready.must("GET", "/dlvs/db") == before
    assert ready.must("GET", "/jobs")["items"] == []


def test_dry_run_of_a_resize_has_the_larger_tables(ready: Client) -> None:
    change(ready, attached)
    before = ready.must("GET", "/dlvs/db")
    preview = ready.must("POST", "/dlvs/db/resize?dry_run=1", {"size": 2 * GIB, "grow_filesystem": True})
    (wish,) = [call["body"] for call in preview["calls"] if call["host"] == "h1"]
    lengths = {each["name"]: each["table"][-1]["length"] for each in wish["state"]["devices"]}
    assert lengths["drystone-dlv-db"] == lengths["drystone-dlv-db:thin0"] == 2 * GIB // 512
    assert lengths["drystone-dlv-db:pool"] == GIB // 512, "space is given out as it is written to"
    assert wish["fill"] == wish["epoch"] == before["epoch"] + 1
    assert ready.must("GET", "/dlvs/db") == before
    nowhere = ready.must("POST", "/dlvs/db/resize?dry_run=1", {"size": 2 * GIB})
    assert nowhere["dlv"]["size"] == 2 * GIB


def test_a_rollback_is_recorded_and_can_be_taken_back(ready: Client) -> None:
    before = ready.must("GET", "/dlvs/db")
    preview = ready.must("POST", "/dlvs/db/rollback?dry_run=1", BACK)
    assert preview["calls"] == []
    assert "create_snap 2 1; delete 0" in preview["notes"][-1]
    assert ready.must("GET", "/dlvs/db") == before
    status, job = ready.ask("POST", "/dlvs/db/rollback", BACK)
    assert (status, job["kind"], job["status"]) == (202, "rollback", "creating")
    assert ready.must("GET", "/dlvs/db")["rollback"] == {"snapshot": before["snapshots"][0]["id"], "thin_id": 2}
    assert ready.ask("POST", "/dlvs/db/rollback", BACK)[1]["code"] == "busy"
    assert ready.ask("DELETE", "/dlvs/db/snapshots/monday")[1]["code"] == "busy"
    assert ready.must("POST", "/dlvs/db/snapshots", {"name": "later"})["thin_id"] == 3
    shown = ready.must("PUT", "/dlvs/db/attachment?dry_run=1", {"ihost": "h1"})
    names = {each["name"] for each in shown["calls"][-1]["body"]["state"]["devices"]}
    assert "drystone-dlv-db:pool" in names
    assert names.isdisjoint({"drystone-dlv-db", "drystone-dlv-db:thin0", "drystone-dlv-db:thin2"})
    assert ready.must("POST", f"/jobs/{job['id']}/cancel")["status"] == "canceled"
    assert ready.must("GET", "/dlvs/db")["rollback"] is None
    assert ready.ask("DELETE", "/dlvs/db/snapshots/monday")[0] == 202


def test_what_is_attached_or_not_there_is_not_rolled_back(ready: Client) -> None:
    assert ready.ask("POST", "/dlvs/db/rollback", {"snapshot": "sunday"})[1]["code"] == "not-found"
    assert ready.ask("POST", "/dlvs/other/rollback", BACK)[1]["code"] == "not-found"
    assert ready.ask("POST", "/dlvs/db/rollback", {"snapshot": "../monday"})[0] == 400
    change(ready, attached)
    status, problem = ready.ask("POST", "/dlvs/db/rollback", BACK)
    assert (status, problem["code"]) == (409, "busy")
    assert "detach it first" in problem["hint"]
    assert ready.must("GET", "/jobs")["items"] == []
