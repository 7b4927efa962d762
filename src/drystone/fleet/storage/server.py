"""The process of a storage server: its parts, put together, until it is told to end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
import zlib
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass

from drystone.base.errors import InternalError
from drystone.fleet.calls import Calls, Mappers, read_secret
from drystone.fleet.gateway.expiry import Expirer
from drystone.fleet.gateway.gateway import Gateway
from drystone.fleet.gateway.messages import GatewaySettings
from drystone.fleet.storage.atlas import Atlas
from drystone.fleet.storage.catalog import MapCatalog
from drystone.fleet.storage.copying import Copier, CopySource
from drystone.fleet.storage.drills import Driller
from drystone.fleet.storage.front import Front
from drystone.fleet.storage.heartbeat import Reporter
from drystone.fleet.storage.internal import Internal
from drystone.fleet.storage.leader import Leader
from drystone.fleet.storage.legacy import LegacyInterface
from drystone.fleet.storage.legacy_actions import EntryFiles, LegacyActions
from drystone.fleet.storage.legacy_torrents import LegacyTorrents
from drystone.fleet.storage.local import LocalObjects
from drystone.fleet.storage.member import Followed
from drystone.fleet.storage.metrics import MetricsFront
from drystone.fleet.storage.promises import Promiser
from drystone.fleet.storage.reading import Mender
from drystone.fleet.storage.router import Router
from drystone.fleet.storage.settings import StorageSettings
from drystone.fleet.storage.settling import Settler
from drystone.fleet.storage.shelf import Shelf
from drystone.fleet.storage.smart import SmartWatch
from drystone.fleet.storage.standing import Standings
from drystone.fleet.storage.torrents.exchange import Exchange, exchanging
from drystone.fleet.storage.upkeep import Scrubber, Sweeper
from drystone.kernel.memory import keep_freed_memory
from drystone.wire.tcp import Limits, TlsFiles, is_loopback, parse_address, serve_tcp, wait_for_signal

log = logging.getLogger(__name__)

_READY_SECONDS = 30.0
"""How long the first contact with a mapper is waited for before requests are answered all the same."""
_END_SECONDS = 15.0
_KEPT = 64 << 20
"""Bytes that were freed and are kept for the next pieces of bodies."""


async def serve(settings: StorageSettings, ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT.

    :param ready: called with the URL, once requests are answered and a mapper knows us (or does not answer).
    :raises UsageError: the settings are wrong. :raises UnavailableError: there is no disk. :raises BusyError: the port
        is taken.
    """
    keep_freed_memory(_KEPT)
    ended = asyncio.create_task(wait_for_signal())
    await asyncio.sleep(0)  # it has its handlers before anything listens
    async with running(settings, ended=ended) as server:
        if not ended.done():
            ready(server.url)
        await ended


@dataclass(frozen=True, slots=True)
class Running:
    """A storage server that answers. :ivar objects: as it serves them, :ivar catalog: likewise, without HTTP.

    :ivar torrents: None when it exchanges none.
    """

    url: str
    objects: Router
    catalog: MapCatalog
    standings: Standings
    calls: Calls
    torrents: Exchange | None


@contextlib.asynccontextmanager
async def running(
    settings: StorageSettings, limits: Limits | None = None, *, ended: asyncio.Task[None] | None = None
) -> AsyncIterator[Running]:
    """A storage server while the block runs. :param ended: when it is done, no mapper is waited for any more."""
    secret = read_secret(settings.secret)
    allowed = limits or Limits(head_seconds=settings.head_seconds, still_seconds=settings.still_seconds)
    atlas = Atlas(settings.state)
    atlas.load()
    shelf = _find_disks(settings)
    async with contextlib.AsyncExitStack() as stack:
        calls = await stack.enter_async_context(Calls(secret, authority=settings.authority))
        mappers = Mappers(calls, settings.mappers)
        standings = Standings(settings.id, atlas, shelf, mappers)
        stack.push_async_callback(shelf.close)
        stack.push_async_callback(standings.keep_map)
        await shelf.open(atlas.fleet)
        await standings.load()
        leader = Leader(standings, calls, mappers)
        promiser = Promiser(standings, calls, patience=settings.patience)
        stack.push_async_callback(promiser.close)
        mender = Mender(standings, calls)
        torrents = await stack.enter_async_context(exchanging(settings.torrents, mender, calls))
        settler = Settler(leader, mender)
        local = LocalObjects(leader, promiser, settler, mender)
        router = Router(local, standings, calls, mappers, patience=settings.patience)
        followed = Followed(standings)
        internal = Internal(secret, local, followed, promiser, CopySource(leader, settler), mender, allowed, torrents)
        catalog = MapCatalog(standings, mappers)
        copier = Copier(standings, calls, settings.copy_rate, torrents.downloads if torrents else None)
        actions = _make_actions(settings, standings, mappers, copier, torrents)
        is_open = is_legacy_open(settings)
        legacy = LegacyInterface(router, catalog, atlas, actions, allowed, open_to_all=is_open)
        front = Front(internal, legacy, Gateway(router, catalog, GatewaySettings(domain=settings.domain)), allowed)
        stack.push_async_callback(leader.end, _END_SECONDS)
        scrubber = Scrubber(standings, mender, settings.state, settings.scrub_rate, settings.scrub_days)
        smart = _make_watch(shelf, settings)
        metrics = MetricsFront(front.handle, standings, mender, copier, scrubber, smart, catalog, open_to_all=is_open)
        tls = _tls_files(settings)
        url = await stack.enter_async_context(serve_tcp(metrics.handle, settings.listen, tls=tls, limits=allowed))
        driller = Driller(standings, calls, mappers, settings.copy_rate)
        reporter = Reporter(standings, mappers, driller, settings.url or url, uuid.uuid4().hex)
        await stack.enter_async_context(
            running_tasks(
                reporter.run,
                reporter.watch_disks,
                reporter.follow_map,
                promiser.run,
                settler.run,
                copier.run,
                followed.gatherings.run,
                scrubber.run,
                smart.run,
                driller.run,
                Sweeper(standings, settings.copy_rate).run,
                Expirer(router, catalog, lambda bucket: is_responsible(standings, bucket)).run,
                *([torrents.seeds.run] if torrents else []),
            )
        )
        await _first_contact(reporter, ended)
        yield Running(url, router, catalog, standings, calls, torrents)


def _find_disks(settings: StorageSettings) -> Shelf:
    """:raises UnavailableError: there is no place for one."""
    shelf = Shelf(settings.root, settings.state)
    shelf.find_folders()
    return shelf


def _make_actions(
    settings: StorageSettings, standings: Standings, mappers: Mappers, copier: Copier, torrents: Exchange | None
) -> LegacyActions:
    of_torrents = LegacyTorrents(torrents, copier) if torrents else None
    return LegacyActions(standings, mappers, EntryFiles(settings.state / "entries.json"), of_torrents)


def _make_watch(shelf: Shelf, settings: StorageSettings) -> SmartWatch:
    return SmartWatch(shelf, settings.smartctl, settings.smart, settings.smart_sectors, settings.smart_seconds)


def _tls_files(settings: StorageSettings) -> TlsFiles | None:
    if settings.certificate is None or settings.key_file is None:
        return None
    return TlsFiles(settings.certificate, settings.key_file)


async def _first_contact(reporter: Reporter, ended: asyncio.Task[None] | None) -> None:
    """Wait until a mapper knows us, `ended` is done, or the time for it is over."""
    reached = asyncio.create_task(reporter.reached.wait())
    try:
        first = {reached, ended} if ended is not None else {reached}
        await asyncio.wait(first, timeout=_READY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    finally:
        reached.cancel()


def is_legacy_open(settings: StorageSettings) -> bool:
    """Whether the legacy interface asks for no key."""
    if settings.legacy == "auto":
        return is_loopback(parse_address(settings.listen)[0])
    return settings.legacy == "open"


def is_responsible(standings: Standings, bucket: str) -> bool:
    """Whether this server does, of those that live, what one of them is to do about a bucket."""
    living = sorted(each.id for each in standings.atlas.servers.values() if each.alive)
    return bool(living) and living[zlib.crc32(bucket.encode()) % len(living)] == standings.server


@contextlib.asynccontextmanager
async def running_tasks(*functions: Callable[[], Coroutine[object, object, None]]) -> AsyncIterator[None]:
    """Run what never ends by itself while the block runs. What ends with a failure is begun anew, after a second."""
    tasks = [asyncio.create_task(_keep_running(each), name=each.__qualname__) for each in functions]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _keep_running(function: Callable[[], Coroutine[object, object, None]]) -> None:
    while True:
        try:
            await function()
            raise InternalError(f"{function.__qualname__} ended")
        except Exception:  # the supervisor of background work: a defect in one must not end the server
            log.exception("%s failed; it begins anew", function.__qualname__)
        await asyncio.sleep(1.0)
