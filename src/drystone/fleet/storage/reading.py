"""Checked bytes of a version: from our disk, and where a piece of it is damaged from another member, which mends it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from drystone.base.errors import DamagedError, DrystoneError
from drystone.fleet.calls import Calls
from drystone.fleet.disk.changes import Entry
from drystone.fleet.disk.reader import Reader
from drystone.fleet.disk.sums import PIECE, is_piece
from drystone.fleet.objects import ObjectInfo
from drystone.fleet.storage.failures import decode_failure
from drystone.fleet.storage.frames import FrameReader
from drystone.fleet.storage.members import Fetch
from drystone.fleet.storage.standing import Standing, Standings

log = logging.getLogger(__name__)

Filled = TypeVar("Filled")

FETCH_PATH = "/internal/members/fetch"
_COPIED = 256 << 10
"""Bytes: a shorter piece is handed out as a copy, as a sender may still hold it when it asks for the next."""


@contextlib.asynccontextmanager
async def fetching(
    calls: Calls, url: str, wanted: Fetch
) -> AsyncIterator[tuple[Entry, AsyncIterator[bytes | memoryview]]]:
    """A version (or a part of it) that another server has: what it is, and its bytes. Those were checked there, and
    their end is known to be the end.

    :raises NotFoundError: it has none. :raises DrystoneError: the call failed; also while the bytes are read.
    """
    async with calls.open("POST", url + FETCH_PATH, body=msgspec.json.encode(wanted), seconds=10.0) as stream:
        if stream.status != 200:
            failure = decode_failure(await stream.read())
            raise failure if isinstance(failure, DrystoneError) else DrystoneError(str(failure))
        frames = FrameReader(stream.pieces())
        entry = msgspec.json.decode(await frames.document(), type=Entry)

        async def data() -> AsyncIterator[bytes | memoryview]:
            async for piece in frames.data():
                yield piece
            await frames.document()

        yield entry, data()


class Buffers:
    """Memory for pieces, used again: fresh memory costs a page fault for every 4 KiB."""

    def __init__(self, most: int = 32) -> None:
        self._most = most
        self._free: list[bytearray] = []

    def take(self) -> bytearray:
        """One of PIECE bytes."""
        return self._free.pop() if self._free else bytearray(PIECE)

    def give_back(self, buffers: list[bytearray]) -> None:
        """Those that nobody looks at any more."""
        self._free += buffers[: self._most - len(self._free)]


class Loan:
    """Two buffers in turn, of one read, for pieces that threads of a disk fill.

    Whoever waits for such a thread may leave before it has ended (a client went away, the disk hangs). What the thread
    has yet to fill is nobody else's then, ever: a piece that was checked would become another one.
    """

    def __init__(self, buffers: Buffers) -> None:
        self._buffers = buffers
        self._lent: dict[int, bytearray] = {}
        self._filling: set[int] = set()

    def filling(self, number: int, fill: Callable[[bytearray], Filled]) -> Callable[[], Filled]:
        """What a thread calls, once: `fill` with the buffer for piece `number`."""
        place = number % 2
        if place not in self._lent:
            self._lent[place] = self._buffers.take()
        buffer = self._lent[place]
        self._filling.add(place)

        def run() -> Filled:
            try:
                return fill(buffer)
            finally:
                self._filling.discard(place)

        return run

    def end(self) -> None:
        """Nobody looks at the pieces any more."""
        self._buffers.give_back([each for place, each in self._lent.items() if place not in self._filling])
        self._lent.clear()


class Mender:
    """Puts right bytes from other members in the place of damaged ones of ours.

    :ivar damaged: pieces and files that were found, :ivar mended: those that were put right.
    """

    def __init__(self, standings: Standings, calls: Calls) -> None:
        self._standings = standings
        self._calls = calls
        self.buffers = Buffers()
        self.damaged = 0
        self.mended = 0

    def _peers(self, standing: Standing) -> list[str]:
        """URLs of the other members, those in sync first. One that copies may have the bytes too; they are compared."""
        members = sorted(standing.placement.members, key=lambda each: each.state != "in_sync")
        others = (each.server for each in members if each.server != self._standings.server)
        return [url for url in map(self._standings.atlas.url_of, others) if url]

    async def piece(self, standing: Standing, reader: Reader, number: int) -> bytes:
        """A piece of a version; ours is mended with it.

        :raises DamagedError: no other member has it whole.
        """
        placement, info = standing.placement, reader.info
        self.damaged += 1
        begin = number * PIECE
        wanted = Fetch(placement.id, info.key, info.version_id, info.seq, begin, min(begin + PIECE, info.size))
        for url in self._peers(standing):
            try:
                async with fetching(self._calls, url, wanted) as (_, pieces):
                    data = b"".join([bytes(each) async for each in pieces])
                if not is_piece(data, reader.sums(), number):
                    raise DamagedError(f"{url} sent other bytes")
            except DrystoneError as error:
                log.warning("placement %s: %s has not piece %d of %r: %s", placement.id, url, number, info.key, error)
                continue
            entry = Entry(info, reader.made)
            try:
                await standing.bay.run(standing.disk.repair, placement.id, entry, number, data)
                self.mended += 1
                log.warning("placement %s: piece %d of %r was mended from %s", placement.id, number, info.key, url)
            except DrystoneError as error:
                log.warning("placement %s: piece %d of %r stays damaged: %s", placement.id, number, info.key, error)
            return data
        raise DamagedError(f"piece {number} of {info.key!r} is damaged in every copy", key=info.key, piece=number)

    async def whole(self, standing: Standing, key: str, version_id: str, seq: int) -> None:
        """A version whose file is gone, as a whole.

        :raises DamagedError: no other member has it.
        """
        placement, bay, disk = standing.placement, standing.bay, standing.disk
        self.damaged += 1
        for url in self._peers(standing):
            try:
                async with fetching(self._calls, url, Fetch(placement.id, key, version_id, seq)) as (entry, pieces):
                    body = await bay.run(disk.receive, md5=False, size=entry.info.size)
                    try:
                        async for each in pieces:
                            await bay.run(body.write, each)
                        await bay.run(body.finish)
                        await bay.run(disk.restore, placement.id, entry, body)
                    finally:
                        await bay.run(body.abandon)
            except DrystoneError as error:
                log.warning("placement %s: %r cannot be had from %s: %s", placement.id, key, url, error)
                continue
            self.mended += 1
            log.warning("placement %s: %r was gone, and was restored from %s", placement.id, key, url)
            return
        raise DamagedError(f"the file of {key!r} is gone in every copy", key=key, piece=-1)


@dataclass(frozen=True, slots=True)
class Opened:
    """A version whose file is open. :ivar first: its first piece; None when that is damaged. :ivar loan: has it."""

    reader: Reader
    first: memoryview | None
    loan: Loan


async def read_checked(
    mender: Mender,
    standing: Standing,
    key: str,
    info: ObjectInfo,
    begin: int,
    end: int,
    *,
    mend: bool = True,
    opened: Opened | None = None,
) -> AsyncIterator[bytes | memoryview]:
    """Bytes [begin, end) of the version that `info` names.

    :param mend: have other members mend what is damaged here; else that is an error, as when they ask for it.
    :param opened: by `open_first`, when `begin` is 0.

    Each piece is to be used before the next is asked for: two buffers take turns, as the next piece is read and checked
    while one is sent.

    :raises NotFoundError: it is no more. :raises DamagedError: no member has a whole copy of a piece.
    """
    if begin == end:
        return
    numbers = range(begin // PIECE, -(-end // PIECE))
    loan = opened.loan if opened is not None else Loan(mender.buffers)
    coming: asyncio.Task[memoryview | None] | None = None
    reader = opened.reader if opened is not None else None
    try:
        for number in numbers:
            if reader is None:
                reader, found = await _open(mender if mend else None, standing, key, info, number, loan)
            elif coming is None:
                assert opened is not None, "begun a turn ago"
                found = opened.first
            else:
                found, coming = await coming, None
            if found is None and not mend:
                raise DamagedError(f"piece {number} of {key!r} is damaged here", key=key, piece=number)
            whole: bytes | memoryview = found if found is not None else await mender.piece(standing, reader, number)
            if number + 1 < numbers.stop:
                fill = loan.filling(number + 1, functools.partial(read_piece, reader, number + 1))
                coming = asyncio.create_task(standing.bay.run(fill))
            low, high = max(begin - number * PIECE, 0), min(end - number * PIECE, len(whole))
            piece = memoryview(whole)[low:high]
            yield bytes(piece) if len(piece) < _COPIED else piece
    finally:
        if coming is not None:
            await asyncio.wait({coming})
            coming.exception()
        if reader is not None:
            reader.close()
        loan.end()


async def _open(
    mender: Mender | None, standing: Standing, key: str, info: ObjectInfo, number: int, loan: Loan
) -> tuple[Reader, memoryview | None]:
    """The version, and a piece of it; None when that is damaged. In one step, as most objects are small."""
    disk, id_ = standing.disk, standing.placement.id

    def open_version(buffer: bytearray) -> tuple[Reader, memoryview | None]:
        reader = disk.open_version(id_, key, info.version_id, seq=info.seq)
        return reader, read_piece(reader, number, buffer)

    try:
        return await standing.bay.run(loan.filling(number, open_version))
    except DamagedError:
        if mender is None:
            raise
        await mender.whole(standing, key, info.version_id, info.seq)
        return await standing.bay.run(loan.filling(number, open_version))


async def open_first(standing: Standing, key: str, version_id: str | None, loan: Loan) -> Opened:
    """A version (None: the latest) and its first piece, found and read in one step: what most reads need.

    :raises NotFoundError: there is none, or it is a delete marker. :raises DamagedError: its file is gone.
    """
    disk, id_ = standing.disk, standing.placement.id

    def open_version(buffer: bytearray) -> Opened:
        reader = disk.open_version(id_, key, version_id)
        first = read_piece(reader, 0, buffer) if reader.pieces else None
        if first is not None and reader.pieces == 1:
            reader.close()  # here, not where requests wait for each other
        return Opened(reader, first, loan)

    return await standing.bay.run(loan.filling(0, open_version))


def read_piece(reader: Reader, number: int, buffer: bytearray) -> memoryview | None:
    """A checked piece; None when it is damaged."""
    try:
        return reader.read_piece(number, buffer)
    except DamagedError as error:
        log.warning("%s", error)
        return None
