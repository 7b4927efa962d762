"""What operators do, by the command line, on a fleet of real processes."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from drystone.testing.fleet.client import Reply
from drystone.testing.fleet.processes import FleetProcesses, wait_until

_SECONDS = 120


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetProcesses]:
    with FleetProcesses(tmp_path_factory.mktemp("fleet"), servers=3, disks=1) as fleet:
        fleet.start()
        assert fleet.client.ask(fleet.storage[0].url, "PUT", "/backups").status == 200
        for number in range(6):
            assert put(fleet, number, b"first").status == 200
        yield fleet


def put(fleet: FleetProcesses, number: int, body: bytes) -> Reply:
    return fleet.client.ask(fleet.storage[0].url, "PUT", f"/backups/host{number}/file", body=body)


def run(fleet: FleetProcesses, *words: str) -> subprocess.CompletedProcess[str]:
    """A `drystone fleet` command at the first mapper."""
    common = ["--mapper", fleet.mappers[0].url, "--secret", str(fleet.root / "fleet.secret")]
    return subprocess.run(
        [sys.executable, "-m", "drystone.cli.main", "fleet", *words, *common],
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )


def copies(fleet: FleetProcesses, server: str) -> int:
    return sum(each.server == server for placement in fleet.map().placements for each in placement.members)


def test_1_a_server_is_emptied_and_all_stays_readable(three: FleetProcesses) -> None:
    assert copies(three, "storage_1") > 0
    assert run(three, "disk", "drain", "storage_1", "--reason", "for a test").returncode == 0
    wait_until("storage_1 has no copy", lambda: copies(three, "storage_1") == 0)
    wait_until("all are protected", lambda: all(len(each.in_sync()) == 2 for each in three.map().placements))
    for number in range(6):
        answer = three.client.ask(three.storage[1].url, "GET", f"/backups/host{number}/file")
        assert (answer.status, answer.body) == (200, b"first")


def test_2_taken_back_it_gets_its_share(three: FleetProcesses) -> None:
    assert run(three, "disk", "good", "storage_1").returncode == 0
    assert run(three, "rebalance").returncode == 0
    assert run(three, "disk", "drain", "storage_2").returncode == 0
    wait_until("storage_2 has no copy", lambda: copies(three, "storage_2") == 0)
    assert copies(three, "storage_1") > 0
    assert run(three, "disk", "good", "storage_2").returncode == 0
    for number in range(6):
        assert three.client.ask(three.storage[2].url, "GET", f"/backups/host{number}/file").body == b"first"


def test_3_who_leads_is_ordered(three: FleetProcesses) -> None:
    wait_until("all are protected", three.is_protected)
    placement = next(each for each in three.map().placements if each.host == "host0")
    other = placement.members[1].server
    done = run(three, "lead", "backups/host0", other)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{other} leads backups/host0" in done.stdout
    wait_until("writes go on", lambda: put(three, 0, b"second").status == 200)


def test_4_the_status_says_all(three: FleetProcesses) -> None:
    document = json.loads(run(three, "status", "--json").stdout)
    assert {each["id"] for each in document["servers"]} == {"storage_1", "storage_2", "storage_3"}
    text = run(three, "status").stdout
    for word in ("storage_3/data_1", "backups", "host5", "alive"):
        assert word in text
    assert "for a test" in run(three, "audit", "--limit", "1000").stdout


def test_5_a_host_is_forgotten_only_when_that_is_said_twice(three: FleetProcesses) -> None:
    refused = run(three, "forget", "backups/host5")
    assert refused.returncode == 13
    assert three.client.ask(three.storage[0].url, "GET", "/backups/host5/file").status == 200
    assert run(three, "forget", "backups/host5", "--yes").returncode == 0
    wait_until("it is gone", lambda: three.client.ask(three.storage[0].url, "GET", "/backups/host5/file").status == 404)
    assert run(three, "forget", "backups/host5", "--yes").returncode == 3
    wait_until("it can be had back", lambda: "forgotten: backups/host5, 1 objects" in run(three, "status").stdout)
    assert run(three, "remember", "backups/host5").stdout.startswith("backups/host5 is there again")

    def is_back() -> bool:
        reply = three.client.ask(three.storage[0].url, "GET", "/backups/host5/file")
        return (reply.status, reply.body) == (200, b"first")

    wait_until("it is back", is_back)
    wait_until("all are protected", three.is_protected)
    assert "forgotten: " not in run(three, "status").stdout
    assert run(three, "remember", "backups/host5").returncode == 4
    assert run(three, "remember", "backups/never").returncode == 3


def test_6_keys_and_buckets(three: FleetProcesses) -> None:
    made = json.loads(run(three, "key", "create", "backups=read", "--json").stdout)
    assert made["access_key"] in run(three, "key", "list").stdout
    assert made["secret_key"] not in run(three, "key", "list", "--json").stdout
    assert run(three, "key", "delete", made["access_key"]).returncode == 0
    assert run(three, "key", "delete", made["access_key"]).returncode == 3
    assert run(three, "key", "create", "nonsense").returncode == 2
    assert run(three, "bucket", "create", "more", "--policy", "exclusive", "--quota", "5G").returncode == 0
    assert "more" in run(three, "bucket", "list").stdout
    words = ("--quota", "6G", "--keep-deleted", "7", "--expire", "30")
    changed = json.loads(run(three, "bucket", "set", "more", *words, "--json").stdout)
    assert (changed["quota"], changed["keep_deleted_days"], changed["expire_days"]) == (6 << 30, 7, 30)
    assert run(three, "bucket", "set", "none", "--expire", "1").returncode == 3
    assert run(three, "bucket", "create", "more").returncode == 4
    assert run(three, "bucket", "delete", "more").returncode == 2
    assert run(three, "bucket", "delete", "more", "--yes").returncode == 0


def test_7_what_was_deleted_can_be_had_back_where_that_is_kept(three: FleetProcesses) -> None:
    url = three.storage[0].url
    assert run(three, "bucket", "set", "backups", "--keep-deleted", "7").returncode == 0
    wait_until("all servers know", three.is_whole)
    assert put(three, 3, b"kept").status == 200
    assert three.client.ask(url, "DELETE", "/backups/host3/file").status == 204
    assert three.client.ask(url, "GET", "/backups/host3/file").status == 404
    listing = three.client.ask(url, "GET", "/backups", {"versions": "", "prefix": "host3/"}).body.decode()
    versions = re.findall(r"<Version>.*?<VersionId>(.*?)</VersionId>", listing, re.DOTALL)
    bodies = [three.client.ask(url, "GET", "/backups/host3/file", {"versionId": each}).body for each in versions]
    assert bodies == [b"kept", b"first"]


def test_without_a_mapper_it_is_said_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s" * 32)
    done = subprocess.run(
        [sys.executable, "-m", "drystone.cli.main", "fleet", "status", "--mapper", "http://127.0.0.1:1",
         "--secret", str(tmp_path / "secret")],
        capture_output=True, text=True, timeout=_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 6
    assert done.stderr.startswith("drystone: no mapper answers")
