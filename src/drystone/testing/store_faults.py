"""What every remote store does behind a network that fails, as checks: a store, the proxy before it, and a fault.

The same for every service; only the requests are named otherwise.
"""

from __future__ import annotations

import itertools
import random

from drystone.store import Store
from drystone.testing.proxy import Fault, FaultyProxy, fail_once


def check_own_put_is_known(store: Store, proxy: FaultyProxy, fault: Fault) -> None:
    """A put whose request or answer was lost is tried again, and knows what it put itself. For an empty store.

    :raises AssertionError: it does not.
    """
    data = random.Random(1).randbytes(100_000)  # noqa: S311  # it repeats itself on purpose
    assert store.put_if_absent("before", b"")
    proxy.plan(fail_once(fault, "PUT", "/key"))
    assert store.put_if_absent("key", data)
    assert not store.put_if_absent("key", data), "the same bytes again are not the same put"
    assert store.get("key") == data
    assert dict(store.list("")) == {"before": 0, "key": 100_000}


def check_reads_are_whole(
    store: Store, proxy: FaultyProxy, fault: Fault, *, listing: tuple[str, str], deletion: tuple[str, str]
) -> None:
    """Reads, a listing and a deletion that broke are made whole by trying again. For an empty store.

    :param listing: how the first line of such a request begins, and a word in it. :param deletion: likewise.
    :raises AssertionError: they are not.
    """
    data = random.Random(2).randbytes(1_000_000)  # noqa: S311  # likewise
    assert store.put_if_absent("key", data)
    proxy.plan(fail_once(fault, "GET", "/key"))
    assert store.get("key") == data
    proxy.plan(fail_once(fault, "GET", "/key"))
    assert store.get_range("key", 1000, 900_000) == data[1000:901_000]
    proxy.plan(fail_once(fault, *listing))
    assert list(store.list("")) == [("key", 1_000_000)]
    proxy.plan(fail_once(fault, *deletion))
    store.delete("key")
    assert list(store.list("")) == []


def check_listing_goes_on(store: Store) -> None:
    """The listing of a store that `check_listing` has filled is whole, whatever broke on the way.

    :raises AssertionError: a key is missing, or is there twice.
    """
    listed = [key for key, _ in itertools.islice(store.list("many"), 5_000)]
    assert listed == [f"many/{number:04d}" for number in range(1_100)]
