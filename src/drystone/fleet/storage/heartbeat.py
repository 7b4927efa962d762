"""Telling the mapper that we live and what our disks are like, every second; and learning the map."""

from __future__ import annotations

import asyncio
import logging
import time

from drystone.base.errors import DrystoneError, UnavailableError
from drystone.fleet.calls import Mappers
from drystone.fleet.disk.disk import Disk
from drystone.fleet.documents import FleetMap, Heartbeat, HeartbeatAnswer, Held
from drystone.fleet.storage.atlas import Atlas
from drystone.fleet.storage.drills import Driller
from drystone.fleet.storage.shelf import Bay, Shelf
from drystone.fleet.storage.standing import Standings

log = logging.getLogger(__name__)

_EVERY = 1.0
_HELD_COPYING = 3
"""The same while we copy: how long it still takes is told from that."""
_LEAST = 0.1
"""Seconds between two looks at the disks."""
_SECONDS = 3.0
_DISK_SECONDS = 1.0
"""How long a disk may take to tell what it holds: one that hangs must not silence the others."""
_HELD_EVERY = 30
"""Heartbeats between two that tell what the disks hold; counts of objects need not be newer."""
_POLL_SECONDS = 20.0


class Reporter:
    """The heartbeats of this server.

    :param driller: makes the drills that a mapper asks for. :param url: where it is called. :param boot: different
        after each start.
    """

    def __init__(self, standings: Standings, mappers: Mappers, driller: Driller, url: str, boot: str) -> None:
        self._standings = standings
        self._driller = driller
        self._mappers = mappers
        self._url = url
        self._boot = boot
        self._began = time.monotonic()
        self._wants_held = True
        self._beats = 0
        self.reached = asyncio.Event()
        """Set once a mapper has answered."""

    @property
    def _atlas(self) -> Atlas:
        return self._standings.atlas

    @property
    def _shelf(self) -> Shelf:
        return self._standings.shelf

    async def run(self) -> None:
        """Send heartbeats for as long as the server runs."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                await self._beat()
            except DrystoneError as error:
                log.warning("no heartbeat: %s", error)
            await asyncio.sleep(max(0.0, began + _EVERY - loop.time()))

    async def watch_disks(self) -> None:
        """Look at the disks, and open those that came, for as long as the server runs."""
        while True:
            await self._shelf.watch()
            if await self._shelf.open(self._atlas.fleet):
                await self._standings.load()
                self._wants_held = True
            await self._standings.keep_map()
            await self._shelf.wait_for_suspicion(_EVERY)
            await asyncio.sleep(_LEAST)

    async def follow_map(self) -> None:
        """Get each newer map as soon as there is one, for as long as the server runs."""
        while True:
            known = self._atlas.term, self._atlas.version
            path = f"/internal/map?newer={self._atlas.version}&edition={self._atlas.edition}&wait={_POLL_SECONDS:g}"
            try:
                answer = await self._mappers.call("GET", path, seconds=_POLL_SECONDS + 5)
                if answer.status == 200:
                    await self._standings.learn_map(answer.document(FleetMap))
                    if (self._atlas.term, self._atlas.version) == known:
                        # One that we do not take (another fleet's, a lower term's) is sent at once, again and again.
                        await asyncio.sleep(_EVERY)
                elif answer.status != 204:
                    raise answer.error()
            except DrystoneError as error:
                log.info("no newer map: %s", error)
                await asyncio.sleep(_EVERY)

    async def _beat(self) -> None:
        held: tuple[Held, ...] | None = None
        told: tuple[str, ...] = ()
        # What is told in a term was so after the term was learned: so the term is looked at first.
        term, version, edition = self._atlas.term, self._atlas.version, self._atlas.edition
        if self._wants_held or self._beats % (_HELD_COPYING if self._is_copying() else _HELD_EVERY) == 0:
            self._wants_held = False
            held, told = await self._collect_held()
        beat = Heartbeat(
            server=self._standings.server,
            url=self._url,
            boot=self._boot,
            map_version=version,
            disks=self._shelf.reports(),
            held=held,
            fleet=self._shelf.fleet(),
            term=term,
            uptime=time.monotonic() - self._began,
            told=told,
            known=self._atlas.account() if held is not None else None,
            edition=edition,
        )
        try:
            answer = await self._mappers.ask("/internal/heartbeat", beat, HeartbeatAnswer, seconds=_SECONDS)
        except DrystoneError:
            self._wants_held = self._wants_held or held is not None
            raise
        self._beats += 1
        self._wants_held = self._wants_held or answer.want_held
        self._driller.take(answer.drills)
        if answer.map is not None:
            await self._standings.learn_map(answer.map)
        self._wants_held = self._wants_held or self._atlas.term != term
        self.reached.set()

    def _is_copying(self) -> bool:
        members = (each.placement.member(self._standings.server) for each in self._standings.own())
        return any(each is not None and each.state != "in_sync" for each in members)

    async def _collect_held(self) -> tuple[tuple[Held, ...], tuple[str, ...]]:
        """What the disks hold, and the ids of those that told. Those that did not are asked again the next time."""
        found: list[Held] = []
        told: list[str] = []

        async def ask(bay: Bay, disk: Disk) -> None:
            try:
                async with asyncio.timeout(_DISK_SECONDS):
                    held = await self._ask_disk(bay, disk)
            except (DrystoneError, TimeoutError) as error:
                log.info("disk %s does not tell what it holds: %s", bay.name, error)
                self._wants_held = True
            else:
                found.extend(held)
                told.append(disk.identity.disk_id)

        bays = self._shelf.bays.values()
        await asyncio.gather(*(ask(bay, bay.disk) for bay in bays if bay.disk is not None))
        return tuple(found), tuple(told)

    async def _ask_disk(self, bay: Bay, disk: Disk) -> tuple[Held, ...]:
        """What a disk holds. One that was away is told first what it missed: we would go by that a moment later, while
        a mapper that rebuilds its map took the disk's word that nothing newer is known.

        :raises UnavailableError: it does not keep what it missed.
        """
        held = await bay.run(disk.held)
        if missed := self._standings.missed(held):
            for placement in missed:
                await self._standings.learn_placement(placement)
                await self._standings.keep_on(bay, disk, placement)  # which we may go by already, with another disk
            held = await bay.run(disk.held)
            if self._standings.missed(held):
                raise UnavailableError(f"disk {bay.name} does not keep newer placements")
        return held
