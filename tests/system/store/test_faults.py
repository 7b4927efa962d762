"""A real S3 server behind a network that fails: nothing that was acknowledged is lost, nothing half-written is seen."""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from drystone.base.errors import NotFoundError, TimedOutError, UnavailableError
from drystone.store import Store, open_store
from drystone.store.clients import Patience
from drystone.testing.proxy import BadGateway, CutAnswer, CutRequest, Fault, FaultyProxy, Silence, Slow
from drystone.testing.s3 import S3Server, start_server, why_absent
from drystone.testing.store_faults import check_listing_goes_on, check_own_put_is_known, check_reads_are_whole


def open_behind(proxy: FaultyProxy, server: S3Server, bucket: str, patience: Patience) -> Store:
    return open_store(f"s3://{bucket}/x", environ=server.environ(endpoint=proxy.endpoint), patience=patience)


PUT_FAULTS = [
    CutAnswer(0), CutAnswer(10), BadGateway(), CutRequest(0), CutRequest(200), CutRequest(60_000), Silence(),
    Slow(400_000),
]  # fmt: skip


@pytest.mark.parametrize("fault", PUT_FAULTS, ids=repr)
def test_a_put_knows_its_own_object_again(
    fault: Fault, proxy: FaultyProxy, server: S3Server, bucket: str, patience: Patience
) -> None:
    store = open_behind(proxy, server, bucket, replace(patience, silence=1.5))
    check_own_put_is_known(store, proxy, fault)


def test_a_put_whose_answer_was_lost_does_not_take_a_rivals_object_for_its_own(
    proxy: FaultyProxy, server: S3Server, bucket: str, patience: Patience
) -> None:
    store = open_behind(proxy, server, bucket, patience)
    rival = open_store(f"s3://{bucket}/x", environ=server.environ())
    assert store.put_if_absent("before", b"")

    def plan(_number: int, line: str) -> Fault | None:
        # The request is lost before the server has it; the rival is there before it is tried again.
        if line.startswith("PUT ") and "/key" in line and not won:
            won.append(rival.put_if_absent("key", b"data"))
            return CutRequest(0)
        return None

    won: list[bool] = []
    proxy.plan(plan)
    assert not store.put_if_absent("key", b"data")
    assert won == [True]


@pytest.mark.parametrize(
    "fault", [CutAnswer(0), CutAnswer(150), CutAnswer(70_000), CutRequest(20), Silence(), BadGateway()], ids=repr
)
def test_reads_are_whole(fault: Fault, proxy: FaultyProxy, server: S3Server, bucket: str, patience: Patience) -> None:
    # Four silences are waited for here; one more, of a loaded machine, is tried again.
    store = open_behind(proxy, server, bucket, replace(patience, silence=1.5))
    check_reads_are_whole(store, proxy, fault, listing=("GET", "list-type"), deletion=("DELETE", "/key"))


def test_a_long_listing_goes_on_where_it_broke(
    proxy: FaultyProxy, server: S3Server, crowded: str, patience: Patience
) -> None:
    store = open_behind(proxy, server, crowded, patience)
    proxy.plan(lambda number, _line: CutAnswer(3_000) if number % 2 == 0 else None)
    check_listing_goes_on(store)
    assert len(proxy.lines) >= 4, "two pages, each broken once"


def test_nothing_half_written_is_seen(proxy: FaultyProxy, server: S3Server, bucket: str, patience: Patience) -> None:
    store = open_behind(proxy, server, bucket, patience)
    reader = open_store(f"s3://{bucket}/x", environ=server.environ())
    objects = {f"o/{number}": random.Random(number).randbytes(200_000) for number in range(12)}
    plans = random.Random(3)
    faults: list[Fault | None] = [CutAnswer(0), CutRequest(100_000), CutRequest(199_000), Slow(300_000), None]
    proxy.plan(lambda _number, line: plans.choice(faults) if line.startswith("PUT ") else None)
    over = threading.Event()
    seen: set[str] = set()

    def watch() -> None:
        while not over.is_set():
            for key, data in objects.items():
                try:
                    assert reader.get(key) == data
                except NotFoundError:
                    assert key not in seen, "it was there before"
                else:
                    seen.add(key)
            assert all(size == 200_000 for _, size in reader.list("o"))

    with ThreadPoolExecutor(4) as pool:
        watching = pool.submit(watch)
        try:
            assert all(pool.map(lambda item: store.put_if_absent(*item), objects.items()))
        finally:
            over.set()
        watching.result()
    assert dict(reader.list("o")) == dict.fromkeys(objects, 200_000)


def test_a_put_that_the_listing_forgot_is_written_once_more(
    proxy: FaultyProxy, server: S3Server, bucket: str, patience: Patience
) -> None:
    # So Swift is left when it is killed after an object was written and before its container knows.
    store = open_behind(proxy, server, bucket, patience)
    assert store.put_if_absent("key/before", b"")

    def plan(_number: int, line: str) -> Fault | None:
        if not line.startswith("PUT ") or "/key/a" not in line:
            return None
        puts.append(line)
        if len(puts) == 2:
            _forget(server.folder, "x/key/a")
        return CutAnswer(0) if len(puts) == 1 else None

    puts: list[str] = []
    proxy.plan(plan)
    assert store.put_if_absent("key/a", b"data")
    assert len(puts) == 3
    assert dict(store.list("key")) == {"key/before": 0, "key/a": 4}
    assert not store.put_if_absent("key/a", b"data")
    assert store.get("key/a") == b"data"


def _forget(folder: Path, name: str) -> None:
    """Take an object out of Swift's listings: rows of its SQLite files, and those that wait beside them."""
    forgotten = 0
    for path in folder.glob("disk/*/containers/**/*.db"):
        pending = path.with_name(f"{path.name}.pending")
        with contextlib.closing(sqlite3.connect(path)) as database, database:
            database.create_function("chexor", 3, lambda old, _name, _time: old)
            forgotten += database.execute("DELETE FROM object WHERE name = ?", (name,)).rowcount
        if pending.exists():
            forgotten += pending.stat().st_size > 0
            os.truncate(pending, 0)
    assert forgotten


def test_a_silent_store_is_given_up_in_time(server: S3Server, bucket: str, proxy: FaultyProxy) -> None:
    patience = Patience(silence=1.0, answer=5.0, first=1.0, again=2.0)
    store = open_behind(proxy, server, bucket, patience)
    assert store.put_if_absent("a", b"x")
    proxy.plan(lambda _number, _line: Silence())
    known = len(proxy.lines)
    with pytest.raises(TimedOutError, match="get a took too long"):
        store.get("a")
    with pytest.raises(TimedOutError, match="put b took too long"):
        store.put_if_absent("b", b"x")
    assert 2 <= len(proxy.lines) - known <= 6, "each is tried for two seconds, and a try lasts one"
    proxy.plan(None)
    assert store.get("a") == b"x"


def test_a_store_that_died_is_reached_again(server: S3Server, bucket: str, proxy: FaultyProxy) -> None:
    store = open_behind(proxy, server, bucket, Patience(first=0.3, again=0.6))
    assert store.put_if_absent("a", b"x")
    proxy.refuse()
    with pytest.raises(UnavailableError, match=r"cannot be reached|connection broke"):
        store.get("a")
    with pytest.raises(UnavailableError, match="cannot be reached"):
        store.get("a")
    proxy.listen()
    assert store.get("a") == b"x"


def test_a_store_that_was_given_up_is_asked_once(server: S3Server, bucket: str, proxy: FaultyProxy) -> None:
    store = open_behind(proxy, server, bucket, Patience(first=0.3, again=0.6))
    assert store.put_if_absent("a", b"x")
    proxy.plan(lambda _number, _line: BadGateway())
    asked = []
    for _ in range(3):
        known = len(proxy.lines)
        with pytest.raises(UnavailableError):
            store.get("a")
        asked.append(len(proxy.lines) - known)
    assert asked[0] > 1
    assert asked[1:] == [1, 1]
    proxy.plan(None)
    assert store.get("a") == b"x"


def test_a_killed_server_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    if why := why_absent():
        pytest.skip(why)
    with start_server(tmp_path / "s3") as server:
        bucket = server.make_bucket()
        patience = Patience(silence=10.0, first=20.0, again=60.0)
        store = open_store(f"s3://{bucket}/x", environ=server.environ(), patience=patience)
        acknowledged: dict[str, bytes] = {}
        over = threading.Event()

        def write(writer: int) -> None:
            number = 0
            while not over.is_set():
                key, data = f"w/{writer}/{number}", os.urandom(50_000)
                assert store.put_if_absent(key, data)
                acknowledged[key] = data
                number += 1

        with ThreadPoolExecutor(3) as pool:
            writers = [pool.submit(write, number) for number in range(3)]
            try:
                for turn in range(5):
                    _wait_for(lambda: len(acknowledged), len(acknowledged) + 5 + turn)
                    server.kill()
                    server.start()
            finally:
                over.set()
            for each in writers:
                each.result()
        for key, data in acknowledged.items():
            assert store.get(key) == data
        assert dict(store.list("w")) == dict.fromkeys(acknowledged, 50_000)


def _wait_for(count: Callable[[], int], least: int) -> None:
    deadline = time.monotonic() + 60
    while count() < least:
        assert time.monotonic() < deadline
        time.sleep(0.01)
