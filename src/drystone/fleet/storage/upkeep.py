"""What goes on by itself on each disk: reading everything back from time to time, and deleting what is left over."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from drystone.base.errors import DamagedError, DrystoneError, NotFoundError
from drystone.base.files import replace_file
from drystone.fleet.disk.disk import Disk
from drystone.fleet.disk.scrub import ScrubFinding, ScrubPlace
from drystone.fleet.storage.reading import Mender
from drystone.fleet.storage.shelf import Bay
from drystone.fleet.storage.standing import Standings

log = logging.getLogger(__name__)

_EVERY = 5.0
_DAY = 86_400.0


class ScrubState(msgspec.Struct):
    """How far the scrub of a disk came.

    :ivar began: seconds since 1970. :ivar ended: likewise, 0 while it goes on. :ivar place: all before it was read.
    :ivar size: bytes read. :ivar damaged: findings, and :ivar mended: those that were put right.
    """

    began: float
    ended: float = 0.0
    place: ScrubPlace | None = None
    size: int = 0
    damaged: int = 0
    mended: int = 0


class Scrubber:
    """Reads each disk back, and mends what is damaged.

    :param state: folder where it is kept how far each came. :param rate: bytes a second, 0 for never.
    :param days: from the beginning of a scrub to that of the next.
    """

    def __init__(self, standings: Standings, mender: Mender, state: Path, rate: int, days: float) -> None:
        self._standings = standings
        self._mender = mender
        self._path = state / "scrub.json"
        self._rate = rate
        self._seconds = days * _DAY
        self.states: dict[str, ScrubState] = {}

    async def run(self) -> None:
        """Scrub for as long as the server runs; a disk at a time each, all disks at once."""
        if not self._rate:
            await asyncio.Event().wait()
        self.states = self._load()
        running: dict[str, asyncio.Task[None]] = {}
        try:
            while True:
                for bay in self._standings.shelf.bays.values():
                    task = running.get(bay.name)
                    if bay.disk is not None and (task is None or task.done()):
                        running[bay.name] = asyncio.create_task(self._scrub_if_due(bay, bay.disk))
                await asyncio.sleep(_EVERY)
        finally:
            for task in running.values():
                task.cancel()
            if running:
                await asyncio.wait(running.values())

    def _load(self) -> dict[str, ScrubState]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, ScrubState])
        except FileNotFoundError:
            return {}
        except msgspec.DecodeError as error:
            log.warning("%s: %s; all disks are read from the beginning", self._path, error)
            return {}

    def _keep(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(self._path, msgspec.json.encode(self.states))

    async def _scrub_if_due(self, bay: Bay, disk: Disk) -> None:
        id_ = disk.identity.disk_id
        state = self.states.get(id_)
        if state is None or (state.ended and time.time() > state.began + self._seconds):
            state = self.states[id_] = ScrubState(began=time.time())
        if state.ended:
            return
        try:
            await self.scrub(bay, disk, state)
        except DrystoneError as error:
            log.warning("the scrub of disk %s broke off: %s", bay.name, error)

    async def scrub(self, bay: Bay, disk: Disk, state: ScrubState) -> None:
        """Read the rest of a disk. :raises UnavailableError: it is bad."""
        found: asyncio.Queue[ScrubFinding | ScrubPlace | None] = asyncio.Queue(16)
        loop = asyncio.get_running_loop()
        stop = threading.Event()

        def read() -> None:
            for each in disk.scrub(state.place, rate=self._rate, stop=stop.is_set):
                asyncio.run_coroutine_threadsafe(found.put(each), loop).result()
                if stop.is_set():
                    return

        async def read_all() -> None:
            try:
                await bay.run_long(read)
            finally:
                await found.put(None)

        reading = asyncio.create_task(read_all())
        try:
            while (each := await found.get()) is not None:
                if isinstance(each, ScrubFinding):
                    state.damaged += 1
                    state.mended += await self._mend(bay, disk, each)
                else:
                    state.place, state.size = each, state.size + each.size
                    await asyncio.to_thread(self._keep)
            await reading
        finally:
            stop.set()
            while not found.empty():
                found.get_nowait()  # so that the thread does not wait for room
            if not reading.done():
                reading.cancel()
        state.ended = time.time()
        await asyncio.to_thread(self._keep)
        log.info(
            "disk %s was read back: %d bytes, %d damaged, %d mended", bay.name, state.size, state.damaged, state.mended
        )

    async def _mend(self, bay: Bay, disk: Disk, finding: ScrubFinding) -> bool:
        """Whether it was put right."""
        log.warning("disk %s: %s: %r, piece %d", bay.name, finding.kind, finding.key, finding.piece)
        standing = self._standings.find(finding.placement)
        if standing is None or standing.bay is not bay:
            return False
        try:
            if finding.piece < 0:
                await self._mender.whole(standing, finding.key, finding.version_id, finding.seq)
                return True
            reader = await bay.run(
                disk.open_version, finding.placement, finding.key, finding.version_id, seq=finding.seq
            )
            try:
                await self._mender.piece(standing, reader, finding.piece)
            finally:
                await bay.run(reader.close)
        except (DamagedError, NotFoundError) as error:
            log.warning("disk %s: %s", bay.name, error)
            return False
        return True


class Sweeper:
    """Deletes what the mapper says is left over, unless we know better.

    :param rate: bytes a second, 0 is no limit.
    """

    def __init__(self, standings: Standings, rate: int) -> None:
        self._standings = standings
        self._rate = float(rate) if rate else math.inf
        self._ends = threading.Event()

    async def run(self) -> None:
        """Sweep for as long as the server runs."""
        try:
            while True:
                for placement_id, disk_id in sorted(self._standings.atlas.leftovers):
                    await self._leave(placement_id, disk_id)
                await asyncio.sleep(_EVERY)
        finally:
            self._ends.set()

    async def _leave(self, placement_id: str, disk_id: str) -> None:
        bay = self._standings.shelf.find(disk_id)
        if bay is None or bay.disk is None or placement_id not in bay.disk.placements():
            return
        if self.is_wanted(placement_id, disk_id):
            return
        try:
            await leave_placement(
                self._standings,
                bay,
                placement_id,
                rate=self._rate,
                stop=lambda: self._ends.is_set() or self.is_wanted(placement_id, disk_id),
            )
        except DrystoneError as error:
            log.warning("disk %s: placement %s cannot be deleted: %s", bay.name, placement_id, error)

    def is_wanted(self, placement_id: str, disk_id: str) -> bool:
        """Whether the newest placement that we know has a copy on the disk, or it is no leftover any more."""
        leftovers = self._standings.atlas.leftovers
        return (placement_id, disk_id) not in leftovers or has_copy(self._standings, placement_id, disk_id)


def has_copy(standings: Standings, placement_id: str, disk_id: str) -> bool:
    """Whether the newest placement that we know has a copy on a disk."""
    known = standings.newest(placement_id)
    return known is not None and any(each.disk_id == disk_id for each in known.members)


async def leave_placement(
    standings: Standings, bay: Bay, placement_id: str, *, rate: float = math.inf, stop: Callable[[], bool]
) -> bool:
    """Delete all that a disk has of a placement, at `rate` bytes a second; False when `stop` said so, or another does
    it. It may take hours; the placement is not held there anew before it has stopped.

    :raises DrystoneError: the disk failed.
    """
    if bay.disk is None or placement_id in standings.sweeping:
        return False
    sweep = asyncio.create_task(bay.run_long(bay.disk.leave, placement_id, rate=rate, stop=stop))
    standings.sweeping[placement_id] = sweep
    sweep.add_done_callback(lambda _: standings.sweeping.pop(placement_id))
    left = await asyncio.shield(sweep)
    if left:
        log.info("disk %s: what was left of placement %s is deleted", bay.name, placement_id)
    return left
