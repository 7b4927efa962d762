"""Whose torrent a server downloads: what fits the leader's digest, and of several that which most have."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from blake3 import blake3

from drystone.base.errors import UnavailableError
from drystone.fleet.calls import Calls
from drystone.fleet.disk.sums import PIECE, digest_of
from drystone.fleet.storage.torrents.downloads import Downloads
from drystone.fleet.storage.torrents.engine import Engine
from drystone.fleet.storage.torrents.messages import TORRENT_PATH, FindTorrent, Offer
from drystone.fleet.storage.torrents.metainfo import Hashing
from drystone.testing.fleet.bodies import make_bytes

SIZE = PIECE + 5
OWN = "127.0.0.9:6881"


def make_offer(seed: int = 1, address: str = "127.0.0.1:6881") -> Offer:
    data = make_bytes(SIZE, seed)
    hashing = Hashing(SIZE)
    sums = b""
    for piece in (data[:PIECE], data[PIECE:]):
        hashing.add(piece)
        sums += blake3(piece).digest()
    return Offer(hashing.finish(), sums, address)


class OtherServers:
    """What servers answer, by their URL. Passes for Calls."""

    def __init__(self, answers: dict[str, Callable[[], list[Offer]]]) -> None:
        self._answers = answers
        self.asked: list[FindTorrent] = []

    async def ask(self, url: str, document: FindTorrent, kind: object) -> Any:
        assert url.endswith(TORRENT_PATH)
        self.asked.append(document)
        return self._answers[url.removesuffix(TORRENT_PATH)]()


def find(servers: OtherServers, digest: str, size: int = SIZE, urn: str = "") -> list[Offer]:
    engine = cast("Engine", SimpleNamespace(address=OWN))
    downloads = Downloads(engine, cast("Calls", servers))
    return asyncio.run(downloads.find(list(servers._answers), digest, size, urn))


def test_offers_of_the_version_are_taken_in_order() -> None:
    first, second = make_offer(), make_offer(address="127.0.0.2:6881")
    servers = OtherServers({"http://a": lambda: [first], "http://b": list, "http://c": lambda: [second]})
    digest = digest_of(first.sums)
    assert find(servers, digest, urn="urn") == [first, second]
    assert servers.asked == [FindTorrent(digest, OWN, "urn")] * 3


def test_a_server_that_does_not_answer_offers_nothing() -> None:
    def fail() -> list[Offer]:
        raise UnavailableError("it is away")

    offer = make_offer()
    servers = OtherServers({"http://a": fail, "http://b": lambda: [offer]})
    assert find(servers, digest_of(offer.sums)) == [offer]
    assert find(OtherServers({"http://a": fail}), digest_of(offer.sums)) == []


@pytest.mark.parametrize(
    "change",
    [
        {"sums": make_offer(2).sums},
        {"sums": make_offer().sums[:-1]},
        {"sums": b""},
        {"metainfo": msgspec.structs.replace(make_offer().metainfo, size=SIZE + 1)},
        {"metainfo": msgspec.structs.replace(make_offer().metainfo, root=bytes(32))},
        {"address": "127.0.0.1"},
        {"address": "example.com:80"},
        {"address": "0.0.0.0:80"},
    ],
)
def test_an_offer_that_does_not_fit_is_passed_over(change: dict[str, object]) -> None:
    right = make_offer()
    wrong = msgspec.structs.replace(right, **change)
    servers = OtherServers({"http://a": lambda: [wrong], "http://b": lambda: [right]})
    assert find(servers, digest_of(right.sums)) == [right]


def test_of_two_torrents_that_fit_most_decide_and_then_the_first() -> None:
    """A torrent whose own hashes agree may still be of other bytes: only our sums tell, once they came."""
    right = make_offer()
    odd = msgspec.structs.replace(right, metainfo=make_offer(2).metainfo)
    digest = digest_of(right.sums)
    servers = {"http://a": lambda: [odd], "http://b": lambda: [right]}
    assert find(OtherServers(servers), digest) == [odd]
    assert find(OtherServers({**servers, "http://c": lambda: [right]}), digest) == [right, right]
