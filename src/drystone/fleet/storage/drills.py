"""Restore drills of the placements that this server leads: the newest objects are read whole from every copy, as
somebody who restores would read them, and compared with what was stored.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Iterable

from drystone.base.errors import DamagedError, DrystoneError, NotFoundError, UnavailableError
from drystone.fleet.calls import Calls, Mappers
from drystone.fleet.disk.sums import PIECE, Summing
from drystone.fleet.documents import Drill, DrillResult, Member
from drystone.fleet.objects import ObjectInfo
from drystone.fleet.storage.members import Fetch
from drystone.fleet.storage.reading import fetching
from drystone.fleet.storage.standing import Standing, Standings

log = logging.getLogger(__name__)

_MD5 = 32
"""Characters of an ETag that is the MD5 of the bytes; that of an object in parts is longer."""


class Driller:
    """Makes the drills that a mapper asks for, one after another.

    :param calls: to the members, ourselves too. :param rate: bytes a second, 0 is no limit.
    """

    def __init__(self, standings: Standings, calls: Calls, mappers: Mappers, rate: int) -> None:
        self._standings = standings
        self._calls = calls
        self._mappers = mappers
        self._rate = float(rate) if rate else math.inf
        self._wanted: dict[str, Drill] = {}
        self._results: dict[str, DrillResult] = {}
        """Of drills that the mapper still asks for: it may not have heard."""
        self._told = asyncio.Event()

    def take(self, drills: tuple[Drill, ...]) -> None:
        """What the mapper asks for now. One that was made already is only told again."""
        self._wanted = {each.id: each for each in drills}
        self._results = {id_: result for id_, result in self._results.items() if id_ in self._wanted}
        if self._wanted:
            self._told.set()

    async def run(self) -> None:
        """Make drills for as long as the server runs."""
        while True:
            await self._told.wait()
            self._told.clear()
            for drill in tuple(self._wanted.values()):
                result = self._results.get(drill.id)
                if result is None:
                    result = self._results[drill.id] = await self.drill(drill)
                await self._tell(result)

    async def _tell(self, result: DrillResult) -> None:
        """The mapper asks again for what it has not heard."""
        try:
            answer = await self._mappers.call("POST", "/internal/drills", result)
            if answer.status != 204:
                raise answer.error()
        except DrystoneError as error:
            log.warning("the result of a drill was not heard: %s", error)

    async def drill(self, drill: Drill) -> DrillResult:
        """Make one."""
        placement_id = drill.placement
        try:
            standing = self._standings.find(placement_id)
            if standing is None or not standing.replica.leads():
                raise UnavailableError("this server does not lead the placement")
            return await DrillRun(self._standings, self._calls, standing, self._rate).run(drill)
        except (DrystoneError, OSError) as error:
            log.warning("placement %s: the drill could not be made: %s", placement_id, error)
            return DrillResult(drill.id, placement_id, reason=str(error))


class DrillRun:
    """One drill of one placement."""

    def __init__(self, standings: Standings, calls: Calls, standing: Standing, rate: float) -> None:
        self._standings = standings
        self._calls = calls
        self._standing = standing
        self._placement = standing.placement
        self._rate = rate
        self._began = time.monotonic()
        self._size = 0
        self._findings: list[str] = []

    async def run(self, drill: Drill) -> DrillResult:
        """:raises DrystoneError: it broke off, as a copy cannot be reached; what it found until then is forgotten."""
        # All rows of the host are looked at: minutes, where they are many and the disk is cold.
        newest = await self._standing.bay.run_long(self._standing.disk.newest, drill.placement, drill.objects)
        objects = pick(newest, drill.size)
        members = self._placement.in_sync()
        for info in objects:
            for member in members:
                finding = await self._check(member, info)
                if finding:
                    self._findings.append(f"{member.server}/{member.disk}: {finding}")
        log.info(
            "placement %s: a drill read %d objects back: %s", drill.placement, len(objects), self._findings or "well"
        )
        return DrillResult(
            drill.id,
            drill.placement,
            len(objects),
            self._size,
            tuple(f"{each.server}/{each.disk}" for each in members),
            tuple(self._findings),
        )

    async def _check(self, member: Member, info: ObjectInfo) -> str:
        """What is wrong with a copy of an object, "" when nothing is. What is damaged is mended."""
        url = self._standings.atlas.url_of(member.server)
        if not url:
            raise UnavailableError(f"nobody knows where {member.server} is")
        for last in (False, True):
            received = 0
            summing = Summing(md5=len(info.etag) == _MD5)
            try:
                async with fetching(self._calls, url, self._fetch(info)) as (_, pieces):
                    async for piece in pieces:
                        received += len(piece)
                        await self._pace(len(piece))
                        await asyncio.to_thread(summing.update, bytes(piece))
            except DrystoneError as error:
                finding = await self._explain(url, info, received, error)
                if finding or await self._has_changed(info):
                    return finding
                if last:
                    raise
                continue
            sums = summing.finish()
            same = sums.digest == info.digest and sums.md5 in {"", info.etag}
            return "" if same else f"{info.key!r} has other bytes than were stored"
        raise AssertionError("returned or raised by then")

    async def _explain(self, url: str, info: ObjectInfo, received: int, error: DrystoneError) -> str:
        """Why an object could not be read to its end: what is wrong with it, "" when it is the way there.

        An answer that breaks off says nothing, and what was sent last may be lost with it: from where it did, pieces
        are asked for one by one.
        """
        if not isinstance(error, DamagedError | NotFoundError):
            try:
                for begin in range(received // PIECE * PIECE, info.size, PIECE):
                    await self._drain(url, self._fetch(info, begin, min(begin + PIECE, info.size)))
            except (DamagedError, NotFoundError) as found:
                error = found
        if isinstance(error, NotFoundError):
            return "" if await self._has_changed(info) else f"{info.key!r} is not there"
        if not isinstance(error, DamagedError):
            return ""
        try:
            await self._drain(url, self._fetch(info, mend=True))
        except DrystoneError as unmended:
            return f"{info.key!r} is damaged, and cannot be mended: {unmended}"
        return f"{info.key!r} was damaged, and is mended"

    async def _has_changed(self, info: ObjectInfo) -> bool:
        """Whether it was replaced or deleted since the drill began."""
        standing = self._standing
        entry = await standing.bay.run(standing.disk.find, self._placement.id, info.key, info.version_id)
        return entry is None or entry.info.seq != info.seq

    def _fetch(self, info: ObjectInfo, begin: int = 0, end: int = -1, *, mend: bool = False) -> Fetch:
        return Fetch(self._placement.id, info.key, info.version_id, info.seq, begin, end, mend)

    async def _drain(self, url: str, wanted: Fetch) -> None:
        """Have bytes sent, and pass them over."""
        async with fetching(self._calls, url, wanted) as (_, pieces):
            async for piece in pieces:
                await self._pace(len(piece))

    async def _pace(self, size: int) -> None:
        """Wait until `size` more bytes are within the rate."""
        self._size += size
        ahead = self._began + self._size / self._rate - time.monotonic()
        if ahead > 0:
            await asyncio.sleep(ahead)


def pick(objects: Iterable[ObjectInfo], size: int) -> list[ObjectInfo]:
    """The first ones that have so many bytes together, at least one."""
    picked: list[ObjectInfo] = []
    for each in objects:
        size -= each.size
        if picked and size < 0:
            break
        picked.append(each)
    return picked
