"""dlvs over HTTP: what is created, what would be, and what is not."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from drystone.cluster.model.extents import EXTENT
from drystone.cluster.state import rows
from drystone.testing.cluster.client import GIB, Client, open_client


def used(client: Client) -> dict[str, int]:
    return {dpv["name"]: dpv["used"] for dpv in client.must("GET", "/dpvs")["items"]}


def test_a_dlv_has_its_legs_at_once_and_is_creating(client: Client) -> None:
    client.make_group("d1", "d2", "d3")
    status, dlv = client.ask("POST", "/dlvs", {"name": "db", "dvg": "fast", "size": GIB, "stripes": 2})
    assert status == 202
    assert (dlv["status"], dlv["reason"]) == ("creating", "no agent has been told of it yet")
    assert [(group["role"], group["stripes"]) for group in dlv["groups"]] == [("metadata", 1), ("data", 2)]
    mirrors: dict[Any, set[str]] = {}
    for leg in dlv["legs"]:
        assert (leg["status"], leg["in_sync"]) == ("planned", True)
        mirrors.setdefault((leg["group"], leg["stripe"]), set()).add(leg["dpv"])
    assert [len(dpvs) for dpvs in mirrors.values()] == [2, 2, 2]
    assert client.must("GET", "/dlvs/db") == dlv
    assert sum(used(client).values()) == sum(leg["extents"] for leg in dlv["legs"])
    assert client.events()[-1] == ("creating", "dlv", "db")


def test_a_data_group_holds_the_initial_size_and_the_pool_gets_blocks_for_all_of_it(client: Client) -> None:
    client.make_group("d1", "d2")
    dlv = client.make_dlv(size=100 * GIB, initial_size=EXTENT + 1)
    assert [group["extents"] for group in dlv["groups"]] == [100 * GIB // 65536 * 64 // EXTENT, 2]


def test_dry_run_shows_calls_and_tables_and_changes_nothing(client: Client) -> None:
    client.make_group("d1", "d2")
    before = client.events()
    status, preview = client.ask("POST", "/dlvs?dry_run=1", {"name": "db", "dvg": "fast", "size": GIB})
    assert status == 200
    assert [(call["host"], call["method"], call["address"]) for call in preview["calls"]] == [
        ("d1", "PUT", "d1:9400"), ("d2", "PUT", "d2:9400"),
    ]  # fmt: skip
    body = preview["calls"][0]["body"]
    assert [(export["size"], export["wipe"], export["initiators"]) for export in body["exports"]] == [
        (EXTENT, True, []),
        (GIB, False, []),
    ]
    leg = body["exports"][1]["leg"]
    (line,) = body["state"]["devices"][1]["table"]
    assert line == {"start": 0, "length": GIB // 512, "target": "linear", "params": f"/dev/drystone/slice/{leg} 0"}
    assert client.ask("GET", "/dlvs/db")[0] == 404
    assert set(used(client).values()) == {0}
    assert client.events() == before


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 4095}, {"size": 4097}, {"size": (1 << 54) + 4096}, {"initial_size": 0}, {"mirrors": 0}, {"mirrors": 4},
        {"stripes": 0}, {"stripes": 17}, {"block": 100}, {"block": 64}, {"name": "n" * 81}, {"mirrors": True},
        {"dvg": "d 1"},
    ],
)  # fmt: skip
def test_a_dlv_that_cannot_be_is_refused(client: Client, wrong: dict[str, object]) -> None:
    client.make_group("d1", "d2")
    status, problem = client.ask("POST", "/dlvs", {"name": "db", "dvg": "fast", "size": GIB, **wrong})
    assert (status, problem["code"]) == (400, "usage"), problem
    assert set(used(client).values()) == {0}


def test_without_room_nothing_is_given_out(client: Client) -> None:
    client.make_group("d1", "d2", size=GIB)
    status, problem = client.ask("POST", "/dlvs", {"name": "db", "dvg": "fast", "size": 2 * GIB})
    assert (status, problem["code"]) == (409, "exhausted")
    assert problem["facts"]["locations"] == 0
    assert set(used(client).values()) == {0}
    client.make_dlv(size=2 * GIB, initial_size=GIB // 2)


def test_only_dpvs_that_are_available_and_in_the_dvg_are_used(client: Client) -> None:
    client.make_group("d1", "d2")
    client.make_dpvs("d3")
    client.must("POST", "/dpvs/d2/unavailable", {"reason": "disk"})
    assert client.ask("POST", "/dlvs", {"name": "db", "dvg": "fast", "size": GIB})[1]["code"] == "exhausted"


def test_a_dlv_that_no_agent_knows_is_gone_at_once(client: Client) -> None:
    client.make_group("d1", "d2")
    client.make_dlv()
    preview = client.must("DELETE", "/dlvs/db?dry_run=1")
    assert preview["notes"] == ["no agent was told of it: it is gone at once"]
    assert client.ask("DELETE", "/dlvs/db") == (204, None)
    assert client.ask("GET", "/dlvs/db")[0] == 404
    assert set(used(client).values()) == {0}


def tell_agents(client: Client, name: str = "db") -> None:
    """As when agents have made the legs."""

    def change(work: Any) -> None:
        dlv = rows.load_dlv(work.connection, name)
        legs = tuple(replace(leg, status="ready") for leg in dlv.legs)
        rows.save_dlv(work.connection, dlv, replace(dlv, legs=legs, status="detached", reason=""))

    client.desk.database.change(change)


def test_a_dlv_that_agents_know_keeps_its_space_until_they_have_removed_it(client: Client) -> None:
    client.make_group("d1", "d2")
    epoch = client.make_dlv()["epoch"]
    tell_agents(client)
    (call, _) = client.must("DELETE", "/dlvs/db?dry_run=1")["calls"]
    assert (call["body"]["exports"], call["body"]["state"]["devices"]) == ([], [])
    assert call["body"]["epoch"] == epoch + 1
    assert client.must("GET", "/dlvs/db")["status"] == "detached"
    status, dlv = client.ask("DELETE", "/dlvs/db")
    assert (status, dlv["status"]) == (202, "deleting")
    assert {leg["status"] for leg in dlv["legs"]} == {"deleting"}
    assert sum(used(client).values()) == sum(leg["extents"] for leg in dlv["legs"])
    assert client.ask("DELETE", "/dlvs/db") == (202, dlv)
    assert client.ask("POST", "/dlvs/db/snapshots", {"name": "late"})[1]["code"] == "busy"


def test_lists_have_pages_filters_and_two_orders(client: Client) -> None:
    client.make_group("d1", "d2")
    names = [f"db{number}" for number in range(5)]
    for name in reversed(names):
        client.make_dlv(name, size=EXTENT)
    seen: list[str] = []
    after = ""
    while True:
        page = client.must("GET", f"/dlvs?limit=2&after={after}")
        seen += [each["name"] for each in page["items"]]
        after = page["next"]
        if not after:
            break
    assert seen == names
    last = client.must("GET", "/dlvs?descending=1&limit=3")
    assert ([each["name"] for each in last["items"]], last["next"]) == (names[:1:-1], "db2")
    assert client.must("GET", "/dlvs?dvg=slow")["items"] == []
    assert len(client.must("GET", "/dlvs?dvg=fast&status=creating")["items"]) == 5
    for wrong in ("limit=0", "limit=1001", "limit=x", "after=%01", f"after={'x' * 101}"):
        assert client.ask("GET", f"/dlvs?{wrong}")[1]["code"] == "usage"


def test_many_at_once_never_get_the_same_space(tmp_path: Path) -> None:
    """Two API servers over one database, several clients each: every extent is given out once."""
    url = f"sqlite:///{tmp_path}/cluster.db"
    with open_client(url) as one, open_client(url) as two:
        one.make_group("d1", "d2", size=10 * EXTENT)
        answers: list[tuple[int, str]] = []

        def create(client: Client, number: int) -> None:
            wanted = {"name": f"db{number}", "dvg": "fast", "size": EXTENT}
            status, document = client.ask("POST", "/dlvs", wanted)
            answers.append((status, document.get("code", "")))

        threads = [threading.Thread(target=create, args=((one, two)[number % 2], number)) for number in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert used(one) == {"d1": 10, "d2": 10}
        assert sorted(answers) == [(202, "")] * 5 + [(409, "exhausted")] * 7
