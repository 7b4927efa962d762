"""Both sides of torrents on a storage server, made together."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from drystone.fleet.calls import Calls
from drystone.fleet.storage.reading import Mender
from drystone.fleet.storage.torrents.downloads import Downloads
from drystone.fleet.storage.torrents.engine import open_engine
from drystone.fleet.storage.torrents.seeding import Seeds


@dataclass(frozen=True, slots=True)
class Exchange:
    """:ivar seeds: what is sent, :ivar downloads: what is received."""

    seeds: Seeds
    downloads: Downloads


@contextlib.asynccontextmanager
async def exchanging(listen: str, mender: Mender, calls: Calls) -> AsyncIterator[Exchange | None]:
    """Torrents while the block runs; none when `listen` is "".

    :raises UnsupportedError: libtorrent is not installed. :raises BusyError: the address cannot be listened on.
    """
    if not listen:
        yield None
        return
    async with open_engine(listen) as engine:
        exchange = Exchange(Seeds(engine, mender), Downloads(engine, calls))
        try:
            yield exchange
        finally:
            await exchange.seeds.close()
