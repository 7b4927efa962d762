"""What this server seeds: files of checked bytes, beside the objects, for as long as somebody may want them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from drystone.base.errors import BusyError, DamagedError
from drystone.fleet.disk.disk import Disk
from drystone.fleet.disk.incoming import Incoming
from drystone.fleet.disk.sums import PIECE
from drystone.fleet.objects import ObjectInfo
from drystone.fleet.storage.reading import Mender, read_checked
from drystone.fleet.storage.shelf import Bay
from drystone.fleet.storage.standing import Standing
from drystone.fleet.storage.torrents.engine import Engine
from drystone.fleet.storage.torrents.messages import FindTorrent, Offer
from drystone.fleet.storage.torrents.metainfo import Hashing, Metainfo

if TYPE_CHECKING:
    import libtorrent

log = logging.getLogger(__name__)

LEAST = PIECE
"""Bytes: what is smaller is sent by HTTP in less time than a torrent takes to begin."""
MOST = 1000
"""Torrents at a time."""
_KEPT_SECONDS = 86400.0
"""For so long after it was asked for last, a file is seeded."""
_LOOK_SECONDS = 5.0


@dataclass(slots=True)
class _Seed:
    """:ivar body: the file, never taken by its disk. :ivar sums: BLAKE3 of each MiB. :ivar until: it is asked for."""

    metainfo: Metainfo
    sums: bytes
    bay: Bay
    disk: Disk
    body: Incoming
    torrent: libtorrent.torrent_handle
    until: float

    @property
    def is_gone(self) -> bool:
        """Whether its disk was put away since: the file is gone, or will be."""
        return self.bay.disk is not self.disk


class Seeds:
    """Torrents of what lies here.

    :param mender: of what is damaged here. :param now: a clock, in seconds.
    """

    def __init__(self, engine: Engine, mender: Mender, now: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._mender = mender
        self._now = now
        self._seeds: dict[str, _Seed] = {}
        self._making = asyncio.Lock()
        self.address = engine.address
        """What others are told."""

    async def run(self) -> None:
        """Let go of what nobody asked for in a day, and of disks that went away, for as long as the server runs."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            await self.let_go()

    async def let_go(self) -> None:
        """Once."""
        for digest, seed in tuple(self._seeds.items()):
            if seed.is_gone or seed.until < self._now():
                await self._drop(digest)

    async def close(self) -> None:
        """Seed nothing any more."""
        for digest in tuple(self._seeds):
            await self._drop(digest)

    async def _drop(self, digest: str) -> None:
        seed = self._seeds.pop(digest, None)
        if seed is None:
            return
        await self._engine.remove(seed.torrent)
        await asyncio.to_thread(seed.body.abandon)

    async def add(self, standing: Standing, info: ObjectInfo) -> Metainfo:
        """Seed a version that we have, of LEAST bytes or more; its torrent. One torrent is made at a time.

        Its bytes are checked, and mended from other members, as they are copied into a file of their own: that one is
        seeded.

        :raises DamagedError: no member has a piece whole. :raises ExhaustedError: the disk is full.
        :raises BusyError: so many are seeded already. :raises NotFoundError: it is no more.
        """
        async with self._making:
            if (known := self._seeds.get(info.digest)) is not None and known.is_gone:
                await self._drop(info.digest)
            if (seed := self._seeds.get(info.digest)) is None:
                if len(self._seeds) >= MOST:
                    raise BusyError(f"{MOST} torrents are seeded already", hint="they end a day after their last use")
                seed = self._seeds[info.digest] = await self._make(standing, info)
                log.info("placement %s: %r is seeded as %s", standing.placement.id, info.key, seed.metainfo.urn)
            seed.until = self._now() + _KEPT_SECONDS
            return seed.metainfo

    async def _make(self, standing: Standing, info: ObjectInfo) -> _Seed:
        bay, disk = standing.bay, standing.disk
        body = await bay.run(disk.receive, md5=False, size=info.size)
        try:
            hashing = Hashing(info.size)
            async for piece in read_checked(self._mender, standing, info.key, info, 0, info.size):
                await bay.run(_take, body, hashing, piece)
            sums = await bay.run(body.finish)
            if sums.digest != info.digest:
                raise DamagedError(f"{info.key!r} is not what its sums say", key=info.key, piece=-1)
            metainfo = hashing.finish()
            torrent = await self._engine.seed(metainfo, disk.root / body.place)
        except BaseException:
            await asyncio.to_thread(body.abandon)
            raise
        return _Seed(metainfo, sums.pieces, bay, disk, body, torrent, 0.0)

    async def offer(self, wanted: FindTorrent) -> Offer | None:
        """What we seed of a version, for another server, which may connect from now on. A file of which a piece was
        found damaged is let go.

        :raises UsageError: its address is none.
        """
        seed = self._seeds.get(wanted.digest)
        if seed is None or seed.is_gone or wanted.urn not in {"", seed.metainfo.urn}:
            return None
        if not await self._engine.is_seeding(seed.torrent):
            log.warning("%s is seeded no more: its file is damaged", seed.metainfo.urn)
            await self._drop(wanted.digest)
            return None
        self._engine.allow([wanted.address])
        seed.until = self._now() + _KEPT_SECONDS
        return Offer(seed.metainfo, seed.sums, self.address)


def _take(body: Incoming, hashing: Hashing, piece: bytes | memoryview) -> None:
    """In a thread of the disk."""
    body.write(piece)
    hashing.add(piece)
