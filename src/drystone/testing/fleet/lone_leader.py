"""A leader on a disk of its own, with members that are called but do not run: for tests of one server's part.

async with lone_leader(folder) as lone:
    await lone.leader.make(...)
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from drystone.base.errors import DrystoneError, UnavailableError
from drystone.fleet.calls import Answer, Calls, Mappers
from drystone.fleet.disk.changes import Change
from drystone.fleet.documents import FleetMap, Member, Placement, Report, Server
from drystone.fleet.objects import ObjectInfo
from drystone.fleet.storage.atlas import Atlas
from drystone.fleet.storage.leader import Leader
from drystone.fleet.storage.shelf import Shelf
from drystone.fleet.storage.standing import Standing, Standings
from drystone.wire.problems import to_problem

ID = "p1"
_NOBODY = "http://127.0.0.1:9"


class DroppingMappers(Mappers):
    """Drops whomever a leader wants dropped.

    :ivar reports: what was reported. :ivar placement: as it is by then; None: nobody answers.
    :ivar refusal: of reports. :ivar map: that is told; None: none is.
    """

    def __init__(self, calls: Calls) -> None:
        super().__init__(calls, (_NOBODY,))
        self.reports: list[Report] = []
        self.placement: Placement | None = None
        self.refusal: DrystoneError | None = None
        self.map: FleetMap | None = None

    async def call(self, method: str, path: str, document: object = None, **_: Any) -> Answer:
        if path.startswith("/internal/map") and self.map is not None:
            return Answer(200, msgspec.json.encode(self.map), {})
        if not isinstance(document, Report) or self.placement is None:
            raise UnavailableError(f"{method} {path} is not answered here")
        self.reports.append(document)
        if self.refusal is not None:
            return Answer(404, msgspec.json.encode(to_problem(self.refusal, status=404)), {})
        left = tuple(each for each in self.placement.members if each.server not in document.drop)
        self.placement = msgspec.structs.replace(self.placement, epoch=self.placement.epoch + 1, members=left)
        return Answer(200, msgspec.json.encode(self.placement), {})


@dataclass
class LoneLeader:
    """What was made. :ivar standings: of the server `s1`, which leads the placement ID."""

    leader: Leader
    standings: Standings
    mappers: DroppingMappers
    calls: Calls

    @property
    def standing(self) -> Standing:
        """Our copy."""
        return self.standings.lead(ID)

    def with_copying(self, server: str, disk_id: str) -> Placement:
        """The placement in its next epoch, with one more member that copies."""
        known = self.standing.placement
        more = Member(server, "data_1", disk_id, "secondary", "copying")
        return msgspec.structs.replace(known, epoch=known.epoch + 1, members=(*known.members, more))

    async def put(self, key: str, data: bytes) -> ObjectInfo:
        """Put an object as the leader does."""
        disk = self.standing.disk
        body = disk.receive(size=len(data))
        body.write(data)
        sums = body.finish()

        def describe(seq: int) -> Change:
            return Change("put", ID, ObjectInfo(key, len(data), 1.0, sums.md5, sums.digest, seq), seq)

        return await self.leader.make(self.standing, describe, body)


@contextlib.asynccontextmanager
async def lone_leader(folder: Path, *, members: int = 1, url: str = _NOBODY) -> AsyncIterator[LoneLeader]:
    """The leader of a placement with the host `web`, while the block runs.

    :param members: with itself; the others are called at `url`.
    """
    (folder / "data_1").mkdir()
    shelf = Shelf(folder, folder / "state")
    shelf.find_folders()
    assert await shelf.open("f")
    async with Calls("a-secret") as calls:
        mappers = DroppingMappers(calls)
        standings = Standings("s1", Atlas(folder / "state"), shelf, mappers)
        disk = shelf.bays["data_1"].disk
        assert disk is not None
        own = Member("s1", "data_1", disk.identity.disk_id, "primary", "in_sync")
        others = tuple(
            Member(f"s{number}", "data_1", f"disk-{number}", "secondary", "in_sync") for number in range(2, members + 1)
        )
        mappers.placement = Placement(ID, "ns", "web", "web", "shared", 1, "s1", (own, *others))
        servers = tuple(Server(each.server, url) for each in others)
        await standings.learn_map(FleetMap("f", 1, 1, servers=servers, placements=(mappers.placement,)))
        leader = Leader(standings, calls, mappers)
        try:
            yield LoneLeader(leader, standings, mappers, calls)
        finally:
            await leader.end(10.0)
            await shelf.close()
