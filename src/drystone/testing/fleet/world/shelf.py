"""What a simulated disk has. All of it is durable."""

from __future__ import annotations

from dataclasses import dataclass, field

from drystone.fleet.documents import Placement
from drystone.fleet.replica import make_seq


@dataclass(frozen=True, slots=True)
class Entry:
    """What a disk has of a key. :ivar value: "" for one that was removed, while that is remembered."""

    seq: int
    value: str


@dataclass(slots=True)
class Shelf:
    """What a disk has of a placement. All of it is durable.

    :ivar count: of the numbers that were given in `count_epoch`. :ivar intents: changes that were begun by the leader.
    :ivar dirty: keys whose state on other members is not known.
    """

    placement: Placement
    entries: dict[str, Entry] = field(default_factory=dict)
    count: int = 0
    intents: set[str] = field(default_factory=set)
    dirty: set[str] = field(default_factory=set)

    def next_seq(self) -> int:
        """A number that was never given before."""
        self.count += 1
        return make_seq(self.placement.epoch, self.count)


@dataclass(slots=True)
class Disk:
    """A disk with its identity."""

    id: str
    name: str
    shelves: dict[str, Shelf] = field(default_factory=dict)
    healthy: bool = True
