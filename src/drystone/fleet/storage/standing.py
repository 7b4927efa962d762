"""Our part in each placement, and what was learned of it: durable on the disk before anything is done by it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from drystone.base.errors import DrystoneError, MismatchError, TimedOutError, UnavailableError
from drystone.fleet.calls import Mappers
from drystone.fleet.disk.disk import Disk
from drystone.fleet.documents import FleetMap, Held, Placement, Slot
from drystone.fleet.replica import Replica
from drystone.fleet.storage.atlas import Atlas
from drystone.fleet.storage.failures import ElsewhereError
from drystone.fleet.storage.key_locks import KeyLocks
from drystone.fleet.storage.pulse import Pulse
from drystone.fleet.storage.shelf import Bay, Shelf

log = logging.getLogger(__name__)

_FIRST_EPOCH = 1
_WAIT_SECONDS = 5.0
"""How long a write waits for the right to lead: a promise to an earlier leader runs out within two seconds."""
_LEARN_SECONDS = 2.0
"""How long the disks are waited for when a map was learned; those that take longer keep their part of it later."""


def boot_time() -> float:
    """Seconds since the machine was started, those asleep too: the clock of promises."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class Standing:
    """Our copy of a placement. :ivar bay: where it lies."""

    replica: Replica
    bay: Bay

    @property
    def placement(self) -> Placement:
        """As it is known now."""
        return self.replica.placement

    @property
    def disk(self) -> Disk:
        """:raises UnavailableError: it went away."""
        if self.bay.disk is None:
            raise UnavailableError(f"disk {self.bay.name} cannot be used")
        return self.bay.disk


class Standings:
    """What this server knows and holds.

    :param server: our id. :param mappers: asked when something newer seems to be known elsewhere.
    """

    def __init__(self, server: str, atlas: Atlas, shelf: Shelf, mappers: Mappers) -> None:
        self.server = server
        self.atlas = atlas
        self.shelf = shelf
        self.pulse = Pulse()
        self._mappers = mappers
        self._replicas: dict[str, Replica] = {}
        self._started = boot_time()
        self._learning = asyncio.Lock()
        self._learning_own = KeyLocks()
        self._slow: set[asyncio.Task[None]] = set()
        self._refresh: asyncio.Task[None] | None = None
        self._following: asyncio.Task[None] | None = None
        self.sweeping: dict[str, asyncio.Task[bool]] = {}
        """Placements whose leftovers are being deleted here: one of them is not held anew before that has stopped."""
        self.watchers: set[Callable[[], None]] = set()
        """Called whenever something was learned."""

    async def load(self) -> None:
        """Take what the disks kept. Called when disks were opened."""
        for bay in self.shelf.bays.values():
            if bay.disk is None:
                continue
            for placement in (await bay.run(bay.disk.placements)).values():
                await self.learn_placement(placement)
        await self._learn_all(self.atlas.placements())

    async def learn_map(self, map_: FleetMap) -> None:
        """Take a mapper's map. One of a lower term, or not newer, is passed over.

        What it says of our placements holds once it is durable on their disks; one that hangs is not waited for.
        """
        if (fleet := self.shelf.fleet()) and map_.fleet != fleet:
            # Of a mapper whose database was lost, before it heard of us: taken, it would have us refuse the right one.
            log.info("a map of fleet %s is not taken: the disks belong to %s", map_.fleet, fleet)
            return
        async with self._learning:
            if not await asyncio.to_thread(self.atlas.prepare, map_):
                return
            self.atlas.take(map_)
        await self._learn_all(self.atlas.placements())  # what could not be kept before, too
        self._tell()

    def _tell(self) -> None:
        for each in tuple(self.watchers):
            each()

    async def keep_map(self) -> None:
        """Make durable what was learned of the map; a failure is tried again the next time."""
        async with self._learning:
            try:
                await asyncio.to_thread(self.atlas.keep)
            except OSError as error:
                log.warning("the map cannot be kept: %s", error)

    async def learn_placement(self, placement: Placement) -> None:
        """Take one placement, if it is newer. Durable, where we hold it, when this returns."""
        newer = self.atlas.learn_placement(placement)
        if self._concerns_us(placement):
            await self._learn_own(placement)
        if newer:
            self._tell()

    def _concerns_us(self, placement: Placement) -> bool:
        """Whether it is newer than what we go by, of something that we hold or are to hold."""
        replica = self._replicas.get(placement.id)
        if replica is None:
            return placement.member(self.server) is not None
        return replica.placement.epoch < placement.epoch

    async def _learn_all(self, placements: Iterable[Placement]) -> None:
        """Each on its own, so that a hung disk delays those on it."""
        tasks = {asyncio.create_task(self._learn_own(each)) for each in placements if self._concerns_us(each)}
        if tasks:
            self._slow |= tasks
            for task in tasks:
                task.add_done_callback(self._slow.discard)
            await asyncio.wait(tasks, timeout=_LEARN_SECONDS)

    async def _learn_own(self, placement: Placement) -> None:
        """Keep it on the disk that we hold it on, then go by it."""
        async with self._learning_own.hold(placement.id):
            if self._concerns_us(placement) and await self._keep_own(placement):
                replica = self._replicas.get(placement.id)
                if replica is None:
                    # One that others may have led before: its disk may have come here from a server that promised.
                    since = boot_time() if placement.epoch > _FIRST_EPOCH else self._started
                    self._replicas[placement.id] = Replica(placement, self.server, started=since)
                else:
                    replica.learn(placement)

    async def _keep_own(self, placement: Placement) -> bool:
        """Whether it is durable on the disk that we hold it on, or are to hold it on."""
        own = placement.member(self.server)
        replica = self._replicas.get(placement.id)
        before = replica.placement.member(self.server) if replica is not None else None
        if (sweep := self.sweeping.get(placement.id)) is not None:
            await asyncio.wait({sweep})
        try:
            for member in {each.disk_id: each for each in (before, own) if each is not None}.values():
                bay = self.shelf.find(member.disk_id)
                if bay is not None and bay.disk is not None:
                    await bay.run(_keep, bay.disk, placement, member.slot)
                elif member is own:
                    return False  # learned when the disk is there: `load` comes again
        except MismatchError:
            log.info("placement %s: epoch %d is old for the disk", placement.id, placement.epoch)
            return False
        except (DrystoneError, OSError) as error:
            log.warning("placement %s: epoch %d cannot be kept: %s", placement.id, placement.epoch, error)
            return False
        return True

    async def refresh(self) -> None:
        """Ask a mapper for a newer map; what it knew when this was called is known then.

        A question that is under way may have been answered before: so one more follows it, for all who wait.

        :raises UnavailableError: none answers.
        """
        if self._refresh is None or self._refresh.done():
            self._refresh = asyncio.create_task(self._ask_for_map())
            asked = self._refresh
        else:
            if self._following is None:
                self._following = asyncio.create_task(self._ask_after(self._refresh))
            asked = self._following
        await asyncio.shield(asked)

    async def _ask_after(self, earlier: asyncio.Task[None]) -> None:
        await asyncio.wait({earlier})
        self._refresh, self._following = self._following, None
        await self._ask_for_map()

    async def catch_up(self, term: int, version: int) -> None:
        """Know no older map than somebody who passes a call on to us; what we know must do while no mapper answers."""
        if (self.atlas.term, self.atlas.version) < (term, version):
            with contextlib.suppress(UnavailableError, TimedOutError):
                await self.refresh()

    async def _ask_for_map(self) -> None:
        known = f"newer={self.atlas.version}&edition={self.atlas.edition}"
        answer = await self._mappers.call("GET", f"/internal/map?{known}")
        if answer.status == 200:
            await self.learn_map(answer.document(FleetMap))
        elif answer.status != 204:
            raise answer.error()

    def newest(self, placement_id: str) -> Placement | None:
        """A placement as it is known best."""
        replica = self._replicas.get(placement_id)
        known = [self.atlas.placement(placement_id), replica.placement if replica else None]
        return max((each for each in known if each is not None), key=lambda each: each.epoch, default=None)

    def missed(self, held: Iterable[Held]) -> list[Placement]:
        """Placements that a disk of ours knows in an older epoch than we do, of those that we hold there now."""
        found = []
        for each in held:
            newest = self.newest(each.placement.id)
            own = newest.member(self.server) if newest is not None else None
            if newest is not None and own is not None and own.disk_id == each.disk_id:
                found += [newest] if newest.epoch > each.placement.epoch else []
        return found

    def find(self, placement_id: str) -> Standing | None:
        """Our copy; None when we have none, or its disk cannot be used."""
        replica = self._replicas.get(placement_id)
        own = replica.placement.member(self.server) if replica is not None else None
        bay = self.shelf.find(own.disk_id) if own is not None else None
        return Standing(replica, bay) if replica is not None and bay is not None else None

    def lead(self, placement_id: str) -> Standing:
        """Our copy of a placement that we lead.

        :raises ElsewhereError: another server leads. :raises UnavailableError: we do, but the disk cannot be used.
        """
        replica = self._replicas.get(placement_id)
        if replica is None or not replica.leads():
            raise ElsewhereError(replica.placement if replica else self.atlas.placement(placement_id))
        standing = self.find(placement_id)
        if standing is None:
            raise UnavailableError(f"the disk of placement {placement_id} cannot be used")
        return standing

    async def lead_for_writing(self, placement_id: str) -> Standing:
        """As `lead`, once what we promised to an earlier leader has run out."""
        deadline = boot_time() + _WAIT_SECONDS
        while True:
            standing = self.lead(placement_id)
            if standing.replica.may_write(boot_time()):
                return standing
            if boot_time() > deadline:
                raise UnavailableError("the right to lead is still promised to another server")
            await asyncio.sleep(0.05)

    def own(self) -> Iterable[Standing]:
        """All our copies whose disks can be used."""
        found = (self.find(id_) for id_ in tuple(self._replicas))
        return tuple(each for each in found if each is not None)


def _keep(disk: Disk, placement: Placement, slot: Slot) -> None:
    """Have a disk keep a placement; removals are remembered for as long as somebody copies. In a thread of the disk.

    :raises MismatchError: it knows a newer one.
    """
    disk.hold(placement, slot)
    if len(placement.in_sync()) == len(placement.members):
        disk.forget_removals(placement.id)
