"""Which parts of the map changed in which version: so that servers are told what is new to them, and not all of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from drystone.base.names import new_uuid
from drystone.fleet.mapping.model import (
    BucketChange,
    Change,
    FleetChange,
    KeyChange,
    PlacementChange,
    PlacementRemoval,
)

_MOST = 50_000
"""Changes that are remembered; some are a few hundred bytes here."""


@dataclass(slots=True)
class Changed:
    """Names of what changed: ids of placements, names of buckets, access keys."""

    placements: set[str] = field(default_factory=set)
    buckets: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)

    def add(self, change: Change) -> None:
        """Count a change in. Servers and leftovers are few and told whole; the rest is for mappers only."""
        match change:
            case PlacementChange(placement=placement):
                self.placements.add(placement.id)
            case PlacementRemoval(id=id_):
                self.placements.add(id_)
            case BucketChange(bucket=bucket):
                self.buckets.add(bucket.name)
            case KeyChange(key=key):
                self.keys.add(key.access_key)
            case _:
                pass

    def __len__(self) -> int:
        return len(self.placements) + len(self.buckets) + len(self.keys)


class History:
    """The last changes of one model, from the version on that was read from the database.

    :ivar edition: of its own, whoever leads and whatever database is put back: only who has a map of this edition can
        be told differences to it.
    """

    def __init__(self, version: int, make_id: Callable[[], str] = new_uuid) -> None:
        self.edition = make_id()
        self._from = version
        self._changes: deque[tuple[int, Change]] = deque()

    def note(self, changes: Iterable[Change], version: int) -> None:
        """They led to a version. When the map is rebuilt from then on, or no more, all that was told is done with."""
        for change in changes:
            if isinstance(change, FleetChange):
                self._changes.clear()
                self._from = version
                return
            self._changes.append((version, change))
        while len(self._changes) > _MOST:
            self._from, _ = self._changes.popleft()

    def since(self, edition: str, version: int) -> Changed | None:
        """What changed after a version of an edition; None: that is not known."""
        if edition != self.edition or version < self._from:
            return None
        found = Changed()
        for at, change in reversed(self._changes):
            if at <= version:
                break
            found.add(change)
        return found
