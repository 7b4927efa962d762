"""Jobs over HTTP: a pool is extended, and what no agent was told of is canceled."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from drystone.cluster.model.extents import EXTENT
from drystone.cluster.state import rows
from drystone.cluster.state.database import Work
from drystone.testing.cluster.client import GIB, Client


@pytest.fixture
def volume(client: Client) -> Client:
    """A dlv `db` on d1 and d2."""
    client.make_group("d1", "d2")
    client.make_dlv()
    return client


def used(client: Client) -> int:
    return sum(int(dpv["used"]) for dpv in client.must("GET", "/dpvs")["items"])


def test_an_extension_has_its_legs_at_once_and_is_a_job(volume: Client) -> None:
    before = volume.must("GET", "/dlvs/db")
    status, job = volume.ask("POST", "/dlvs/db/extend", {"size": 3 * EXTENT})
    assert (status, job["kind"], job["status"], job["group"]) == (202, "extend", "creating", 2)
    dlv = volume.must("GET", "/dlvs/db")
    assert dlv["groups"][2] == {"number": 2, "role": "data", "stripes": 1, "extents": 3, "blank": True}
    assert dlv["epoch"] == before["epoch"] + 1
    assert [leg["status"] for leg in dlv["legs"] if leg["group"] == 2] == ["planned", "planned"]
    assert volume.must("GET", f"/jobs/{job['id']}") == job
    assert volume.must("GET", "/jobs?dlv=db&status=creating")["items"] == [job]
    assert volume.must("GET", "/jobs?dlv=other")["items"] == []


def test_dry_run_of_an_extension_changes_nothing(volume: Client) -> None:
    before = volume.must("GET", "/dlvs/db")
    preview = volume.must("POST", "/dlvs/db/extend?dry_run=1", {"size": GIB})
    sizes = [[export["size"] for export in call["body"]["exports"]] for call in preview["calls"]]
    assert sizes == [[EXTENT, GIB, GIB], [EXTENT, GIB, GIB]]
    assert volume.must("GET", "/dlvs/db") == before
    assert volume.must("GET", "/jobs")["items"] == []


def test_without_room_there_is_no_job(volume: Client) -> None:
    before = used(volume)
    status, problem = volume.ask("POST", "/dlvs/db/extend", {"size": 200 * GIB})
    assert (status, problem["code"]) == (409, "exhausted")
    assert used(volume) == before
    assert volume.must("GET", "/jobs")["items"] == []


def test_a_job_that_no_agent_knows_is_canceled_and_its_space_given_back(volume: Client) -> None:
    before = used(volume)
    first = volume.must("POST", "/dlvs/db/extend", {"size": EXTENT})
    second = volume.must("POST", "/dlvs/db/extend", {"size": EXTENT})
    assert volume.ask("POST", f"/jobs/{first['id']}/cancel")[1]["code"] == "refused", "another group came after it"
    assert volume.must("POST", f"/jobs/{second['id']}/cancel")["status"] == "canceled"
    assert volume.must("POST", f"/jobs/{first['id']}/cancel")["status"] == "canceled"
    assert volume.must("POST", f"/jobs/{first['id']}/cancel")["status"] == "canceled"
    assert used(volume) == before
    assert len(volume.must("GET", "/dlvs/db")["groups"]) == 2
    assert volume.ask("GET", "/jobs/none")[0] == 404


def test_a_job_that_agents_know_is_not_canceled(volume: Client) -> None:
    job = volume.must("POST", "/dlvs/db/extend", {"size": EXTENT})

    def tell(work: Work) -> None:
        dlv = rows.load_dlv(work.connection, "db")
        legs = tuple(replace(leg, status="creating") for leg in dlv.legs)
        rows.save_dlv(work.connection, dlv, replace(dlv, legs=legs))

    volume.desk.database.change(tell)
    status, problem = volume.ask("POST", f"/jobs/{job['id']}/cancel")
    assert (status, problem["code"]) == (409, "refused")
    assert len(volume.must("GET", "/dlvs/db")["groups"]) == 3


def test_jobs_end_with_their_dlv(volume: Client) -> None:
    job = volume.must("POST", "/dlvs/db/extend", {"size": EXTENT})
    assert volume.ask("DELETE", "/dlvs/db") == (204, None)
    ended = volume.must("GET", f"/jobs/{job['id']}")
    assert (ended["status"], ended["reason"]) == ("canceled", "its dlv was deleted")
    assert used(volume) == 0
