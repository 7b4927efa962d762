from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from drystone.fleet.disk.locks import KeyLocks, SharedSyncs


def test_one_key_has_one_holder_and_others_do_not_wait() -> None:
    locks = KeyLocks()
    inside: list[int] = []
    most = 0

    def work(number: int) -> None:
        nonlocal most
        with locks.hold("a"):
            inside.append(number)
            most = max(most, len(inside))
            time.sleep(0.001)
            inside.remove(number)

    with ThreadPoolExecutor(8) as threads, locks.hold("b"):
        list(threads.map(work, range(30)))
    assert most == 1
    assert locks._locks == {}


def test_callers_share_a_sync_that_begins_after_they_asked() -> None:
    begun = threading.Event()
    goes_on = threading.Event()
    synced: list[str] = []

    def sync(folder: str) -> None:
        synced.append(folder)
        if len(synced) == 1:
            begun.set()
            assert goes_on.wait(120)

    syncs = SharedSyncs(sync)
    with ThreadPoolExecutor(9) as threads:
        first = threads.submit(syncs.sync, "f")
        assert begun.wait(120)
        others = [threads.submit(syncs.sync, "f") for _ in range(8)]
        while syncs._folders["f"].users < 9:
            time.sleep(0.001)
        assert not any(each.done() for each in others), "a sync that began before they asked serves nobody else"
        goes_on.set()
        for each in (first, *others):
            each.result()
    assert synced == ["f", "f"]
    assert syncs._folders == {}


def test_a_failed_sync_serves_nobody() -> None:
    outcomes = [OSError(5, "EIO"), None]

    def sync(folder: str) -> None:
        error = outcomes.pop(0)
        if error is not None:
            raise error

    syncs = SharedSyncs(sync)
    with pytest.raises(OSError, match="EIO"):
        syncs.sync("f")
    syncs.sync("f")
    assert outcomes == []
