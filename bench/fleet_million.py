"""A bucket of a million small objects on a real fleet, listed through S3: time of a page, memory, time of a start.

    python bench/fleet_million.py [--objects N] [--folder DIR]

A mapper and two storage servers of three disks each run as processes. The rows of the objects are written straight
into the indexes of the two disks that hold them, while the servers are down (a put of each would take an hour; their
bytes are not there, so they can be listed, not read). Prints a JSON list of {"name", "value", "unit"}.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from drystone.fleet.disk.rows import COLUMNS
from drystone.testing.fleet.processes import FleetProcesses, Server, wait_until

BUCKET = "bench"
FIRST = "host/begin"
FOLDERS = 1000
TOKEN = re.compile(rb"<NextContinuationToken>([^<]+)<")
_GIVEN = COLUMNS.partition("key, ")[2]


def fill(index: Path, objects: int) -> bool:
    """Have an index know `objects` more: the one that was put, under other keys. False: it is not that disk's."""
    with contextlib.closing(sqlite3.connect(index)) as database:
        found = database.execute("SELECT placement, size FROM objects WHERE key = ?", (FIRST.encode(),)).fetchone()
        if found is None:
            return False
        number, size = found
        row = f"SELECT ?, ?, {_GIVEN} FROM objects WHERE placement = ? AND key = ?"  # our names
        keys = (f"host/{at * FOLDERS // objects:04d}/{at:08d}".encode() for at in range(objects))
        database.executemany(
            f"INSERT INTO objects (placement, {COLUMNS}) {row}",
            ((number, key, number, FIRST.encode()) for key in keys),
        )
        database.execute(
            "UPDATE placements SET objects = objects + ?, size = size + ? WHERE number = ?",
            (objects, objects * size, number),
        )
        database.commit()
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return True


def stop(fleet: FleetProcesses) -> None:
    """End all, the mapper first: it is not to take the servers for dead."""
    for each in fleet.everybody:
        each.stop()


def restart(fleet: FleetProcesses) -> list[float]:
    """Start all; seconds until both storage servers listen, and until both answer a listing."""
    begun, took = time.perf_counter(), []
    for each in fleet.storage:
        each.begin()
    for answers in (Server.listens, lambda server: fleet.client.list_keys(server.url, BUCKET)[0] == 200):
        for each in fleet.storage:
            while not answers(each):
                assert each.pid, f"{each.name} ended"
                time.sleep(0.01)
        took.append(time.perf_counter() - begun)
    fleet.mappers[0].start()
    wait_until("both copies are there", fleet.is_protected)
    return took


def memory(server: Server, field: str) -> float:
    """MiB of a process: VmRSS is what it has, VmHWM the most that it had."""
    text = Path(f"/proc/{server.pid}/status").read_text()
    found = re.search(rf"{field}:\s+(\d+) kB", text)
    assert found is not None
    return int(found[1]) / 1024


def pages(fleet: FleetProcesses, server: Server, query: Mapping[str, str]) -> Iterator[tuple[float, int]]:
    """(seconds, entries) of each page of a listing."""
    token = ""
    while True:
        asked = {"list-type": "2", **query, **({"continuation-token": token} if token else {})}
        begun = time.perf_counter()
        reply = fleet.client.ask(server.url, "GET", f"/{BUCKET}", asked)
        took = time.perf_counter() - begun
        assert reply.status == 200, reply
        yield took, reply.body.count(b"<Contents>") + reply.body.count(b"<CommonPrefixes>")
        if b"<IsTruncated>true<" not in reply.body:
            return
        found = TOKEN.search(reply.body)
        assert found is not None
        token = found[1].decode()


def walk(fleet: FleetProcesses, server: Server, name: str, query: Mapping[str, str], expected: int) -> list[object]:
    """The figures of a whole listing."""
    found = list(pages(fleet, server, query))
    assert sum(entries for _, entries in found) == expected, f"{name}: {sum(entries for _, entries in found)}"
    times = [took for took, _ in found]
    return [
        {"name": f"{name}: pages", "value": len(found), "unit": ""},
        {"name": f"{name}: a page, median", "value": round(1000 * statistics.median(times), 2), "unit": "ms"},
        {"name": f"{name}: a page, slowest", "value": round(1000 * max(times), 2), "unit": "ms"},
        {"name": f"{name}: all of them", "value": round(sum(times), 2), "unit": "s"},
    ]


def started(fleet: FleetProcesses, name: str) -> list[object]:
    """The figures of a start."""
    listens, lists = restart(fleet)
    most = max(memory(each, "VmRSS") for each in fleet.storage)
    return [
        {"name": f"start until it listens, {name}", "value": round(listens, 2), "unit": "s"},
        {"name": f"start until it lists, {name}", "value": round(lists, 2), "unit": "s"},
        {"name": f"memory after the start, {name}", "value": round(most, 1), "unit": "MiB"},
    ]


def measure(fleet: FleetProcesses, objects: int) -> list[object]:
    """All figures."""
    client, url = fleet.client, fleet.storage[0].url
    assert client.ask(url, "PUT", f"/{BUCKET}").status == 200
    assert client.ask(url, "PUT", f"/{BUCKET}/{FIRST}", body=b"x" * 100).status == 200
    stop(fleet)
    answer = started(fleet, "one object")
    stop(fleet)
    indexes = [disk / ".drystone" / "index.db" for each in fleet.storage for disk in fleet.disks(each)]
    filled = [index for index in indexes if fill(index, objects)]
    assert len(filled) == 2, "two disks hold it"
    size = sum(index.stat().st_size for index in filled) / 2 / (1 << 20)
    answer.append({"name": "an index", "value": round(size, 1), "unit": "MiB"})
    answer += started(fleet, f"{objects} objects")
    leader = next(each.leader for each in fleet.map().placements if each.namespace == BUCKET)
    near, far = sorted(fleet.storage, key=lambda each: each.name != leader)
    answer += walk(fleet, near, "at the leader", {}, objects + 1)
    answer += walk(fleet, far, "at another server", {}, objects + 1)
    by_folder = {"delimiter": "/", "prefix": "host/"}
    answer += walk(fleet, near, f"{FOLDERS} folders by delimiter", by_folder, FOLDERS + 1)
    for each, name in ((near, "the leader"), (far, "the other server")):
        most = round(memory(each, "VmHWM"), 1)
        answer.append({"name": f"memory of {name} at most", "value": most, "unit": "MiB"})
    return answer


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="A million small objects, listed through S3.")
    parser.add_argument("--objects", type=int, default=1_000_000, help="how many; a multiple of 1000")
    parser.add_argument("--folder", type=Path, help="where the fleet keeps its files")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder, FleetProcesses(Path(folder)) as fleet:
        fleet.start()
        print(json.dumps(measure(fleet, asked.objects), indent=1))


if __name__ == "__main__":
    main()
