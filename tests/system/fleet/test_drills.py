"""Restore drills on real servers, by themselves and by order: what is damaged in either copy is found and mended."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from drystone.fleet.mapping.status import HostStatus
from drystone.testing.fleet.processes import FleetProcesses, flip_byte, wait_until

_SECONDS = 120
MIB = 1 << 20
BODIES = {"old": b"o" * 100, "whole": bytes(range(256)) * (3 * MIB // 256), "empty": b"", "last": b"z" * (MIB + 1)}
ALONE = ("--dead", "3", "--replace", "6", "--drill", "0", "--drill-objects", "3")
"""Drills are made by order only."""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetProcesses]:
    """Two servers with a disk each, which read nothing back by themselves, and a host with four objects."""
    words = ("--scrub-rate", "0")
    root = tmp_path_factory.mktemp("fleet")
    with FleetProcesses(root, disks=1, mapper_words=ALONE, storage_words=words) as started:
        started.start()
        assert started.client.ask(started.storage[0].url, "PUT", "/backups").status == 200
        for name, body in BODIES.items():
            url = started.storage[0].url
            assert started.client.ask(url, "PUT", f"/backups/web/{name}", body=body).status == 200
        yield started


def run(fleet: FleetProcesses, *words: str) -> str:
    """What a `drystone fleet` command prints."""
    common = ["--mapper", fleet.mappers[0].url, "--secret", str(fleet.root / "fleet.secret")]
    return subprocess.run(
        [sys.executable, "-m", "drystone.cli.main", "fleet", *words, *common],
        stdout=subprocess.PIPE, text=True, timeout=_SECONDS, check=True,
    ).stdout  # fmt: skip


def find_host(fleet: FleetProcesses) -> HostStatus:
    status = fleet.status()
    assert status is not None
    return next(each for each in status.hosts if each.host == "web")


def drill(fleet: FleetProcesses) -> HostStatus:
    """Order a drill and wait for its result."""
    before = find_host(fleet).drilled
    assert json.loads(run(fleet, "drill", "backups/web", "--json")) == {"ordered": "backups/web"}
    wait_until("a drill was made", lambda: find_host(fleet).drilled > before)
    return find_host(fleet)


def find_file(fleet: FleetProcesses, server: int, name: str) -> Path:
    return next(
        each
        for disk in fleet.disks(fleet.storage[server])
        for each in fleet.stored_files(disk)
        if each.name == name and "web" in each.parts
    )


def test_1_the_newest_objects_are_read_from_both_copies(fleet: FleetProcesses) -> None:
    assert find_host(fleet).drill == "never"
    host = drill(fleet)
    size = 2 * sum(len(BODIES[each]) for each in ("whole", "empty", "last"))
    assert host.drill == "passed"
    assert host.drill_text.startswith("3 objects, ")
    assert all(f"storage_{number}/data_1" in host.drill_text for number in (1, 2))
    found = httpx.get(f"{fleet.mappers[0].url}/status.json", trust_env=False).json()
    assert found["hosts"][0]["status"]["drill"] == "passed"
    page = httpx.get(f"{fleet.mappers[0].url}/status/board", trust_env=False).text
    assert "restore drill passed" in page
    lines = httpx.get(f"{fleet.mappers[0].url}/metrics", trust_env=False).text.splitlines()
    assert 'drystone_fleet_drills{result="passed"} 1.0' in lines
    assert f"passed: 3 objects, {size / MIB:.1f} MiB" in run(fleet, "audit")


@pytest.mark.parametrize(("server", "name", "at"), [(0, "whole", 2 * MIB + 7), (1, "whole", 0), (1, "last", MIB)])
def test_2_a_flipped_bit_is_found_in_either_copy_and_mended(
    fleet: FleetProcesses, server: int, name: str, at: int
) -> None:
    path = find_file(fleet, server, name)
    flip_byte(path, at)
    host = drill(fleet)
    assert host.drill == "failed"
    assert f"storage_{server + 1}/data_1: 'web/{name}' was damaged, and is mended" in host.drill_text
    assert path.read_bytes() == BODIES[name]
    assert f"the restore drill of backups/web failed: {host.drill_text}" in run(fleet, "status")
    assert drill(fleet).drill == "passed"


@pytest.mark.parametrize("server", [0, 1])
def test_3_so_is_a_file_that_is_gone(fleet: FleetProcesses, server: int) -> None:
    path = find_file(fleet, server, "last")
    path.unlink()
    host = drill(fleet)
    assert host.drill == "failed"
    assert "'web/last' was damaged, and is mended" in host.drill_text
    assert path.read_bytes() == BODIES["last"]


def test_4_what_no_copy_has_whole_is_told(fleet: FleetProcesses) -> None:
    for server in (0, 1):
        flip_byte(find_file(fleet, server, "last"), 5)
    host = drill(fleet)
    assert host.drill == "failed"
    assert host.drill_text.count("'web/last' is damaged, and cannot be mended") == 2
    assert fleet.client.ask(fleet.storage[0].url, "DELETE", "/backups/web/last").status == 204
    assert drill(fleet).drill == "passed"


def test_5_drills_are_made_by_themselves_and_go_on_after_another_mapper_led(tmp_path: Path) -> None:
    words = (*ALONE[:4], "--drill", "0.5")
    with FleetProcesses(tmp_path / "fleet", disks=1, mapper_words=words) as fleet:
        fleet.start()
        assert fleet.client.ask(fleet.storage[0].url, "PUT", "/backups").status == 200
        assert fleet.client.ask(fleet.storage[0].url, "PUT", "/backups/web/file", body=b"x").status == 200
        wait_until("a drill was made", lambda: find_host(fleet).drill == "passed")
        first = find_host(fleet).drilled
        assert fleet.mappers[0].stop() == 0
        fleet.mappers[0].start()
        wait_until("the mapper leads", lambda: fleet.status() is not None)
        assert find_host(fleet).drilled >= first, "results are in the database"
        wait_until("another one was made", lambda: find_host(fleet).drilled > first)
