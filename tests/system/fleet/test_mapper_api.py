"""Mappers as processes: which one leads, who may ask what, and what they say when the database is gone."""

import shutil
from pathlib import Path

import httpx
import msgspec
import pytest

from drystone.fleet.documents import FleetMap, Key
from drystone.testing.fleet.processes import FleetProcesses, Server, wait_until


def get(server: Server, path: str, **headers: str) -> httpx.Response:
    return httpx.get(server.url + path, headers=headers, timeout=20, trust_env=False)


def leads(server: Server) -> bool:
    answer = get(server, "/health")
    return bool(answer.status_code == 200 and answer.json()["leads"])


def test_the_one_that_does_not_lead_says_who_does_and_takes_over(tmp_path: Path) -> None:
    with FleetProcesses(tmp_path, mappers=2, servers=1, disks=1) as fleet:
        fleet.start()
        first, second = sorted(fleet.mappers, key=leads, reverse=True)
        bearer = {"Authorization": f"Bearer {fleet.secret}"}
        for path in ("/internal/map", "/api?action=get_all_config"):
            answer = get(second, path, **bearer)
            assert answer.status_code == 307
            assert first.relay is not None
            assert answer.headers["location"] == first.relay.url + path
        assert first.stop() == 0
        wait_until("the second leads", lambda: leads(second))
        terms = {get(second, "/health").json()["term"]}
        first.start()
        wait_until("the first knows who leads", lambda: get(first, "/internal/map", **bearer).status_code == 307)
        assert {get(second, "/health").json()["term"]} == terms
        wait_until("all is well", fleet.is_whole)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/internal/map"),
        ("GET", "/internal/status"),
        ("POST", "/internal/heartbeat"),
        ("POST", "/internal/keys"),
        ("DELETE", "/internal/keys/x"),
        ("GET", "/internal/nothing"),
    ],
)
def test_without_the_secret_nothing_is_said(fleet: FleetProcesses, method: str, path: str) -> None:
    for header in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {fleet.secret}"}):
        answer = httpx.request(method, fleet.mappers[0].url + path, headers=header, timeout=20, trust_env=False)
        assert (answer.status_code, answer.content) == (401, b"")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/internal/heartbeat", b"{"),
        ("/internal/heartbeat", b"[]"),
        ("/internal/report", b'{"placement": 5}'),
        ("/internal/allocate", b'{"namespace": "x"}'),
        ("/internal/buckets", b"\xff\xfe"),
        ("/internal/vbuckets", b'{"namespace": "x", "per_disk": -1, "total": 1e99}'),
    ],
)
def test_bad_documents_are_refused_in_a_line(fleet: FleetProcesses, path: str, body: bytes) -> None:
    url = fleet.mappers[0].url + path
    answer = httpx.post(url, content=body, headers={"Authorization": f"Bearer {fleet.secret}"}, trust_env=False)
    assert answer.status_code == 400
    assert answer.json()["code"] == "usage"


@pytest.mark.parametrize("query", ["newer=x", "newer=-1", "newer=99999999999999999999", "wait=1.5"])
def test_bad_numbers_are_refused(fleet: FleetProcesses, query: str) -> None:
    answer = get(fleet.mappers[0], f"/internal/map?{query}", Authorization=f"Bearer {fleet.secret}")
    assert answer.status_code == 400


def test_the_map_is_waited_for(fleet: FleetProcesses) -> None:
    bearer = {"Authorization": f"Bearer {fleet.secret}"}
    version = fleet.map().version
    assert get(fleet.mappers[0], f"/internal/map?newer={version + 1000}&wait=1", **bearer).status_code == 204
    answer = get(fleet.mappers[0], f"/internal/map?newer={version - 1}&wait=20", **bearer)
    assert answer.json()["version"] >= version


def test_who_has_the_map_is_told_what_is_new_of_it(fleet: FleetProcesses) -> None:
    bearer = {"Authorization": f"Bearer {fleet.secret}"}
    before = fleet.map()
    key = Key("NEWKEY", "a-secret-of-many-letters", {"*": "read"})
    assert fleet.make_key(key)
    path = f"/internal/map?newer={before.version}&edition="
    news = msgspec.json.decode(get(fleet.mappers[0], path + before.edition, **bearer).content, type=FleetMap)
    assert (news.since, news.keys, news.buckets) == (before.version, (key,), ())
    whole = msgspec.json.decode(get(fleet.mappers[0], path + "another", **bearer).content, type=FleetMap)
    assert (whole.since, len(whole.keys)) == (0, len(before.keys) + 1)
    wait_until("all servers have it", fleet.is_whole)


def test_servers_go_by_a_database_that_was_put_back_whatever_they_were_told_before(tmp_path: Path) -> None:
    with FleetProcesses(tmp_path / "fleet", disks=1) as fleet:
        fleet.start()
        url = fleet.storage[0].url
        assert fleet.client.ask(url, "PUT", "/backups").status == 200
        fleet.copy_database(tmp_path / "copy.db")
        for host in ("one", "two"):
            assert fleet.client.ask(url, "PUT", f"/backups/{host}/file", body=host.encode()).status == 200
        wait_until("all have the map", fleet.is_protected)
        fleet.storage[1].kill()  # with the map of the database that is lost
        assert fleet.mappers[0].stop() == 0
        fleet.fold_database()
        shutil.copy(tmp_path / "copy.db", fleet.database_file)
        fleet.mappers[0].start()
        fleet.storage[1].start()
        wait_until("the map is there again", fleet.is_protected)
        assert {each.host for each in fleet.map().placements} == {"one", "two"}
        for server in fleet.storage:
            for host in ("one", "two"):
                assert fleet.client.ask(server.url, "GET", f"/backups/{host}/file").body == host.encode()
        assert fleet.client.ask(url, "PUT", "/backups/three/file", body=b"three").status == 200
        assert fleet.client.ask(fleet.storage[1].url, "GET", "/backups/three/file").body == b"three"


def test_the_legacy_api_can_be_closed_to_those_without_a_key(tmp_path: Path) -> None:
    with FleetProcesses(tmp_path, servers=1, disks=1, mapper_words=("--legacy", "key")) as fleet:
        fleet.start()
        path = "/api?action=get_all_config"
        assert get(fleet.mappers[0], path).status_code == 401
        key = (fleet.key.access_key, fleet.key.secret)
        url = fleet.mappers[0].url + path
        assert httpx.get(url, auth=(key[0], "wrong"), trust_env=False).status_code == 401
        assert httpx.get(url, auth=key, trust_env=False).json() == {}
