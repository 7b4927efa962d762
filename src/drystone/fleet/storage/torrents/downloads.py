"""Bytes of a version by BitTorrent, for a copy: each MiB is compared with our own sums before it counts.

The sums are those that the leader's digest is of. A piece that did not come, or is another, comes by HTTP: so a seeder
that lies or goes away costs time and nothing else. What comes out is a body as a copy by HTTP makes one, and the disk
takes it by the same rules.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterable

from drystone.base.errors import DamagedError, DrystoneError, MismatchError, UnavailableError
from drystone.fleet.calls import Calls
from drystone.fleet.disk.disk import Disk
from drystone.fleet.disk.incoming import Incoming
from drystone.fleet.disk.sums import PIECE, SUM, count_pieces, digest_of, is_piece
from drystone.fleet.objects import ObjectInfo
from drystone.fleet.storage.members import Fetch
from drystone.fleet.storage.reading import fetching
from drystone.fleet.storage.standing import Standing
from drystone.fleet.storage.torrents.engine import Engine, find_host
from drystone.fleet.storage.torrents.messages import TORRENT_PATH, FindTorrent, Offer

log = logging.getLogger(__name__)


class Downloads:
    """Versions that other servers seed.

    :ivar received: bytes that came by torrents and were right. :ivar refused: bytes that came and were not, or did not
        come: they were had by HTTP.
    """

    def __init__(self, engine: Engine, calls: Calls) -> None:
        self._engine = engine
        self._calls = calls
        self.received = 0
        self.refused = 0

    async def find(self, urls: Iterable[str], digest: str, size: int, urn: str = "") -> list[Offer]:
        """What servers seed of a version, one torrent: that which most of them have; of several, the first's.

        :param urls: of these servers, the leader's first. :param size: of the version, in bytes. :param urn: this
            torrent alone.
        """
        wanted = FindTorrent(digest, self._engine.address, urn)
        answers = await asyncio.gather(*(self._ask(url, wanted, size) for url in urls))
        offers = [each for answer in answers for each in answer]
        counted = Counter(each.metainfo for each in offers)
        most = max(counted, key=lambda each: counted[each], default=None)  # the first of those that are equal
        return [each for each in offers if each.metainfo == most]

    async def _ask(self, url: str, wanted: FindTorrent, size: int) -> list[Offer]:
        """A server's offer, of hashes that agree; none when it has none, or does not answer."""
        try:
            offers = await self._calls.ask(url + TORRENT_PATH, wanted, list[Offer])
            for each in offers:
                _check(each, wanted.digest, size)
        except DrystoneError as error:
            log.info("%s offers no torrent: %s", url, error)
            return []
        return offers

    async def bring(self, standing: Standing, url: str, info: ObjectInfo, offers: list[Offer]) -> Incoming:
        """A version's bytes in a body that is finished; they are those of `info`.

        :param url: the leader's. :param offers: as `find` gives them, one or more.
        :raises NotFoundError: the leader has the version no more. :raises DrystoneError: the disk, or the call, failed.
        """
        bay, disk = standing.bay, standing.disk
        came = await bay.run(disk.receive, md5=False, size=info.size)
        try:
            addresses = list(dict.fromkeys(each.address for each in offers))
            try:
                await self._engine.download(offers[0].metainfo, disk.root / came.place, addresses)
            except UnavailableError as error:  # what did not come, comes by HTTP
                log.warning("placement %s: %r does not come by a torrent: %s", standing.placement.id, info.key, error)
            return await self._take(standing, url, info, offers[0].sums, came)
        finally:
            await bay.run(came.abandon)

    async def _take(self, standing: Standing, url: str, info: ObjectInfo, sums: bytes, came: Incoming) -> Incoming:
        """A body out of the pieces that came and are right; all others by HTTP."""
        bay, disk = standing.bay, standing.disk
        body = await bay.run(disk.receive, md5=False, size=info.size)
        received = 0
        try:
            number, count = 0, count_pieces(info.size)
            while number < count:
                if size := await bay.run(_take_piece, disk, came, body, sums, number):
                    received += size
                    number += 1
                    continue
                wrong = number
                while number < count and not await bay.run(_read_piece, disk, came, sums, number):
                    number += 1
                begin, end = wrong * PIECE, min(number * PIECE, info.size)
                async for piece in self._fetch(standing, url, info, begin, end):
                    await bay.run(body.write, piece)
            if (await bay.run(body.finish)).digest != info.digest:
                raise DamagedError(f"{info.key!r} came as something else", key=info.key, piece=-1)
        except BaseException:
            await bay.run(body.abandon)
            raise
        self.received += received
        self.refused += info.size - received
        how = "" if received == info.size else f", {info.size - received} bytes of it by HTTP"
        log.info("placement %s: %r came by a torrent%s", standing.placement.id, info.key, how)
        return body

    async def _fetch(
        self, standing: Standing, url: str, info: ObjectInfo, begin: int, end: int
    ) -> AsyncIterator[bytes | memoryview]:
        """Bytes [begin, end) of a version, from the leader."""
        wanted = Fetch(standing.placement.id, info.key, info.version_id, None, begin, end, mend=True)
        async with fetching(self._calls, url, wanted) as (_, pieces):
            async for piece in pieces:
                yield piece


def _check(offer: Offer, digest: str, size: int) -> None:
    """:raises MismatchError: it is not of the version with this digest. :raises UsageError: its address is none."""
    sums = offer.sums
    if offer.metainfo.size != size or len(sums) != count_pieces(size) * SUM or digest_of(sums) != digest:
        raise MismatchError("what is offered is another version")
    offer.metainfo.check()
    find_host(offer.address)


def _read_piece(disk: Disk, came: Incoming, sums: bytes, number: int) -> bytes:
    """A piece that came, checked; b"" when it did not come, or is another. In a thread of the disk."""
    try:
        with (disk.root / came.place).open("rb", buffering=0) as file:
            file.seek(number * PIECE)
            data = file.read(PIECE)
    except OSError as error:
        log.warning("piece %d of a torrent cannot be read: %s", number, error)
        return b""
    return data if data and is_piece(data, sums, number) else b""


def _take_piece(disk: Disk, came: Incoming, body: Incoming, sums: bytes, number: int) -> int:
    """Write a piece that came to a body; its size, 0 when it did not come or is another."""
    data = _read_piece(disk, came, sums, number)
    if data:
        body.write(data)
    return len(data)
