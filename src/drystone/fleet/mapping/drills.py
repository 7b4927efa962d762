"""Restore drills: from time to time a host's newest objects are read back whole, from every copy, and compared.

The mapper picks the host and asks its leader by the answer to a heartbeat; the leader tells what it found
(storage.drills). What was asked for is forgotten with the mapper; results are in the database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from drystone.base.names import new_uuid
from drystone.base.sizes import format_size
from drystone.fleet.documents import Drill, DrillResult, Placement
from drystone.fleet.mapping.audit import name_placement
from drystone.fleet.mapping.model import DrillChange, DrillRecord
from drystone.fleet.mapping.view import SERVING, View

_PATIENCE = 6 * 3600.0
"""Seconds for which a result is waited for."""
_AGAIN = 3600.0
"""Seconds after which a drill that failed is made again at the latest: what it found was mended, mostly."""
_PAUSE = 60.0
"""Seconds until a host is asked about again whose drill could not be made."""
_MOST_BYTES = 10 << 30
_MOST_FINDINGS = 5


@dataclass(frozen=True, slots=True)
class _Asked:
    """A drill that a server is to make. :ivar since: monotonic seconds."""

    drill: Drill
    server: str
    since: float


class Drills:
    """Which drills are asked for, one a server at a time.

    :param make_id: for drills.
    """

    def __init__(self, make_id: Callable[[], str] = new_uuid) -> None:
        self._make_id = make_id
        self._asked: dict[str, _Asked] = {}
        """By their server."""
        self._ordered: dict[str, None] = {}
        """Ids of placements that an operator wants to have drilled, in their order."""
        self._paused: dict[str, float] = {}
        """Placements whose drill could not be made, and until when they are left alone (monotonic seconds)."""

    def order(self, placement_id: str) -> None:
        """Have a placement drilled next, whenever it was the last time."""
        self._ordered[placement_id] = None
        self._paused.pop(placement_id, None)

    def asked_of(self, server: str) -> tuple[Drill, ...]:
        """What a server is to do now."""
        asked = self._asked.get(server)
        return () if asked is None else (asked.drill,)

    def review(self, view: View, wall: float) -> None:
        """Give up what takes too long or is another server's now, and pick what is due.

        :param wall: seconds since 1970.
        """
        placements = view.model.placements
        for server, asked in tuple(self._asked.items()):
            placement = placements.get(asked.drill.placement)
            if placement is None or placement.leader != server or view.now - asked.since > _PATIENCE:
                del self._asked[server]
        self._paused = {id_: until for id_, until in self._paused.items() if until > view.now}
        self._ordered = {id_: None for id_ in self._ordered if id_ in placements}
        best: dict[str, tuple[float, Placement]] = {}
        for due, placement in self._find_due(view, wall):
            known = best.get(placement.leader)
            if known is None or due < known[0]:
                best[placement.leader] = due, placement
        for server, (_, placement) in best.items():
            self._ordered.pop(placement.id, None)
            drill = Drill(self._make_id(), placement.id, view.rules.drill_objects, _MOST_BYTES)
            self._asked[server] = _Asked(drill, server, view.now)

    def _find_due(self, view: View, wall: float) -> Iterator[tuple[float, Placement]]:
        """When each placement was due that is; of servers that have nothing to do. What is ordered comes first."""
        for number, id_ in enumerate(self._ordered):
            if _can_drill(view, view.model.placements[id_]) and view.model.placements[id_].leader not in self._asked:
                yield number - 1e12, view.model.placements[id_]
        if not view.rules.drill:
            return
        for placement in view.model.placements.values():
            if placement.leader in self._asked or placement.id in self._paused:
                continue
            due = due_at(view, placement)
            if due <= wall and _can_drill(view, placement) and _has_objects(view, placement):
                yield due, placement

    def take(self, view: View, result: DrillResult, wall: float) -> list[DrillChange]:
        """What a server found. Nothing when the drill could not be made, or its host has ended."""
        for server, asked in tuple(self._asked.items()):
            if asked.drill.id == result.id:
                del self._asked[server]
        if result.placement not in view.model.placements:
            return []
        if result.reason:
            self._paused[result.placement] = view.now + _PAUSE
            return []
        record = DrillRecord(
            result.placement, wall, not result.findings, result.objects, result.size, spell_result(result)
        )
        return [DrillChange(record, name_placement(view.model.placements[result.placement]))]


def due_at(view: View, placement: Placement) -> float:
    """When a placement is to be drilled the next time, seconds since 1970; 0.0: it never was."""
    record = view.model.drills.get(placement.id)
    if record is None:
        return 0.0
    return record.at + (view.rules.drill if record.passed else min(_AGAIN, view.rules.drill))


def spell_result(result: DrillResult) -> str:
    """`10 objects, 2 MiB, read back whole from s1/data_1 and s2/data_1`, or what was wrong."""
    what = f"{result.objects} object{'' if result.objects == 1 else 's'}, {format_size(result.size)}"
    if not result.findings:
        return f"{what}, read back whole from {' and '.join(result.copies)}"
    more = len(result.findings) - _MOST_FINDINGS
    found = "; ".join(result.findings[:_MOST_FINDINGS]) + (f"; and {more} more" if more > 0 else "")
    return f"{what}: {found}"


def _can_drill(view: View, placement: Placement) -> bool:
    """Whether all copies are there to be read."""
    sound = [each for each in placement.in_sync() if view.state(each) in SERVING]
    return len(sound) >= view.rules.copies and any(each.server == placement.leader for each in sound)


def _has_objects(view: View, placement: Placement) -> bool:
    return any(held.objects for held in view.held_by_placement.get(placement.id, ()))
