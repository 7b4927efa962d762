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
        """Take what the disks kept. Called when disks were opened; those that come later are looked at before use."""
        self.shelf.before_use = self.leave_older
        for bay in self.shelf.bays.values():
            if bay.disk is None:
                continue
            for placement in (await bay.run(bay.disk.placements)).values():
                await self.learn_placement(placement)
        await self._learn_all(self.atlas.placements())

    def leave_older(self, disk: Disk) -> None:
        """Go no more by what a disk that was put in knows better: it may have been elsewhere, where others led. `load`
        takes what it knows."""
        for placement in disk.placements().values():
            replica = self._replicas.get(placement.id)
            self.atlas.learn_placement(placement)
            if replica is not None and replica.placement.epoch < placement.epoch:
                del self._replicas[placement.id]

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
            before = self.atlas.whole_term
            self.atlas.take(map_)
            if self.atlas.whole_term > before:
                self._leave_overruled()
        await self._learn_all(self.atlas.placements())  # what could not be kept before, too
        self._tell()

    def _leave_overruled(self) -> None:
        """Of what is no copy of ours, go by a new term's map, though we knew something newer: see Atlas.take."""
        disks = self.shelf.disk_ids()
        for id_, replica in tuple(self._replicas.items()):
            known = self.atlas.placement(id_)
            ours = not disks.isdisjoint(each.disk_id for each in replica.placement.members)
            if known is not None and known.epoch < replica.placement.epoch and not ours:
                del self._replicas[id_]

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
        if self._concerns_us(placement, self.shelf.disk_ids()):
            await self._learn_own(placement)
        if newer:
            self._tell()

    def _concerns_us(self, placement: Placement, disks: frozenset[str]) -> bool:
        """Whether it is newer than what we go by, of something that we hold or are to hold.

        :param disks: ids of ours. One that came from another server counts, though the placement says that server.
        """
        replica = self._replicas.get(placement.id)
        if replica is None:
            return any(each.server == self.server or each.disk_id in disks for each in placement.members)
        return replica.placement.epoch < placement.epoch

    async def _learn_all(self, placements: Iterable[Placement]) -> None:
        """Each on its own, so that a hung disk delays those on it."""
        disks = self.shelf.disk_ids()
        tasks = {asyncio.create_task(self._learn_own(each)) for each in placements if self._concerns_us(each, disks)}
        if tasks:
            self._slow |= tasks
            for task in tasks:
                task.add_done_callback(self._slow.discard)
            await asyncio.wait(tasks, timeout=_LEARN_SECONDS)

    async def _learn_own(self, placement: Placement) -> None:
        """Keep it on the disk that we hold it on, then go by it."""
        async with self._learning_own.hold(placement.id):
            if self._concerns_us(placement, self.shelf.disk_ids()) and await self._keep_own(placement):
                replica = self._replicas.get(placement.id)
                if replica is None:
                    # One that others may have led before: its disk may have come here from a server that promised.
                    since = boot_time() if placement.epoch > _FIRST_EPOCH else self._started
                    self._replicas[placement.id] = Replica(placement, self.server, started=since)
                else:
                    replica.learn(placement)

    async def _keep_own(self, placement: Placement) -> bool:
        """Whether it is durable on the disk that we hold it on, or are to hold it on, and on any other of its disks
        that is here."""
        own = placement.member(self.server)
        replica = self._replicas.get(placement.id)
        before = replica.placement.member(self.server) if replica is not None else None
        known = (before, own, *(each for each in placement.members if self.shelf.find(each.disk_id) is not None))
        if (sweep := self.sweeping.get(placement.id)) is not None:
            await asyncio.wait({sweep})
        try:
            for member in {each.disk_id: each for each in known if each is not None}.values():
                bay = self.shelf.find(member.disk_id)
                if bay is not None and bay.disk is not None:
                    await bay.run(_keep, bay.disk, placement, member.slot)
        except MismatchError:
            log.info("placement %s: epoch %d is old for the disk", placement.id, placement.epoch)
            return False
        except (DrystoneError, OSError) as error:
            log.warning("placement %s: epoch %d cannot be kept: %s", placement.id, placement.epoch, error)
            return False
        # Without its disk it is learned when that is there: `load` comes again.
        return own is None or self.shelf.find(own.disk_id) is not None

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

    async def keep_on(self, bay: Bay, disk: Disk, placement: Placement) -> None:
        """Have a disk keep a placement that has a copy there. Durable when this returns.

        :raises DrystoneError: it does not.
        """
        slots = [each.slot for each in placement.members if each.disk_id == disk.identity.disk_id]
        if slots:
            await bay.run(_keep, disk, placement, slots[0])

    def missed(self, held: Iterable[Held]) -> list[Placement]:
        """Placements that a disk of ours knows in an older epoch than we do, of those that have a copy there now."""
        found = []
        for each in held:
            newest = self.newest(each.placement.id)
            if (
                newest is not None
                and newest.epoch > each.placement.epoch
                and any(member.disk_id == each.disk_id for member in newest.members)
            ):
                found.append(newest)
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
