"""A whole fleet inside one process and one event loop: a mapper and storage servers on free ports of loopback.

async with FleetServers(folder, servers=2) as fleet:
    await fleet.server("s1").objects.put(...)
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Self

from drystone.base.clock import SystemClock
from drystone.base.names import new_uuid
from drystone.fleet.documents import Key, Policy
from drystone.fleet.mapping.database import NotLeadingError
from drystone.fleet.mapping.desk import Desk
from drystone.fleet.mapping.mapper import Mapper
from drystone.fleet.mapping.routes import make_application
from drystone.fleet.mapping.rules import Rules
from drystone.fleet.mapping.sql import SqlDatabase
from drystone.fleet.storage.server import Running, running
from drystone.fleet.storage.settings import Legacy, StorageSettings
from drystone.fleet.storage.shelf import Bay
from drystone.wire.tcp import Limits, TlsFiles, serve_tcp

ADMIN = Key("DRYSTONEADMIN", "administrators-secret", {"*": "admin"})
SECRET = "0123456789abcdef-of-the-fleet"  # noqa: S105  # of tests
_SECONDS = 120.0


class FleetServers:
    """The servers, started on entry and ended at the exit of the block.

    :param folder: where everything lies. :param servers: how many storage servers, called s1, s2, ...
    :param legacy: who may use the storage servers' legacy interface.
    :param dead: seconds of silence after which the mapper takes a server for dead.
    :param patience: seconds for which a request waits while leaders change.
    :param torrents: whether copies are exchanged by BitTorrent.
    :param tls: of the storage servers, which all trust its certificate. :param domain: of virtual-host style requests.
    """

    def __init__(
        self,
        folder: Path,
        *,
        servers: int = 2,
        disks: int = 2,
        policy: Policy = "shared",
        dead: float = 6.0,
        legacy: Legacy = "auto",
        patience: float = 12.0,
        tls: TlsFiles | None = None,
        domain: str = "",
        torrents: bool = False,
    ) -> None:
        self.folder = folder
        self._ids = [f"s{number}" for number in range(1, servers + 1)]
        self._disks = disks
        self._legacy = legacy
        self._patience = patience
        self._tls = tls
        self._domain = domain
        self._torrents = "127.0.0.1:0" if torrents else ""
        self._rules = Rules(dead=dead, policy=policy)
        self._stack = contextlib.AsyncExitStack()
        self._running: dict[str, tuple[Running, asyncio.Event, asyncio.Task[None]]] = {}
        self._urls: dict[str, str] = {}
        self.mapper_url = ""

    async def __aenter__(self) -> Self:
        self._secret = self.folder / "secret"
        self._secret.write_text(SECRET)
        await self.start_mapper()
        self._stack.push_async_callback(self.stop_mapper)
        self._stack.push_async_callback(self._stop_all)
        for id_ in self._ids:
            for number in range(1, self._disks + 1):
                (self.folder / id_ / f"data_{number}").mkdir(parents=True, exist_ok=True)
        await asyncio.gather(*(self.start(each) for each in self._ids))
        await self._wait_until_usable()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def start_mapper(self) -> None:
        """Start the mapper; at the port it had before."""
        self._mapper = contextlib.AsyncExitStack()
        self.mapper_url = await self._mapper.enter_async_context(self._run_mapper())

    async def stop_mapper(self) -> None:
        """End the mapper. Its database stays."""
        await self._mapper.aclose()

    @contextlib.asynccontextmanager
    async def _run_mapper(self) -> AsyncIterator[str]:
        database = f"sqlite:///{self.folder / 'map.db'}"
        desk = self._desk = Desk(
            lambda changed: Mapper(
                SqlDatabase(database), self._rules, SystemClock(), id=new_uuid(), url="", changed=changed
            )
        )
        listen = self.mapper_url.removeprefix("http://") or "127.0.0.1:0"
        async with serve_tcp(make_application(desk, SECRET), listen, limits=Limits(end_seconds=0.1)) as url:
            desk.mapper.url = url
            await desk.open()
            task = asyncio.create_task(desk.run())
            try:
                await self._make_key(desk)
                yield url
            finally:
                task.cancel()
                await asyncio.wait({task})
                await desk.close()

    async def _make_key(self, desk: Desk) -> None:
        """Once the mapper leads."""
        async with asyncio.timeout(_SECONDS):
            while True:
                try:
                    await desk.do(lambda: desk.orders.put_key(ADMIN))
                    return
                except NotLeadingError:
                    await asyncio.sleep(0.1)

    async def wait_for(self, what: Callable[[], bool]) -> None:
        """Wait until something is so. :raises TimeoutError: it is not in two minutes."""
        async with asyncio.timeout(_SECONDS):
            while not what():  # noqa: ASYNC110  # what changes has no event
                await asyncio.sleep(0.05)

    async def start(self, id_: str) -> Running:
        """Start a storage server that does not run; at the port it had before."""
        settings = StorageSettings(
            id=id_,
            listen=self._urls.get(id_, "//127.0.0.1:0").partition("//")[2],
            mappers=(self.mapper_url,),
            root=self.folder / id_,
            state=self.folder / id_ / "state",
            secret=self._secret,
            copy_rate=0,
            legacy=self._legacy,
            patience=self._patience,
            certificate=self._tls.certificate if self._tls else None,
            key_file=self._tls.key if self._tls else None,
            authority=self._tls.certificate if self._tls else None,
            domain=self._domain,
            torrents=self._torrents,
        )
        ready: asyncio.Future[Running] = asyncio.get_running_loop().create_future()
        told = asyncio.Event()

        async def run() -> None:
            try:
                async with running(settings, Limits(end_seconds=1.0)) as server:
                    ready.set_result(server)
                    await told.wait()
            except BaseException as error:
                if not ready.done():
                    ready.set_exception(error)
                raise

        task = asyncio.create_task(run())
        server = await ready
        self._urls[id_] = server.url
        self._running[id_] = (server, told, task)
        return server

    async def stop(self, id_: str) -> None:
        """End a storage server, in an orderly way."""
        _, told, task = self._running.pop(id_)
        told.set()
        await task

    async def _stop_all(self) -> None:
        for id_ in tuple(self._running):
            await self.stop(id_)

    def server(self, id_: str) -> Running:
        """A storage server that runs."""
        return self._running[id_][0]

    async def _wait_until_usable(self) -> None:
        """Until every disk is open and the mapper knows it."""

        def is_known(id_: str, bay: Bay) -> bool:
            report = self._desk.mapper.sightings.disk(id_, bay.disk.identity.disk_id) if bay.disk is not None else None
            return report is not None and report.health == "good"

        def usable() -> bool:
            return all(
                is_known(id_, bay)
                for id_, (server, _, _) in self._running.items()
                for bay in server.standings.shelf.bays.values()
            )

        await self.wait_for(usable)
