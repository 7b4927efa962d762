"""A mapper's database in memory, which can fall silent, forget, and answer wrongly that it did nothing."""

from __future__ import annotations

import copy
import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence

from drystone.base.errors import MismatchError, UnavailableError
from drystone.fleet.documents import Placement
from drystone.fleet.mapping.audit import describe
from drystone.fleet.mapping.database import AuditEntry, Lease, NotLeadingError
from drystone.fleet.mapping.model import Change, FleetChange, Model, PlacementChange, PlacementRemoval


class MemoryDatabase:
    """Satisfies Database. Several mappers may share one.

    :param now: the clock that leases are measured with, seconds.
    :ivar down: whether it answers nothing. :ivar lie: asked at each commit: whether it is done, and then reported as
        not done. :ivar tally: what became of placements, how often.
    """

    def __init__(self, now: Callable[[], float], fleet: str = "fleet") -> None:
        self._now = now
        self.tally: Counter[str] = Counter()
        self.fleet = fleet
        self.down = False
        self.lie: Callable[[], bool] = lambda: False
        self.put_back = False
        """Whether it was put back and no mapper has decided anything since: what it holds is nobody's word yet."""
        self.model = Model(fleet, 1)
        self.lease = Lease(0, "", "")
        self.until = 0.0
        self.entries: list[AuditEntry] = []

    def snapshot(self) -> tuple[Model, Lease]:
        """A copy of everything, to be put back by `restore`."""
        return _copy(self.model), self.lease

    def restore(self, saved: tuple[Model, Lease] | None, *, told: bool = True) -> None:
        """Be as it was then; None: be a new one, which says nothing.

        :param told: and say so, as an operator has to who cannot know that every server will be heard.
        """
        model, lease = saved or (Model(f"{self.fleet}-again", 1), Lease(0, "", ""))
        self.model = _copy(model)
        self.model.recovering = saved is not None and (told or self.model.recovering)
        self.model.led_past.clear()
        self.put_back = True
        self.lease = Lease(lease.term, "", "")
        self.until = 0.0

    def open(self) -> None:
        self._check()

    def close(self) -> None:
        return

    def _check(self) -> None:
        if self.down:
            raise UnavailableError("the database does not answer")

    def take_lease(self, holder: str, url: str, seconds: float) -> Lease:
        self._check()
        now = self._now()
        if self.lease.holder != holder and now < self.until:
            return self.lease
        term = self.lease.term if self.lease.holder == holder else self.lease.term + 1
        self.lease = Lease(term, holder, url)
        self.until = now + seconds
        return self.lease

    def release_lease(self, holder: str) -> None:
        self._check()
        if self.lease.holder == holder:
            self.lease = Lease(self.lease.term, "", "")
            self.until = 0.0

    def raise_term(self, holder: str, term: int) -> None:
        self._check()
        if self.lease.holder != holder:
            raise NotLeadingError(self.lease.url)
        self.lease = Lease(max(term, self.lease.term), holder, self.lease.url)

    def load(self) -> Model:
        self._check()
        return _copy(self.model)

    def commit(self, term: int, version: int, changes: Sequence[Change], at: float) -> int:
        self._check()
        if self.lease.term != term:
            raise NotLeadingError(self.lease.url)
        if self.model.version != version:
            raise MismatchError(f"the map has version {self.model.version} in the database, not {version}")
        for change in changes:
            if isinstance(change, PlacementChange | PlacementRemoval):
                self._compare(change)
        for change in changes:
            if isinstance(change, PlacementChange):
                self._tell_apart(change.placement)
            elif isinstance(change, FleetChange) and self.model.recovering and not change.recovering:
                self.tally["maps rebuilt"] += 1
        self.put_back = False
        self.model.apply(changes, self.model.version + 1)
        self.entries.extend(AuditEntry(at, term, *describe(change)) for change in changes)
        if self.lie():
            raise UnavailableError("the connection to the database broke")
        return self.model.version

    def _tell_apart(self, after: Placement) -> None:
        before = self.model.placements.get(after.id)
        if before is None:
            return
        self.tally["changes of leader"] += before.leader != after.leader
        synced = {each.server for each in before.in_sync()}
        copying = {each.server for each in before.members} - synced
        self.tally["copies completed"] += sum(each.server in copying for each in after.in_sync())
        self.tally["copies given up"] += len(synced - {each.server for each in after.members})
        leading = after.member(after.leader) if after.leader != before.leader else None
        comparing = {each.disk_id for each in before.members if each.state == "comparing"}
        if after.epoch == before.epoch + 1 and leading is not None and leading.disk_id in comparing:
            self.tally["copies that were compared lead"] += 1

    def _compare(self, change: PlacementChange | PlacementRemoval) -> None:
        id_ = change.id if isinstance(change, PlacementRemoval) else change.placement.id
        known = self.model.placements.get(id_)
        if (known.epoch if known is not None else 0) != change.before:
            raise MismatchError(f"placement {id_} is not in epoch {change.before} any more")
        if isinstance(change, PlacementChange) and change.before == 0:
            other = self.model.find(change.placement.namespace, change.placement.host)
            if other is not None:
                raise MismatchError("the host has a placement already")

    def audit(self, limit: int) -> list[AuditEntry]:
        self._check()
        return list(reversed(self.entries))[:limit]


def _copy(model: Model) -> Model:
    """A model that changes by itself; the values in its tables never change."""
    tables = {each.name: copy.copy(getattr(model, each.name)) for each in dataclasses.fields(model)}
    tables["on_disk"] = {disk_id: dict(slots) for disk_id, slots in model.on_disk.items()}
    return Model(**tables)
