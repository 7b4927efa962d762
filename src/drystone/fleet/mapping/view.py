"""The fleet at one moment, as decisions see it: the database's model, what was seen, the rules, the time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from drystone.fleet.documents import DiskReport, Held, Member, Placement, Slot
from drystone.fleet.mapping.model import Leftover, Model
from drystone.fleet.mapping.rules import Rules
from drystone.fleet.mapping.sightings import Sightings


class DiskState(Enum):
    """What can be expected of a disk.

    GOOD: it is used. DRAINING: used, and to be emptied, as an operator or the disk itself says. UNKNOWN: its server was
    not heard of yet, as this mapper has just begun: nothing is decided about it. AWAY: its server is dead, not for
    long. LOST: for so long that its copies are made anew. BAD: it fails, is missing in a server that lives, or the
    operator says so.
    """

    GOOD = "good"
    DRAINING = "draining"
    UNKNOWN = "unknown"
    AWAY = "away"
    LOST = "lost"
    BAD = "bad"


SERVING = frozenset({DiskState.GOOD, DiskState.DRAINING})
"""A copy there can lead."""
STANDING = frozenset({DiskState.GOOD, DiskState.UNKNOWN, DiskState.AWAY})
"""A copy there counts: none is made in its place."""
PRESENT = frozenset({DiskState.GOOD, DiskState.DRAINING, DiskState.UNKNOWN})
"""A copy there is not given up."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a copy may be put."""

    server: str
    disk: str
    disk_id: str
    slot: Slot

    def member(self, *, in_sync: bool) -> Member:
        """The copy there."""
        return Member(self.server, self.disk, self.disk_id, self.slot, "in_sync" if in_sync else "copying")


class View:
    """Asked by decisions; remembers the states of disks, so it is made anew for each moment.

    :param now: monotonic seconds.
    """

    def __init__(self, model: Model, sightings: Sightings, rules: Rules, now: float) -> None:
        self.model = model
        self.sightings = sightings
        self.rules = rules
        self.now = now
        self._states: dict[tuple[str, str], DiskState] = {}
        self._reserved: dict[str, dict[str, Slot]] = {}

    @cached_property
    def held_by_placement(self) -> dict[str, list[Held]]:
        """Placement id to what disks hold of it."""
        found: dict[str, list[Held]] = {}
        for _, _, held in self.sightings.held():
            found.setdefault(held.placement.id, []).append(held)
        return found

    @cached_property
    def held_by_disk(self) -> dict[str, list[Held]]:
        """Disk id to what it holds."""
        found: dict[str, list[Held]] = {}
        for _, _, held in self.sightings.held():
            found.setdefault(held.disk_id, []).append(held)
        return found

    def copies_on(self, disk_id: str) -> int:
        """How many placements have a member on a disk, or will have one once what was decided is done."""
        return len(self.model.on_disk.get(disk_id, ())) + len(self._reserved.get(disk_id, ()))

    def slot_taken(self, disk_id: str, slot: Slot) -> bool:
        """Whether one of those has the slot."""
        return any(slot in table.get(disk_id, {}).values() for table in (self.model.on_disk, self._reserved))

    def reserve(self, placement: Placement) -> None:
        """Count the members of a placement as being where they will be."""
        for each in placement.members:
            if placement.id not in self.model.on_disk.get(each.disk_id, ()):
                self._reserved.setdefault(each.disk_id, {})[placement.id] = each.slot

    def alive(self, server: str) -> bool:
        """Whether it was heard of lately, or nobody can know yet."""
        return self.sightings.silence(server, self.now) < self.rules.dead

    def fresh(self, server: str) -> bool:
        """Whether it was heard of so lately that it can hardly be dead too.

        When several servers fall silent together, or the mapper is cut off, nobody is deposed or given up: whoever
        comes back first may be the only one that has everything.
        """
        return self.sightings.heard(server) and self.sightings.silence(server, self.now) < self.rules.dead / 2

    def state(self, member: Member) -> DiskState:
        """Of the disk that a copy is on."""
        return self.disk_state(member.server, member.disk_id)

    def disk_state(self, server: str, disk_id: str) -> DiskState:
        """Of a disk that is expected in `server`."""
        key = (server, disk_id)
        found = self._states.get(key)
        if found is None:
            found = self._states[key] = self._find_state(server, disk_id)
        return found

    def _find_state(self, server: str, disk_id: str) -> DiskState:
        record = self.model.disks.get(disk_id)
        if record is not None and record.mark == "bad":
            return DiskState.BAD
        silence = self.sightings.silence(server, self.now)
        if silence >= self.rules.dead:
            return DiskState.LOST if silence >= self.rules.replace else DiskState.AWAY
        if not self.sightings.heard(server):
            return DiskState.UNKNOWN
        report = self.sightings.disk(server, disk_id)
        if report is None or report.health != "good":
            return DiskState.BAD
        to_be_emptied = report.failing or (record is not None and record.mark == "draining")
        return DiskState.DRAINING if to_be_emptied else DiskState.GOOD

    def awaited(self, placement: Placement) -> list[Leftover]:
        """Copies that were given up not so long ago, as their server was silent or did not answer the leader."""
        found = []
        for leftover in self._leftovers.get(placement.id, ()):
            record = self.model.disks.get(leftover.disk_id)
            if record is None:
                continue
            away = self.disk_state(record.server, record.disk_id) is DiskState.AWAY
            if away or self.sightings.paused(placement.id, record.server, self.now):
                found.append(leftover)
        return found

    def given_up(self, placement: Placement) -> list[Leftover]:
        """What is left over of a placement, the newest first."""
        return sorted(self._leftovers.get(placement.id, ()), key=lambda each: -each.since)

    @cached_property
    def _leftovers(self) -> dict[str, list[Leftover]]:
        found: dict[str, list[Leftover]] = {}
        for leftover in self.model.leftovers.values():
            found.setdefault(leftover.placement, []).append(leftover)
        return found

    def good_disks(self) -> Iterator[tuple[str, DiskReport]]:
        """(server, disk) of all that may take new copies."""
        for server, sighting in self.sightings.servers.items():
            for disk_id, report in (sighting.disks or {}).items():
                if self.disk_state(server, disk_id) is DiskState.GOOD:
                    yield server, report

    def signature(self) -> object:
        """Equal at two moments when nothing that decisions depend on has changed in between, but free space."""
        states = tuple(
            (server, disk_id, self.disk_state(server, disk_id))
            for server, sighting in sorted(self.sightings.servers.items())
            for disk_id in sorted(sighting.disks or {})
        )
        silent = tuple(
            (
                server,
                self.alive(server),
                self.fresh(server),
                self.sightings.silence(server, self.now) >= self.rules.replace,
            )
            for server in sorted(self.model.servers)
        )
        pauses = sum(until > self.now for until in self.sightings.pauses.values())
        return self.model.version, states, silent, pauses
