"""What holds for every request: tokens, idempotency keys, problem documents, events, the API's description."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from drystone.base.errors import NotFoundError, UnavailableError, UsageError
from drystone.cluster.api.tokens import Caller, Tokens, load_tokens
from drystone.testing.cluster.client import GIB, VIEWER, Client

DLV = {"name": "db", "dvg": "fast", "size": GIB}


@pytest.mark.parametrize("token", ["", "an-operators-toke", "an-operators-token-", "\u00e4"])
@pytest.mark.parametrize(("method", "path"), [("GET", "/dpvs"), ("POST", "/dpvs"), ("DELETE", "/dlvs/db")])
def test_strangers_see_nothing(client: Client, token: str, method: str, path: str) -> None:
    answer = client.send(method, path, token=token)
    assert (answer.status_code, answer.json()["code"]) == (401, "refused")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_viewers_look_and_change_nothing(client: Client) -> None:
    client.make_dpvs("d1")
    assert client.send("GET", "/dpvs/d1", token=VIEWER).status_code == 200
    answer = client.send("DELETE", "/dpvs/d1", token=VIEWER)
    assert (answer.status_code, answer.json()["detail"]) == (403, "eve is a viewer")
    assert client.must("GET", "/dpvs/d1")


def test_health_needs_no_token(client: Client) -> None:
    answer = client.send("GET", "/health", token="")
    assert (answer.status_code, answer.json()) == (200, {"database": "answers", "queue": "database"})


def test_health_says_when_the_database_is_away(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_action: object) -> None:
        raise UnavailableError("the database is away")

    monkeypatch.setattr(client.desk.database, "read", away)
    assert client.send("GET", "/health", token="").status_code == 503


def test_a_request_with_a_key_is_done_once_and_answered_the_same(client: Client) -> None:
    client.make_group("d1", "d2")
    first = client.send("POST", "/dlvs", DLV, key="k1")
    again = client.send("POST", "/dlvs", DLV, key="k1")
    assert first.status_code == 202
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert client.events().count(("creating", "dlv", "db")) == 1
    assert client.ask("DELETE", "/dlvs/db", key="k2") == (204, None)
    client.make_dlv()
    assert client.ask("DELETE", "/dlvs/db", key="k2") == (204, None)
    assert client.must("GET", "/dlvs/db"), "the second one was not deleted by the repeated request"


def test_a_key_belongs_to_one_request(client: Client) -> None:
    client.make_group("d1", "d2")
    client.must("POST", "/dlvs", DLV, key="k1")
    status, problem = client.ask("POST", "/dlvs", {**DLV, "name": "other"}, key="k1")
    assert (status, problem["code"]) == (409, "mismatch")
    assert client.ask("GET", "/dlvs/other")[0] == 404


def test_an_error_uses_no_key_up(client: Client) -> None:
    client.make_dpvs("d1", "d2")
    assert client.ask("POST", "/dlvs", DLV, key="k1")[0] == 404
    client.must("POST", "/dvgs", {"name": "fast", "dpvs": ["d1", "d2"]})
    assert client.ask("POST", "/dlvs", DLV, key="k1")[0] == 202


def test_of_equal_requests_at_once_one_is_done(client: Client) -> None:
    client.make_group("d1", "d2")
    answers: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: answers.append(client.send("POST", "/dlvs", DLV, key="same").content))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(answers)) == 1
    assert b'"creating"' in answers[0]


@pytest.mark.parametrize("key", ["a b", "x" * 101])
def test_a_key_that_cannot_be_is_refused(client: Client, key: str) -> None:
    assert client.ask("POST", "/dpvs", {"name": "d1"}, key=key)[1]["code"] == "usage"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'{"name": "\xff"}', b'{"name": "\\ud800"}', b"[" * 100_000],
    ids=["nothing", "half", "a list", "null", "no UTF-8", "half a pair", "deep"],
)  # fmt: skip
def test_a_body_that_is_none_is_a_problem(client: Client, body: bytes) -> None:
    status, problem = client.ask("POST", "/dpvs", body)
    assert (status, problem["code"]) == (400, "usage"), problem


def test_what_is_wrong_is_named(client: Client) -> None:
    problem = client.ask("POST", "/dpvs", {"name": "d1", "address": "x", "portal": "a:1", "size": 1})[1]
    assert "address" in problem["detail"]


@pytest.mark.parametrize("query", ["dryrun=1", "dry_run=1&limit=2", "DRY_RUN=1", "%00=1"])
def test_a_query_that_a_route_does_not_know_changes_nothing(client: Client, query: str) -> None:
    client.make_group("d1", "d2")
    client.make_dlv()
    status, problem = client.ask("DELETE", f"/dlvs/db?{query}")
    assert (status, problem["code"], problem["hint"]) == (400, "usage", "it has dry_run")
    assert client.ask("GET", "/health?x=1")[1]["hint"] == "it has none"
    assert client.must("GET", "/dlvs/db")["status"] == "creating"


def test_unknown_routes_and_methods_are_problems(client: Client) -> None:
    assert client.ask("GET", "/nothing")[1]["code"] == "not-found"
    for path, methods in (("/dpvs", "GET, POST"), ("/dlvs/db", "DELETE, GET")):
        answer = client.send("OPTIONS", path)
        assert (answer.status_code, answer.headers["allow"]) == (405, methods)
    answer = client.send("PUT", "/dpvs")
    assert (answer.status_code, answer.json()["code"]) == (405, "usage")
    assert set(answer.headers["allow"].split(", ")) >= {"GET", "POST"}


def test_events_say_who_and_in_which_request_and_go_on_from_a_number(client: Client) -> None:
    client.make_dpvs("d1", "d2", available=False)
    first = client.must("GET", "/events?limit=1")
    assert [each["subject"] for each in first["items"]] == ["d1"]
    assert first["items"][0]["caller"] == "alice"
    assert len(first["items"][0]["request"]) == 32
    second = client.must("GET", f"/events?after={first['next']}")
    assert [each["subject"] for each in second["items"]] == ["d2"]
    assert client.must("GET", f"/events?after={second['next']}") == {"items": [], "next": second["next"]}
    assert [each["subject"] for each in client.must("GET", "/events?kind=dpv&subject=d2")["items"]] == ["d2"]


def test_the_description_names_every_route_and_its_problems(client: Client) -> None:
    answer = client.send("GET", "/schema/openapi.json", token="")
    paths = answer.json()["paths"]
    assert {"/v1/dpvs", "/v1/dvgs/{name}/extend", "/v1/dlvs/{name}/attachment", "/v1/events", "/v1/health"} <= set(
        paths
    )
    assert paths["/v1/health"]["get"]["security"] == []
    bodies = answer.json()["components"]["schemas"]
    assert bodies["NewDpv"]["additionalProperties"] is False
    assert bodies["Members"]["properties"]["dpvs"]["items"]["maxLength"] == 100
    create = paths["/v1/dlvs"]["post"]
    assert {"200", "202", "400", "401", "404", "409", "503"} == set(create["responses"])
    assert {each["name"] for each in create["parameters"]} == {"dry_run", "Idempotency-Key"}


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_tokens_come_from_a_file(tmp_path: Path) -> None:
    path = write(
        tmp_path / "t", '[alice]\ntoken = "0123456789abcdef"\n[eve]\ntoken = "fedcba9876543210"\nrole = "viewer"\n'
    )
    tokens = load_tokens(path)
    assert tokens.find("Bearer 0123456789abcdef") == Caller("alice", "operator")
    assert tokens.find("bearer fedcba9876543210") == Caller("eve", "viewer")
    assert tokens.find("Basic 0123456789abcdef") is None
    assert Tokens({}).find("Bearer ") is None


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ('[alice]\ntoken = "0123456789abcdef"\n', 0o604),
        ('[alice]\ntoken = "short"\n', 0o600),
        ('[alice]\ntoken = "0123456789 abcdef"\n', 0o600),
        ('[alice]\ntoken = "0123456789abcdef"\nrole = "king"\n', 0o600),
        ('[al]\ntoken = "0123456789abcdef"\n[bo]\ntoken = "0123456789abcdef"\n', 0o600),
        ("", 0o600),
        ("[", 0o600),
    ],
)
def test_a_token_file_that_is_wrong_is_refused(tmp_path: Path, text: str, mode: int) -> None:
    with pytest.raises(UsageError):
        load_tokens(write(tmp_path / "t", text, mode))


def test_without_a_token_file_nobody_is_let_in(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        load_tokens(tmp_path / "none")
