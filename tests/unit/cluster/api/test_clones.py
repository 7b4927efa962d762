"""Clones over HTTP: what is recorded of one that is asked for, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from drystone.cluster.model import in_sync
from drystone.cluster.model.cloning import notes_size
from drystone.cluster.model.dlv import Dlv, Rollback, Snapshot
from drystone.cluster.state import rows
from drystone.cluster.state.database import Work
from drystone.testing.cluster.client import GIB, Client


def edit(client: Client, name: str, change: Callable[[Dlv], Dlv]) -> None:
    """What the monitor records meanwhile."""

    def act(work: Work) -> None:
        dlv = rows.load_dlv(work.connection, name)
        rows.save_dlv(work.connection, dlv, change(dlv))

    client.desk.database.change(act)


def attached(dlv: Dlv, ihost: str = "h1") -> Dlv:
    change = in_sync.attach(dlv, ihost, {leg.id for leg in dlv.legs})
    return replace(change.dlv, status="attached", wanted=ihost, reason="")


@pytest.fixture
def ready(client: Client) -> Client:
    """A dlv `db` that is attached to h1 and has a snapshot `monday`; h2."""
    client.make_group("d1", "d2")
    for name in ("h1", "h2"):
        client.make_ihost(name)
    client.make_dlv(initial_size=GIB // 2)
    client.must("POST", "/dlvs/db/snapshots", {"name": "monday"})

    def made(dlv: Dlv) -> Dlv:
        legs = tuple(replace(leg, status="ready") for leg in dlv.legs)
        snapshots = tuple(replace(each, status="available") for each in dlv.snapshots)
        return attached(replace(dlv, legs=legs, snapshots=snapshots))

    edit(client, "db", made)
    return client


def test_a_clone_has_its_space_at_once_and_a_snapshot_of_its_own(ready: Client) -> None:
    before = ready.must("GET", "/dlvs/db")
    status, job = ready.ask("POST", "/dlvs/db/clones", {"name": "new"})
    assert status == 202
    assert (job["kind"], job["dlv"], job["status"], job["done"], job["total"]) == ("clone", "new", "creating", 0, GIB)
    source, new = ready.must("GET", "/dlvs/db"), ready.must("GET", "/dlvs/new")
    added = source["snapshots"][-1]
    assert (added["name"], added["status"], added["opened"], added["temporary"]) == (
        f"clone-{job['id']}", "planned", True, True,
    )  # fmt: skip
    assert source["epoch"] == before["epoch"], "nothing of it is to be told yet"
    assert new["source"] == {
        "dlv": source["id"], "name": "db", "snapshot": added["id"], "thin_id": 2, "status": "copying",
    }  # fmt: skip
    assert [new[key] == source[key] for key in ("size", "mirrors", "stripes", "block", "dvg")] == [True] * 5
    assert new["messages"] == ["create_thin 0", "create_thin 16777215"]
    assert new["groups"][1]["extents"] * (4 << 20) >= GIB + notes_size(GIB)
    assert ("creating", "job", job["id"]) in ready.events()


def test_a_snapshot_that_is_named_is_opened_in_an_epoch_of_its_own(ready: Client) -> None:
    before = ready.must("GET", "/dlvs/db")
    for name in ("new", "other"):
        ready.must("POST", "/dlvs/db/clones", {"name": name, "snapshot": "monday", "mirrors": 1, "stripes": 2})
    after = ready.must("GET", "/dlvs/db")
    assert [(each["name"], each["opened"], each["temporary"]) for each in after["snapshots"]] == [
        ("monday", True, False)
    ]
    assert after["epoch"] == before["epoch"] + 1
    assert after["version"] == before["version"] + 2, "whoever detaches it at the same time looks again"
    new = ready.must("GET", "/dlvs/new")
    assert (new["mirrors"], new["stripes"], new["source"]["snapshot"]) == (1, 2, after["snapshots"][0]["id"])


def test_dry_run_of_a_clone_changes_nothing(ready: Client) -> None:
    before = ready.must("GET", "/dlvs/db")
    preview = ready.must("POST", "/dlvs/db/clones?dry_run=1", {"name": "new"})
    assert {call["host"] for call in preview["calls"]} == {"d1", "d2"}
    assert preview["dlv"]["source"]["name"] == "db"
    assert ready.must("GET", "/dlvs/db") == before
    assert ready.ask("GET", "/dlvs/new")[0] == 404


def refused(client: Client, code: str, words: str, body: dict[str, Any] | None = None, source: str = "db") -> None:
    """A clone is refused, and nothing is changed by that."""
    before = client.must("GET", "/dlvs"), client.must("GET", "/jobs")
    _, problem = client.ask("POST", f"/dlvs/{source}/clones", body or {"name": "new"})
    assert problem["code"] == code
    assert words in f"{problem['detail']} ({problem['hint']})"
    assert (client.must("GET", "/dlvs"), client.must("GET", "/jobs")) == before


def test_what_cannot_be_cloned_is_refused(ready: Client) -> None:
    refused(ready, "not-found", "there is no dlv 'none'", source="none")
    refused(ready, "not-found", "no snapshot 'tuesday'", {"name": "new", "snapshot": "tuesday"})
    refused(ready, "not-found", "there is no dvg 'slow'", {"name": "new", "dvg": "slow"})
    refused(ready, "exists", "there is a dlv 'db'", {"name": "db"})
    refused(ready, "exhausted", "there is no room", {"name": "new", "mirrors": 3})
    refused(ready, "usage", "mirrors", {"name": "new", "mirrors": 4})
    refused(ready, "usage", "name", {"name": "../new"})
    ready.must("POST", "/dlvs/db/snapshots", {"name": "later"})
    refused(ready, "refused", "db@later is planned", {"name": "new", "snapshot": "later"})
    job = ready.must("POST", "/dlvs/db/clones", {"name": "first"})["id"]
    refused(ready, "refused", "and not to stay", {"name": "new", "snapshot": f"clone-{job}"})
    edit(ready, "first", attached)
    refused(ready, "busy", f"by job {job}", source="first")
    ready.must("DELETE", "/dlvs/first/attachment")
    edit(ready, "first", lambda dlv: replace(dlv, attachment=None, status="detached"))
    ready.must("DELETE", "/dlvs/db/attachment")
    refused(ready, "refused", "dlv db is detaching", {"name": "new"})


def test_a_clone_goes_only_where_its_source_is_until_it_has_all(ready: Client) -> None:
    ready.must("POST", "/dlvs/db/clones", {"name": "new"})
    edit(ready, "new", lambda dlv: replace(dlv, status="detached"))
    status, problem = ready.ask("PUT", "/dlvs/new/attachment", {"ihost": "h2"})
    assert (status, problem["code"]) == (409, "refused")
    assert problem["detail"] == "dlv new is being copied from dlv db, which is at ihost h1"
    before = ready.must("GET", "/dlvs/db")["version"]
    ready.must("PUT", "/dlvs/new/attachment", {"ihost": "h1"})
    assert ready.must("GET", "/dlvs/db")["version"] == before + 1, "whoever detaches it at the same time looks again"
    assert ready.ask("DELETE", "/dlvs/db/attachment")[1]["code"] == "busy"

    def whole(dlv: Dlv) -> Dlv:
        assert dlv.source is not None
        return replace(dlv, source=replace(dlv.source, status="whole"), wanted="", status="detached")

    edit(ready, "new", whole)
    ready.must("PUT", "/dlvs/new/attachment", {"ihost": "h2"})
    assert ready.must("DELETE", "/dlvs/db/attachment")["status"] == "detaching"


def test_a_clone_that_has_not_all_gets_no_other_size_and_does_not_go_back(ready: Client) -> None:
    ready.must("POST", "/dlvs/db/clones", {"name": "new"})
    edit(ready, "new", lambda dlv: replace(dlv, status="detached"))
    monday = Snapshot(id="m", name="monday", thin_id=1, size=GIB, status="available")
    edit(ready, "new", lambda dlv: replace(dlv, snapshots=(monday,)))
    before = ready.must("GET", "/dlvs/new"), ready.must("GET", "/jobs")
    for path, body in (("resize", {"size": 2 * GIB}), ("rollback", {"snapshot": "monday"})):
        status, problem = ready.ask("POST", f"/dlvs/new/{path}", body)
        assert (status, problem["code"], problem["hint"]) == (409, "busy", "wait until its job is finished"), path
        assert problem["detail"] == "dlv new is a clone that is being copied from dlv db"
    assert (ready.must("GET", "/dlvs/new"), ready.must("GET", "/jobs")) == before


def test_a_source_keeps_its_size_until_the_snapshot_of_it_is_made(ready: Client) -> None:
    ready.must("POST", "/dlvs/db/clones", {"name": "new"})
    assert ready.ask("POST", "/dlvs/db/resize", {"size": 2 * GIB})[1]["code"] == "busy"
    edit(ready, "db", lambda dlv: replace(dlv, snapshots=tuple(replace(s, status="available") for s in dlv.snapshots)))
    assert ready.ask("POST", "/dlvs/db/resize", {"size": 2 * GIB})[0] == 202
    assert ready.must("GET", "/dlvs/new")["size"] == GIB


def test_what_is_to_be_rolled_back_is_not_cloned_before_it_is(ready: Client) -> None:
    def ask_back(dlv: Dlv) -> Dlv:
        return replace(dlv, rollback=Rollback(snapshot=dlv.snapshots[0].id, thin_id=2))

    edit(ready, "db", ask_back)
    refused(ready, "busy", "dlv db is to be rolled back to monday (wait")


def test_the_wish_of_a_clone_names_its_source(ready: Client) -> None:
    ready.must("POST", "/dlvs/db/clones", {"name": "new"})
    edit(ready, "new", lambda dlv: replace(dlv, status="detached"))
    preview = ready.must("PUT", "/dlvs/new/attachment?dry_run=1", {"ihost": "h1"})
    body = preview["calls"][-1]["body"]
    assert body["source"] == {"dlv": ready.must("GET", "/dlvs/db")["id"], "thin_id": 2}


def test_thin_ids_end_before_the_one_of_the_notes(ready: Client) -> None:
    edit(ready, "db", lambda dlv: replace(dlv, snapshots=(replace(dlv.snapshots[0], thin_id=(1 << 24) - 2),)))
    refused(ready, "exhausted", "thin ids")
    assert ready.ask("POST", "/dlvs/db/snapshots", {"name": "later"})[1]["code"] == "exhausted"
