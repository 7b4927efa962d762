"""The remote store over obstore's memory: conformance, and what is tried again and for how long."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

import obstore
import pytest
from obstore.store import MemoryStore, S3Store

from drystone.base.errors import NotFoundError, UnavailableError
from drystone.store import Store, open_store
from drystone.store.clients import Patience, SharedClient, TimedClients
from drystone.store.remote import PROBE, RemoteStore
from drystone.testing.stores import CONFORMANCE

if TYPE_CHECKING:
    from obstore.store import ObjectStore


@pytest.mark.parametrize("path", ["", "/deep/store"], ids=["top", "path"])
@pytest.mark.parametrize("check", CONFORMANCE, ids=[check.__name__ for check in CONFORMANCE])
def test_memory_conforms(check: Callable[[Store], None], path: str) -> None:
    check(open_store(f"memory:{uuid.uuid4()}{path}"))


def test_a_doubted_store_is_tried_once() -> None:
    memory = MemoryStore()
    store = RemoteStore(SharedClient(memory), "a", place="test", doubted=True)
    assert store.put_if_absent("key", b"x")
    assert obstore.get(memory, f"a/{PROBE}").bytes().to_bytes() == b""
    obstore.delete(memory, f"a/{PROBE}")
    assert store.put_if_absent("other", b"x")
    with pytest.raises(FileNotFoundError):
        obstore.head(memory, f"a/{PROBE}")
    assert list(store.list("")) == [("key", 1), ("other", 1)]


def test_reading_writes_nothing() -> None:
    memory = MemoryStore()
    store = RemoteStore(SharedClient(memory), "", place="test", doubted=True)
    assert list(store.list("")) == []
    with pytest.raises(NotFoundError):
        store.get("key")
    store.delete("key")
    assert [entry for page in obstore.list(memory) for entry in page] == []


def unreachable() -> ObjectStore:
    return S3Store(
        "bucket", endpoint="http://127.0.0.1:9", access_key_id="k", secret_access_key="s", region="r",
        client_options={"allow_http": True}, retry_config={"max_retries": 0},
    )  # fmt: skip


def test_patience_ends_and_is_not_spent_twice() -> None:
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        time.sleep(seconds)

    patience = Patience(first=0.5)
    store = RemoteStore(SharedClient(unreachable()), "", place="test", patience=patience, pause=pause)
    with pytest.raises(UnavailableError, match="cannot be reached"):
        store.get("key")
    assert 0.4 < sum(pauses) <= 0.5
    assert pauses[1] > pauses[0], "pauses grow"
    tried = len(pauses)
    for operation in (lambda: store.get("key"), lambda: store.put_if_absent("key", b""), lambda: store.delete("key")):
        with pytest.raises(UnavailableError):
            operation()
    assert len(pauses) == tried, "once given up, a store is asked once"


def test_large_uploads_may_take_longer() -> None:
    made: list[tuple[float, float]] = []

    def make(silence: float, answer: float) -> ObjectStore:
        made.append((silence, answer))
        return MemoryStore()

    clients = TimedClients(make, Patience(silence=30, answer=600, slowest=256 * 1024))
    assert clients.writer(1) is clients.writer(7 << 20)
    clients.writer(16 << 20)
    clients.writer(17 << 20)
    assert made == [(30, 600), (30, 30), (90, 90)]
