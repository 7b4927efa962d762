"""The mapper as a process: its application on a TCP address until it is told to end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from drystone.base.clock import SystemClock
from drystone.base.names import new_uuid
from drystone.fleet.calls import read_secret
from drystone.fleet.mapping.archive import Archive, Archiver
from drystone.fleet.mapping.desk import Desk
from drystone.fleet.mapping.legacy_routes import LegacyRoutes
from drystone.fleet.mapping.mapper import Mapper
from drystone.fleet.mapping.page.routes import PageRoutes
from drystone.fleet.mapping.routes import make_application
from drystone.fleet.mapping.settings import MapperSettings
from drystone.fleet.mapping.sql import SqlDatabase
from drystone.wire.tcp import TlsFiles, is_loopback, parse_address, serve_tcp, wait_for_signal

log = logging.getLogger(__name__)


async def run_mapper(settings: MapperSettings, ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; the lease is given back then.

    :param ready: called with the URL once requests are answered.
    :raises DrystoneError: the database, the address or the secret file cannot be used.
    """
    secret = read_secret(settings.secret)
    host, _ = parse_address(settings.listen)
    open_to_all = settings.legacy == "open" or (settings.legacy == "auto" and is_loopback(host))
    tls = None
    if settings.certificate is not None and settings.key_file is not None:
        tls = TlsFiles(settings.certificate, settings.key_file)

    database = SqlDatabase(settings.database)

    def make_mapper(changed: Callable[[], None]) -> Mapper:
        return Mapper(
            database,
            settings.rules(),
            SystemClock(),
            id=new_uuid(),
            url=settings.url,
            changed=changed,
            recover=settings.recover,
        )

    desk = Desk(make_mapper)
    application = make_application(desk, secret)
    application.add_routes(LegacyRoutes(desk, open_to_all=open_to_all).table())
    archiver = Archiver(desk, database, Archive(settings.audit_place(), settings.audit_days, settings.audit_entries))
    page = PageRoutes(desk, open_to_all=open_to_all)
    application.add_routes(page.table())
    async with serve_tcp(application, settings.listen, tls=tls) as url:
        desk.mapper.url = settings.url or url
        await desk.open()
        try:
            async with asyncio.TaskGroup() as tasks:
                working = [tasks.create_task(each.run()) for each in (desk, page, archiver)]
                log.info("mapper at %s", desk.mapper.url)
                ready(desk.mapper.url)
                await wait_for_signal()
                for task in working:
                    task.cancel()
        finally:
            await desk.close()
