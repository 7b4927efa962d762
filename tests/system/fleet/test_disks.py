"""Disks that die, come back old, lie or are full, under real processes: nothing is lost, nothing wrong is served."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from drystone.base.errors import BusyError, RefusedError
from drystone.fleet.documents import Member, Placement
from drystone.fleet.orders import LeadOrder
from drystone.testing.fleet.bodies import PIECE, make_bytes
from drystone.testing.fleet.client import LostError, Reply
from drystone.testing.fleet.mounts import can_mount
from drystone.testing.fleet.processes import FleetProcesses, Server, flip_byte, truncate, wait_until

SIZES = {"host/empty": 0, "host/small": 1000, "host/sub/one": PIECE, "host/sub/large": 2 * PIECE + 5}
DISK_SIZE = 256 << 20


class Fleet(FleetProcesses):
    """A fleet that all tests use, each with a bucket of its own."""

    bucket = ""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Two servers with two disks each, file systems of their own where they can be made."""
    size = DISK_SIZE if can_mount() else 0
    words = ("--dead", "3", "--replace", "4")
    folder: Path = tmp_path_factory.mktemp("fleet")
    with Fleet(folder, disks=2, disk_size=size, mapper_words=words) as started:
        started.start()
        yield started


@pytest.fixture
def fleet(servers: Fleet, request: pytest.FixtureRequest) -> Fleet:
    """The same for every test: whole, with a few objects in a new bucket."""
    for each in servers.everybody:
        if not each.pid:
            each.begin()
    wait_until("all is protected, and there is room", lambda: servers.is_protected() and has_room(servers))
    servers.bucket = re.sub("[^a-z]+", "-", request.node.name)[:60].strip("-")
    assert servers.client.ask(servers.storage[0].url, "PUT", f"/{servers.bucket}").status == 200
    for key, length in SIZES.items():
        assert put(servers, key, content(key, length)) == 200
    return servers


def has_room(fleet: Fleet) -> bool:
    """Whether the mapper has heard that no disk is full any more."""
    status = fleet.status()
    return status is not None and all(each.free > DISK_SIZE / 4 for each in status.disks if each.state == "good")


def content(key: str, length: int) -> bytes:
    return make_bytes(length, len(key))


def put(fleet: Fleet, key: str, body: bytes, server: int = 0) -> int:
    return fleet.client.ask(fleet.storage[server].url, "PUT", f"/{fleet.bucket}/{key}", body=body).status


def get(fleet: Fleet, key: str, server: int = 0) -> Reply | None:
    """None: the answer broke off."""
    try:
        return fleet.client.ask(fleet.storage[server].url, "GET", f"/{fleet.bucket}/{key}")
    except LostError:
        return None


def check_all(fleet: Fleet) -> None:
    """Everything is as it was put, through either server."""
    for number in range(len(fleet.storage)):
        for key, length in SIZES.items():
            reply = get(fleet, key, number)
            assert reply is not None
            assert reply.status == 200
            assert reply.body == content(key, length)


def placement_of(fleet: Fleet, host: str = "host") -> Placement:
    return next(each for each in fleet.map().placements if (each.namespace, each.host) == (fleet.bucket, host))


def server_of(fleet: Fleet, member: Member) -> Server:
    return next(each for each in fleet.storage if each.name == member.server)


def disk_of(fleet: Fleet, member: Member) -> Path:
    return fleet.root / member.server / member.disk


def stored(fleet: Fleet, member: Member, name: str) -> Path:
    """The file of an object on a member's disk."""
    folder = placement_of(fleet).folder
    files = fleet.stored_files(disk_of(fleet, member))
    return next(path for path in files if path.name == name and folder in path.parts)


def swap_leaders(fleet: Fleet) -> None:
    """Have the other copy lead, and wait until both are in sync again."""
    placement = placement_of(fleet)
    other = next(each for each in placement.in_sync() if each.server != placement.leader)
    fleet.ask_mapper("/internal/lead", Placement, LeadOrder(placement.id, other.server))
    wait_until("both copies are in sync", fleet.is_protected)


@pytest.mark.parametrize("which", ["leader", "other"])
def test_a_dead_disk_is_a_non_event(fleet: Fleet, which: str) -> None:
    """All that was on it is gone; another disk takes its place without anybody doing anything."""
    placement = placement_of(fleet)
    member = placement.members[0] if which == "leader" else placement.members[1]
    disk = disk_of(fleet, member)
    fleet.unmount(disk)
    wait_until("it can be read", lambda: (found := get(fleet, "host/small", 1)) is not None and found.status == 200)
    wait_until("it can be written", lambda: put(fleet, "host/after", b"after") == 200)
    check_all(fleet)

    def has_two_copies() -> bool:
        found = placement_of(fleet)
        return len(found.in_sync()) == 2 and member.disk_id not in {each.disk_id for each in found.members}

    wait_until("another disk has a copy", has_two_copies)
    check_all(fleet)
    placement = placement_of(fleet)
    other = next(each for each in placement.in_sync() if each.server != placement.leader)
    server_of(fleet, placement.members[0]).kill()
    wait_until("the new copy leads", lambda: placement_of(fleet).leader == other.server)
    survivor = fleet.storage.index(server_of(fleet, other))
    for key, length in SIZES.items():
        reply = get(fleet, key, survivor)
        assert reply is not None
        assert (reply.status, reply.body) == (200, content(key, length))
    fleet.mount(disk)


def test_a_disk_that_comes_back_old_is_not_trusted(fleet: Fleet) -> None:
    placement = placement_of(fleet)
    disk = disk_of(fleet, placement.members[0])
    fleet.unmount(disk)
    wait_until("it can be written", lambda: put(fleet, "host/small", b"newer") == 200)
    for number in (0, 1):
        assert fleet.client.ask(fleet.storage[number].url, "DELETE", f"/{fleet.bucket}/host/sub/one").status == 204
    fleet.mount(disk)
    for _ in range(20):
        for number in (0, 1):
            newer, deleted = get(fleet, "host/small", number), get(fleet, "host/sub/one", number)
            assert newer is None or newer.status >= 500 or newer.body == b"newer"
            assert deleted is None or deleted.status >= 500 or deleted.status == 404
    wait_until("all is protected", fleet.is_protected)
    swap_leaders(fleet)
    for number in (0, 1):
        newer, deleted = get(fleet, "host/small", number), get(fleet, "host/sub/one", number)
        assert newer is not None
        assert newer.body == b"newer"
        assert deleted is not None
        assert deleted.status == 404


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove", "lengthen"])
def test_damage_is_mended_from_the_other_copy(fleet: Fleet, damage: str) -> None:
    placement = placement_of(fleet)
    for member in (placement.members[0], placement.members[1]):
        for name, at in (("small", 500), ("large", PIECE + 7)):
            path = stored(fleet, member, name)
            match damage:
                case "flip":
                    flip_byte(path, at)
                case "truncate":
                    truncate(path, at)
                case "remove":
                    path.unlink()
                case _:
                    with path.open("ab") as file:
                        file.write(b"more")
        check_all(fleet)
        swap_leaders(fleet)
        check_all(fleet)


def test_what_is_damaged_twice_is_not_served(fleet: Fleet) -> None:
    for member in placement_of(fleet).members:
        flip_byte(stored(fleet, member, "large"), PIECE + 7)
    for number in (0, 1):
        reply = get(fleet, "host/sub/large", number)
        assert reply is None or reply.status >= 500, "the damaged bytes were served"
        part = fleet.client.ask(
            fleet.storage[number].url,
            "GET",
            f"/{fleet.bucket}/host/sub/large",
            headers={"range": f"bytes=0-{PIECE - 1}"},
        )
        assert part.body == content("host/sub/large", SIZES["host/sub/large"])[:PIECE], "what is good can be had"
    # A host is protected again only when all that it stored can be copied.
    assert fleet.client.ask(fleet.storage[0].url, "DELETE", f"/{fleet.bucket}/host/sub/large").status == 204


@pytest.mark.skipif(not can_mount(), reason="no mount namespace can be made here")
def test_a_full_disk_says_so_and_can_be_emptied(fleet: Fleet) -> None:
    for server in fleet.storage:
        for disk in fleet.disks(server):
            fleet.fill(disk)
    assert put(fleet, "host/more", bytes(100_000)) in {503, 507}
    check_all(fleet)
    assert fleet.client.ask(fleet.storage[1].url, "DELETE", f"/{fleet.bucket}/host/sub/large").status == 204
    for server in fleet.storage:
        for disk in fleet.disks(server):
            fleet.drain(disk)
    wait_until(
        "there is room again", lambda: put(fleet, "host/sub/large", content("host/sub/large", 2 * PIECE + 5)) == 200
    )
    wait_until("all is protected", fleet.is_protected)
    check_all(fleet)


def ask_until_done(fleet: Fleet, server: Server, method: str, query: dict[str, str], body: bytes = b"") -> Reply:
    """As a client does: again while it is told to try again."""
    replies: list[Reply] = []

    def is_done() -> bool:
        replies.append(fleet.client.ask(server.url, method, f"/{fleet.bucket}/host/parts", query, body))
        return replies[-1].status != 503

    wait_until(f"{method} {query} is answered", is_done)
    assert replies[-1].status == 200, replies[-1]
    return replies[-1]


def test_an_upload_in_parts_goes_on_after_a_failover_to_a_copy_that_was_made_meanwhile(fleet: Fleet) -> None:
    parts = [make_bytes(5 * PIECE, 1), make_bytes(5 * PIECE + 7, 2), make_bytes(1000, 3)]
    placement = placement_of(fleet)
    leader, other = (server_of(fleet, each) for each in placement.members)
    begun = ask_until_done(fleet, leader, "POST", {"uploads": ""})
    upload = re.search(rb"<UploadId>(.*)</UploadId>", begun.body)
    assert upload is not None
    query = {"uploadId": upload[1].decode()}
    etags = []

    def put_part(server: Server, number: int) -> None:
        reply = ask_until_done(fleet, server, "PUT", {**query, "partNumber": f"{number}"}, parts[number - 1])
        etags.append(reply.headers["etag"])

    put_part(leader, 1)
    other.kill()
    put_part(leader, 2)
    shutil.rmtree(fleet.root / other.name / "state")
    other.begin()
    wait_until("all is protected", fleet.is_protected)
    leader.kill()
    put_part(other, 3)
    named = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in enumerate(etags, 1)
    )
    document = f"<CompleteMultipartUpload>{named}</CompleteMultipartUpload>".encode()
    assert b"<Error>" not in ask_until_done(fleet, other, "POST", query, document).body
    reply = get(fleet, "host/parts", fleet.storage.index(other))
    assert reply is not None
    assert reply.body == b"".join(parts)


def run_start_over(fleet: Fleet, disk: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "drystone.cli.main", "fleet", "disk", "start-over", str(disk), *words]
    command += ["--mapper", fleet.mappers[0].url, "--secret", str(fleet.root / "fleet.secret"), "--json"]
    if fleet.mounts is not None:
        command = fleet.mounts.inside(command)
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_a_disk_whose_index_is_lost_begins_anew(fleet: Fleet) -> None:
    """Until somebody says so it is not used; then it is another disk, and what lay on it is beside it."""
    member = placement_of(fleet).members[1]
    disk, server = disk_of(fleet, member), server_of(fleet, member)
    assert run_start_over(fleet, disk, "--yes").returncode == BusyError.exit_code, "a disk in use began anew"
    assert server.stop() == 0
    assert run_start_over(fleet, disk, "--yes").returncode == RefusedError.exit_code, "a whole disk began anew"
    for path in fleet.seen(disk).glob(".drystone/index.db*"):
        path.unlink()
    planned = json.loads(run_start_over(fleet, disk).stdout)
    assert (planned["disk"], planned["done"], planned["new_disk"]) == (member.disk_id, False, "")
    server.begin()
    wait_until(
        "the other copy answers", lambda: (found := get(fleet, "host/small", 0)) is not None and found.status == 200
    )
    wait_until(
        "the disk has no copy", lambda: member.disk_id not in {each.disk_id for each in placement_of(fleet).members}
    )
    ended = run_start_over(fleet, disk, "--yes")
    assert ended.returncode == 0, ended.stderr
    done = json.loads(ended.stdout)
    assert (done["disk"], done["done"], done["files"]) == (member.disk_id, True, planned["files"])
    wait_until("all is protected", fleet.is_protected)
    check_all(fleet)
    aside = [path for path in fleet.seen(disk).glob("given-up-*/*/host*/small") if path.is_file()]
    assert [path.read_bytes() for path in aside if placement_of(fleet).folder in path.parts] == [
        content("host/small", SIZES["host/small"])
    ]
    shutil.rmtree(fleet.seen(Path(disk, Path(done["aside"]).name)))


def test_the_map_is_made_anew_from_the_disks_alone(fleet: Fleet) -> None:
    """The database and everything else that servers kept beside their disks is gone."""
    hosts = len(fleet.map().placements)
    for each in fleet.everybody:
        assert each.stop() == 0
    fleet.fold_database()
    fleet.database_file.unlink()
    for server in fleet.storage:
        shutil.rmtree(fleet.root / server.name / "state")
    for each in fleet.everybody:
        each.begin()
    wait_until("a mapper takes the key", lambda: fleet.make_key(fleet.key))
    wait_until("all is protected", lambda: fleet.is_protected() and len(fleet.map().placements) == hosts)
    check_all(fleet)
    swap_leaders(fleet)
    check_all(fleet)
