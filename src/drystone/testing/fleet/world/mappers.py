"""Mappers in a simulated fleet: the real class, in a process that can end, hang and be cut off."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence

import msgspec

from drystone.base.errors import DrystoneError
from drystone.fleet.documents import Heartbeat, Report
from drystone.fleet.mapping.database import NotLeadingError
from drystone.fleet.mapping.mapper import Mapper
from drystone.fleet.mapping.model import Change, PlacementChange
from drystone.fleet.mapping.rebuild import find_newer
from drystone.testing.fleet.world.surroundings import Surroundings
from drystone.testing.fleet.world.time import Host

_TICK = 0.5


class MapperHost(Host):
    """A mapper's process."""

    def __init__(self, name: str, world: Surroundings) -> None:
        super().__init__(name, world.timeline)
        self.world = world
        self.mapper = self._make()
        self._run()

    def _make(self) -> Mapper:
        kind = MutantMapper if self.world.mutants else Mapper
        return kind(
            self.world.database,
            self.world.rules,
            self.world.timeline,
            id=f"{self.name}-{self.generation}",
            url=self.name,
            make_id=self.world.make_id,
            leap=lambda: self.world.random.randrange(1000),
        )

    def start(self) -> None:
        """It is started again."""
        self.generation += 1
        self.up = True
        self.mapper = self._make()
        self._run()

    def stop(self) -> None:
        """The process ends at once."""
        self.up = False

    def _run(self) -> None:
        if isinstance(self.mapper, MutantMapper):
            self.mapper.mutants = self.world.mutants
        self.later(self.world.random.uniform(0, _TICK), self._tick)

    def _tick(self) -> None:
        self.later(_TICK, self._tick)
        with contextlib.suppress(DrystoneError, NotLeadingError):
            self.mapper.tick()

    def take(self, method: str, document: object) -> object:
        """A request: the answer, the leader's name in a tuple, or None when it failed."""
        try:
            if method == "heartbeat":
                assert isinstance(document, Heartbeat)
                return self.mapper.heartbeat(document)
            assert isinstance(document, Report)
            return self.mapper.report(document)[0]
        except NotLeadingError as error:
            return (error.url,)
        except DrystoneError:
            return None


class MutantMapper(Mapper):
    """A mapper that breaks a rule, so that a test can see that it is found."""

    mutants: frozenset[str] = frozenset()

    def commit(self, changes: Sequence[Change]) -> None:
        """Keep others in sync when the leader changes, if that is the mutant."""
        if "others stay in sync" in self.mutants:
            changes = [self._keep_in_sync(each) for each in changes]
        super().commit(changes)

    def _keep_in_sync(self, change: Change) -> Change:
        if not isinstance(change, PlacementChange):
            return change
        before = self.model.placements.get(change.placement.id)
        if before is None or before.leader == change.placement.leader:
            return change
        synced = {each.server for each in before.in_sync()}
        members = tuple(
            msgspec.structs.replace(each, state="in_sync") if each.server in synced else each
            for each in change.placement.members
        )
        return dataclasses.replace(change, placement=msgspec.structs.replace(change.placement, members=members))

    def _recover(self) -> None:
        """Take over what is known, whoever is missing, if that is the mutant."""
        if "rebuilt without a missing member" not in self.mutants:
            super()._recover()
            return
        changes: list[Change] = []
        for placement in find_newer(self.view()).values():
            known = self.model.find(placement.namespace, placement.host)
            if known is None or known.id == placement.id:
                after = msgspec.structs.replace(placement, epoch=placement.epoch + 1000)
                changes.append(PlacementChange(after, known.epoch if known else 0, "as some disk knows it"))
        self.commit(changes)
