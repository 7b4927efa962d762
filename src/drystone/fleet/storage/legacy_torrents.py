"""`create_torrent` and `start_download` of the legacy interface, on a server that exchanges torrents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from drystone.base.errors import BusyError, UnavailableError
from drystone.fleet.objects import ObjectInfo
from drystone.fleet.storage.copying import Copier
from drystone.fleet.storage.standing import Standing
from drystone.fleet.storage.torrents.exchange import Exchange
from drystone.fleet.storage.torrents.metainfo import is_urn
from drystone.fleet.storage.torrents.seeding import LEAST, MOST

Said = tuple[int, str]


class LegacyTorrents:
    """The two actions. Both name a host, and may name one of its files.

    :param copier: which downloads.
    """

    def __init__(self, exchange: Exchange, copier: Copier) -> None:
        self._exchange = exchange
        self._copier = copier

    async def create(self, standing: Standing, query: Mapping[str, str]) -> Said:
        """Seed the file, or all of the host, of LEAST bytes or more; a line for each: its torrent and its key.

        :raises UnavailableError: our copy is not whole yet. :raises BusyError: they are more than MOST; none is seeded
            then. :raises DrystoneError: a file cannot be seeded.
        """
        own = standing.placement.member(self._copier.server)
        if own is None or own.state != "in_sync":
            raise UnavailableError(f"host {standing.placement.folder} is being copied", hint="ask again later")
        large, is_any = await _find_large(standing, _key_of(standing, query))
        if not is_any:
            return 404, "File not found."
        if len(large) > MOST:
            raise BusyError(f"host {standing.placement.folder} has more than {MOST} large files", hint="name one")
        if not large:
            return 400, f"Files of less than {LEAST >> 20} MiB are copied by HTTP."
        lines = [f"{(await self._exchange.seeds.add(standing, each)).urn} {each.key}\n" for each in large]
        return 200, "".join(lines)

    async def start(self, standing: Standing, query: Mapping[str, str]) -> Said:
        """Have our copy of the host completed now: by torrents where other members seed them, else by HTTP.

        A `torrent` that is named must be seeded by one of them, and be of the file that is named.
        """
        urn = query.get("torrent", "")
        if urn:
            key = _key_of(standing, query)
            if not key or not is_urn(urn):
                return 400, "Invalid arguments."
            if not await self._is_seeded(standing, key, urn):
                return 404, "Torrent not found."
        self._copier.hasten(standing)
        return 202, "Download started"

    async def _is_seeded(self, standing: Standing, key: str, urn: str) -> bool:
        """Whether another member seeds a version of this key, by this torrent."""
        urls = self._copier.peer_urls(standing.placement)
        for entry in await self._copier.versions(standing.placement, key):
            info = entry.info
            if info.digest and await self._exchange.downloads.find(urls, info.digest, info.size, urn):
                return True
        return False


def _key_of(standing: Standing, query: Mapping[str, str]) -> str:
    """The key of the file that is named, "" when none is."""
    path = query.get("file_name", query.get("path", "")).strip("/")
    host = standing.placement.host
    return f"{host}/{path}" if host and path else path


async def _find_large(standing: Standing, key: str) -> tuple[Sequence[ObjectInfo], bool]:
    """Of a key, or of all (key ""), the latest versions of LEAST bytes or more, as our disk has them, MOST of them and
    one at the most; and whether there are any at all."""
    bay, disk, id_ = standing.bay, standing.disk, standing.placement.id
    if key:
        entry = await bay.run(disk.find, id_, key)
        if entry is None or entry.info.delete_marker:
            return (), False
        return (entry.info,) if entry.info.size >= LEAST else (), True
    large = await bay.run(disk.large, id_, LEAST, MOST + 1)
    return large, bool(large or (await bay.run(disk.list, id_, "", "", "", 1)).objects)
