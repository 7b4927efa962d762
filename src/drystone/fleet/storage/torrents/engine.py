"""libtorrent: the only module that knows it. Sessions that talk to the addresses that they were given, to nobody else.

No DHT, no search on the local network, no port mapping, no trackers, no exchange of peers; TCP alone. libtorrent gets
files of its own in a disk's folder for temporary files, never an object: what it writes is data that somebody checks.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import ipaddress
import logging
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from drystone.base.errors import BusyError, UnavailableError, UnsupportedError, UsageError
from drystone.fleet.storage.torrents.metainfo import Metainfo
from drystone.wire.tcp import parse_address

if TYPE_CHECKING:
    import libtorrent

log = logging.getLogger(__name__)

_OPEN_SECONDS = 5.0
_LOOK_SECONDS = 0.2
_PLAIN = 2
"""libtorrent's word for: no obfuscation, which protects nothing (`enc_policy.disabled`)."""
_BLOCKED = 1


class Engine:
    """A session of libtorrent. `open_engine` makes it.

    :ivar address: HOST:PORT that it listens on. :ivar still_seconds: a download that gets no byte for so long has
        ended; one from which all seeders have gone, after a third of it.
    """

    def __init__(self, session: libtorrent.session, host: str) -> None:
        self._session = session
        self._allowed: set[str] = set()
        self.still_seconds = 30.0
        self.address = f"[{host}]:{session.listen_port()}" if ":" in host else f"{host}:{session.listen_port()}"

    def allow(self, addresses: Iterable[str]) -> None:
        """Talk to these hosts too. Any other is refused, whoever connects.

        :param addresses: HOST:PORT, of numbers. :raises UsageError: one is not.
        """
        import libtorrent

        hosts = {find_host(each) for each in addresses} - self._allowed
        if not hosts:
            return
        self._allowed |= hosts
        rules = libtorrent.ip_filter()
        rules.add_rule("0.0.0.0", "255.255.255.255", _BLOCKED)  # noqa: S104  # a range, not listened on
        rules.add_rule("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", _BLOCKED)
        for host in self._allowed:
            rules.add_rule(host, host, 0)
        self._session.set_ip_filter(rules)

    async def seed(self, metainfo: Metainfo, path: Path) -> libtorrent.torrent_handle:
        """Send the file at `path` to whoever asks, until `remove`.

        Each piece is compared with its hash before it is sent the first time. Nothing is ever written to the file.
        """
        from libtorrent import torrent_flags

        return await self._add(metainfo, path, torrent_flags.seed_mode | torrent_flags.upload_mode)

    async def download(self, metainfo: Metainfo, path: Path, addresses: Iterable[str]) -> None:
        """Have the file at `path`, which is empty, filled from those at `addresses`. It ends when all came, or when
        nothing comes any more; what lies there then is to be checked, piece by piece.

        :raises UnavailableError: libtorrent does not take it, or ended it.
        """
        self.allow(addresses)
        torrent = await self._add(metainfo, path, 0)
        try:
            for each in addresses:
                await asyncio.to_thread(torrent.connect_peer, parse_address(each))
            await self._watch(torrent)
        except RuntimeError as error:
            raise UnavailableError(f"libtorrent ended a torrent: {error}") from error
        finally:
            await self.remove(torrent)

    async def _watch(self, torrent: libtorrent.torrent_handle) -> None:
        """Until all came, or nothing comes any more."""
        most, since, was_heard = 0, time.monotonic(), False
        while True:
            status = await asyncio.to_thread(torrent.status)
            if status.total_done > most:
                most, since = status.total_done, time.monotonic()
            was_heard = was_heard or status.num_peers > 0
            is_alone = was_heard and not status.num_peers
            patience = self.still_seconds / 3 if is_alone else self.still_seconds
            if status.is_finished or status.errc.value() or time.monotonic() - since > patience:
                return
            await asyncio.sleep(_LOOK_SECONDS)

    async def is_seeding(self, torrent: libtorrent.torrent_handle) -> bool:
        """Whether no piece of a seeded file was found to be another than its hash says."""
        try:
            return (await asyncio.to_thread(torrent.status)).is_seeding
        except RuntimeError:  # removed
            return False

    async def remove(self, torrent: libtorrent.torrent_handle) -> None:
        """Take a torrent away and close its file, once what came is written. The file stays.

        When this returns, nothing is written to it any more, unless its disk hangs: that is waited for five seconds.
        """
        with contextlib.suppress(RuntimeError):  # removed before
            await asyncio.to_thread(self._session.remove_torrent, torrent)
            await self._wait_until_gone(torrent)

    async def _wait_until_gone(self, torrent: libtorrent.torrent_handle) -> None:
        until = time.monotonic() + _OPEN_SECONDS
        while torrent.is_valid() and time.monotonic() < until:  # noqa: ASYNC110  # libtorrent's, has no event
            await asyncio.sleep(0.02)

    async def _add(self, metainfo: Metainfo, path: Path, mode: int) -> libtorrent.torrent_handle:
        """:raises UnavailableError: libtorrent does not take it; so is a torrent that it has already."""
        import libtorrent
        from libtorrent import torrent_flags

        quiet = torrent_flags.disable_dht | torrent_flags.disable_lsd | torrent_flags.disable_pex
        try:
            wanted = libtorrent.load_torrent_buffer(metainfo.encode())
            wanted.save_path = str(path.parent)
            wanted.renamed_files = {0: path.name}
            wanted.flags = mode | quiet | torrent_flags.apply_ip_filter | torrent_flags.duplicate_is_error
            return await asyncio.to_thread(self._session.add_torrent, wanted)
        except RuntimeError as error:
            raise UnavailableError(f"libtorrent does not take a torrent: {error}") from error


def find_host(address: str) -> str:
    """The host of HOST:PORT, where that is one machine's address in numbers. :raises UsageError: it is not."""
    host, _ = parse_address(address)
    try:
        number = ipaddress.ip_address(host)
    except ValueError as error:
        raise UsageError(f"torrents: {address!r} is not the address of a machine, in numbers") from error
    if number.is_unspecified or number.is_multicast:
        raise UsageError(f"torrents: {address!r} is not the address of one machine")
    return str(number)


def check_library() -> None:
    """:raises UnsupportedError: libtorrent is not installed. It is not imported."""
    if importlib.util.find_spec("libtorrent") is None:
        raise UnsupportedError(
            "torrents are switched on, and libtorrent is not installed", hint="pip install 'drystone[torrent]'"
        )


@contextlib.asynccontextmanager
async def open_engine(listen: str) -> AsyncIterator[Engine]:
    """A session that listens while the block runs. :param listen: HOST:PORT in numbers, port 0 for a free one.

    :raises UnsupportedError: libtorrent is not installed. :raises BusyError: the address cannot be listened on.
    """
    check_library()
    import libtorrent

    host = find_host(listen)
    _, port = parse_address(listen)
    session = await asyncio.to_thread(libtorrent.session, _describe(host, port))
    engine: Engine | None = None
    try:
        await _wait_until_heard(session, listen)
        engine = Engine(session, host)
        engine.allow([engine.address])
        log.info("torrents are exchanged at %s", engine.address)
        yield engine
    finally:
        engine = None
        session.pause()
        # Its last reference: the session ends, in a thread, as it waits for its own.
        ended = [session]
        del session
        await asyncio.to_thread(ended.clear)


def _describe(host: str, port: int) -> libtorrent.settings_pack:
    """A session's settings."""
    name = f"[{host}]" if ":" in host else host
    return {
        "user_agent": "drystone",
        "listen_interfaces": f"{name}:{port}",
        "outgoing_interfaces": host,
        "max_retry_port_bind": 0,
        "listen_system_port_fallback": False,
        "enable_dht": False,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        "enable_incoming_utp": False,
        "enable_outgoing_utp": False,
        "in_enc_policy": _PLAIN,
        "out_enc_policy": _PLAIN,
        "allow_multiple_connections_per_ip": True,
        "announce_to_all_trackers": False,
        "announce_to_all_tiers": False,
        "alert_mask": 0x1 | 0x40,  # errors, and status: that it listens
    }


async def _wait_until_heard(session: libtorrent.session, listen: str) -> None:
    """:raises BusyError: it does not listen."""
    import libtorrent

    until = time.monotonic() + _OPEN_SECONDS
    reason = "it does not say why"
    while not session.listen_port():
        failed = [each for each in session.pop_alerts() if isinstance(each, libtorrent.listen_failed_alert)]
        if failed or time.monotonic() > until:
            reason = failed[0].message() if failed else reason
            raise BusyError(f"torrents: cannot listen on {listen}: {reason}", hint="--torrents HOST:PORT")
        await asyncio.sleep(0.02)
