"""dpvs, dvgs and ihosts over HTTP."""

from __future__ import annotations

import pytest

from drystone.cluster.model.extents import EXTENT
from drystone.testing.cluster.client import GIB, Client

DPV = {"name": "d1", "address": "d1:9400", "portal": "d1:3260", "size": GIB}


def test_a_dpv_is_registered_and_stays_creating_until_somebody_says_more(client: Client) -> None:
    status, dpv = client.ask("POST", "/dpvs", {**DPV, "size": 10 * EXTENT + 5, "location": "rack 7"})
    assert status == 201
    assert (dpv["status"], dpv["extents"], dpv["used"], dpv["location"]) == ("creating", 10, 0, "rack 7")
    assert "agent has not answered" in dpv["reason"]
    assert client.must("GET", "/dpvs/d1") == dpv
    assert client.must("POST", "/dpvs/d1/available", {"reason": "I saw it"})["status"] == "available"
    assert client.must("POST", "/dpvs/d1/unavailable", {})["status"] == "unavailable"
    assert client.events() == [("registered", "dpv", "d1"), ("available", "dpv", "d1"), ("unavailable", "dpv", "d1")]


def test_a_dpv_is_registered_once(client: Client) -> None:
    client.make_dpvs("d1")
    status, problem = client.ask("POST", "/dpvs", DPV)
    assert (status, problem["code"]) == (409, "exists")


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": EXTENT - 1}, {"size": 0}, {"size": -1}, {"size": 1 << 63}, {"size": 1 << 70}, {"size": "10"},
        {"name": "../etc"}, {"name": "a"}, {"name": "-ab"}, {"name": "ab\n"}, {"name": "n" * 101}, {"name": None},
        {"address": "nowhere"}, {"address": "a b:1"}, {"location": "\u0000"}, {"unknown": 1},
    ],
)  # fmt: skip
def test_a_dpv_that_cannot_be_is_refused_and_nothing_is_kept(client: Client, wrong: dict[str, object]) -> None:
    status, problem = client.ask("POST", "/dpvs", {**DPV, **wrong})
    assert (status, problem["code"]) == (400, "usage"), problem
    assert client.must("GET", "/dpvs")["items"] == []
    assert client.events() == []


def test_a_dpv_is_in_one_dvg_only(client: Client) -> None:
    client.make_group("d1", "d2")
    client.must("POST", "/dvgs", {"name": "slow"})
    status, problem = client.ask("POST", "/dvgs/slow/extend", {"dpvs": ["d1"]})
    assert (status, problem["code"]) == (409, "busy")
    assert client.must("POST", "/dvgs/fast/reduce", {"dpvs": ["d1"]})["dpvs"] == ["d2"]
    assert client.must("POST", "/dvgs/slow/extend", {"dpvs": ["d1"]})["dpvs"] == ["d1"]
    assert client.must("GET", "/dpvs/d1")["dvg"] == "slow"


def test_a_change_of_a_dvg_is_made_whole_or_not_at_all(client: Client) -> None:
    client.make_group("d1")
    client.make_dpvs("d2")
    assert client.ask("POST", "/dvgs/fast/extend", {"dpvs": ["d2", "d9"]})[0] == 404
    assert client.ask("POST", "/dvgs", {"name": "other", "dpvs": ["d2", "d1"]})[0] == 409
    assert client.must("GET", "/dpvs/d2")["dvg"] == ""
    assert client.ask("GET", "/dvgs/other")[0] == 404


def test_a_dvg_and_a_dpv_in_use_stay(client: Client) -> None:
    client.make_group("d1", "d2")
    client.make_dlv()
    assert client.ask("POST", "/dvgs/fast/reduce", {"dpvs": ["d1"]})[1]["code"] == "busy"
    assert client.ask("DELETE", "/dvgs/fast")[1]["code"] == "busy"
    assert client.ask("DELETE", "/dpvs/d1")[1]["code"] == "busy"
    client.must("DELETE", "/dlvs/db")
    assert client.ask("DELETE", "/dpvs/d1")[1]["code"] == "busy"
    client.must("POST", "/dvgs/fast/reduce", {"dpvs": ["d1", "d2"]})
    assert client.ask("DELETE", "/dvgs/fast") == (204, None)
    assert client.ask("DELETE", "/dpvs/d1") == (204, None)
    assert client.ask("DELETE", "/dpvs/d1")[0] == 404


def test_an_ihost_is_known_by_its_name_and_its_initiator(client: Client) -> None:
    client.make_ihost("h1")
    wanted = {"name": "h2", "address": "h2:1", "initiator": "iqn.2026-11.example:h1"}
    assert client.ask("POST", "/ihosts", wanted)[1]["code"] == "exists"
    assert client.ask("POST", "/ihosts", {**wanted, "initiator": "anything"})[0] == 400
    assert client.must("GET", "/ihosts?status=available")["items"][0]["name"] == "h1"
    assert client.ask("DELETE", "/ihosts/h1") == (204, None)
    assert client.ask("GET", "/ihosts/h1")[0] == 404


@pytest.mark.parametrize(
    "path", ["/dpvs/d9", "/dvgs/d9", "/ihosts/d9", "/dlvs/d9", "/dlvs/d9/snapshots/x", "/dpvs/%00"]
)
def test_what_is_not_there_is_a_problem_document(client: Client, path: str) -> None:
    answer = client.send("GET", path)
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json()["code"] == "not-found"
