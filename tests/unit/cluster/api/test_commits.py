"""What the agents of ihosts commit: who may, when, and what they are told then."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from drystone.cluster.model import in_sync
from drystone.cluster.state import rows
from drystone.cluster.state.database import Work
from drystone.testing.cluster.client import AGENT, VIEWER, Client


@pytest.fixture
def attached(client: Client) -> Client:
    """A dlv `db` that is attached to h1."""
    client.make_group("d1", "d2")
    client.make_ihost("h1")
    client.make_dlv()

    def done(work: Work) -> None:
        dlv = rows.load_dlv(work.connection, "db")
        after = in_sync.attach(dlv, "h1", {leg.id for leg in dlv.legs}).dlv
        rows.save_dlv(work.connection, dlv, replace(after, wanted="h1", status="attached"))

    client.desk.database.change(done)
    return client


def commit(client: Client, what: str, legs: list[str], *, behind: int = 0, **other: object) -> tuple[int, Any]:
    dlv = client.must("GET", "/dlvs/db")
    epochs = {"attachment": dlv["attachment"]["epoch"], "epoch": dlv["epoch"] - behind, "set_epoch": dlv["set_epoch"]}
    told = {"ihost": "h1", **epochs, "legs": legs}
    answer = client.send("POST", f"/agents/dlvs/{dlv['id']}/{what}", {**told, **other}, token=AGENT)
    return answer.status_code, answer.json()


def data_legs(client: Client) -> list[str]:
    return [leg["id"] for leg in client.must("GET", "/dlvs/db")["legs"] if leg["group"] == 1]


def table_of(wish: Any, name: str) -> str:
    (line,) = next(each["table"] for each in wish["state"]["devices"] if each["name"] == f"drystone-dlv-db:{name}")
    return str(line["params"])


def test_a_lost_leg_is_committed_and_the_table_for_it_comes_back(attached: Client) -> None:
    before = attached.must("GET", "/dlvs/db")
    first, second = data_legs(attached)
    status, wish = commit(attached, "lost", [first])
    assert status == 200
    assert (wish["epoch"], wish["attachment"]) == (before["epoch"] + 1, before["attachment"]["epoch"])
    assert f"{second} 0 {{drystone-dlv-db:g1.s0.gone}} 0" in table_of(wish, "g1.s0")
    assert {log["path"].rsplit("/", 1)[1]: log["bits"] for log in wish["logs"]} == {"g0.s0": "clean", "g1.s0": "kept"}
    assert first not in {disk["leg"] for disk in wish["disks"]}
    assert [leg["id"] for leg in attached.must("GET", "/dlvs/db")["legs"] if not leg["in_sync"]] == [first]
    assert attached.events()[-1] == ("lost", "dlv", "db")


def test_a_commit_from_a_past_epoch_changes_nothing(attached: Client) -> None:
    first, second = data_legs(attached)
    assert commit(attached, "lost", [first])[0] == 200
    before = attached.must("GET", "/dlvs/db")
    status, problem = commit(attached, "lost", [second], behind=1)
    assert (status, problem["code"]) == (409, "mismatch")
    status, problem = commit(attached, "copied", [first], behind=1)
    assert (status, problem["code"]) == (409, "mismatch")
    status, problem = commit(attached, "lost", [first], attachment=before["attachment"]["epoch"] + 1)
    assert (status, problem["code"]) == (409, "mismatch")
    assert attached.must("GET", "/dlvs/db") == before


def test_a_commit_of_other_sets_than_those_of_the_record_changes_nothing(attached: Client) -> None:
    """The database was put back, and requests had it count on to the ihost's epoch, or past it."""
    first, _ = data_legs(attached)
    before = attached.must("GET", "/dlvs/db")
    for behind, sets in ((0, 1), (0, -1), (-1, 1), (1, 1)):
        status, problem = commit(attached, "lost", [first], behind=behind, set_epoch=before["set_epoch"] + sets)
        assert (status, problem["code"]) == (409, "refused"), (behind, sets)
        assert "it is an old copy" in problem["detail"]
    assert attached.must("GET", "/dlvs/db") == before


def test_the_last_leg_is_not_given_up(attached: Client) -> None:
    status, problem = commit(attached, "lost", data_legs(attached))
    assert (status, problem["code"]) == (409, "refused")
    assert all(leg["in_sync"] for leg in attached.must("GET", "/dlvs/db")["legs"])


def test_a_leg_that_was_copied_to_joins(attached: Client) -> None:
    first, _ = data_legs(attached)
    commit(attached, "lost", [first])
    assert commit(attached, "copied", [first])[1]["code"] == "mismatch", "nobody copies to it"

    def readmit(work: Work) -> None:
        dlv = rows.load_dlv(work.connection, "db")
        rows.save_dlv(work.connection, dlv, in_sync.readmit(dlv, "h1", dlv.epoch, first, noted=True).dlv)

    attached.desk.database.change(readmit)
    status, wish = commit(attached, "copied", [first])
    assert status == 200
    assert table_of(wish, "g1.s0").endswith("1 handle_errors")
    assert all(leg["in_sync"] for leg in attached.must("GET", "/dlvs/db")["legs"])


def test_an_agent_reads_its_wish_with_secrets_that_nobody_else_is_shown(attached: Client) -> None:
    dlv = attached.must("GET", "/dlvs/db")
    path = f"/agents/dlvs/{dlv['id']}/wish?ihost=h1"
    wish = attached.send("GET", path, token=AGENT).json()
    secrets = {disk["secret"] for disk in wish["disks"]}
    assert len(secrets) == 4
    assert all(12 <= len(secret) <= 255 for secret in secrets)
    shown = attached.send("GET", "/dlvs").text
    assert not [secret for secret in secrets if secret in shown]
    for token in ("", VIEWER):
        assert attached.send("GET", path, token=token).status_code in {401, 403}
    assert attached.send("GET", path).status_code == 403, "an operator neither"


def test_an_agent_speaks_for_its_own_host_and_uses_its_own_routes(attached: Client) -> None:
    attached.make_ihost("h2")
    dlv = attached.must("GET", "/dlvs/db")
    assert attached.send("GET", f"/agents/dlvs/{dlv['id']}/wish?ihost=h2", token=AGENT).json()["code"] == "refused"
    assert commit(attached, "lost", data_legs(attached)[:1], ihost="h2")[1]["code"] == "refused"
    assert attached.send("GET", "/dlvs/db", token=AGENT).status_code == 403
    assert attached.send("GET", "/agents/dlvs/none/wish?ihost=h1", token=AGENT).status_code == 404


def test_a_detached_dlv_is_nobodys(attached: Client) -> None:
    def gone(work: Work) -> None:
        dlv = rows.load_dlv(work.connection, "db")
        rows.save_dlv(work.connection, dlv, in_sync.detach(dlv, "h1", dlv.epoch).dlv)

    dlv = attached.must("GET", "/dlvs/db")
    attached.desk.database.change(gone)
    answer = attached.send("GET", f"/agents/dlvs/{dlv['id']}/wish?ihost=h1", token=AGENT)
    assert (answer.status_code, answer.json()["code"]) == (409, "mismatch")
