"""What a simulated disk has. All of it is durable."""

from __future__ import annotations

from dataclasses import dataclass, field

from drystone.fleet.documents import Placement
from drystone.fleet.replica import make_seq


@dataclass(frozen=True, slots=True)
class Entry:
    """What there is of a key. :ivar value: "" for one that was removed."""

    seq: int
    value: str


@dataclass(slots=True)
class Shelf:
    """What a disk has of a placement. All of it is durable.

    :ivar count: of the numbers that were given in `count_epoch`. :ivar intents: changes that were begun by the leader.
    :ivar dirty: keys whose state on other members is not known. :ivar removed: of keys that are not there, the number
        that they were removed with: for the checks alone, no rule may look at it.
    """

    placement: Placement
    entries: dict[str, Entry] = field(default_factory=dict)
    count: int = 0
    intents: set[str] = field(default_factory=set)
    dirty: set[str] = field(default_factory=set)
    removed: dict[str, int] = field(default_factory=dict)

    def keep(self, key: str, entry: Entry, *, remember: bool) -> None:
        """Take a key over. :param remember: keep a removal as an entry, so that an older page brings nothing back."""
        if entry.value or remember:
            self.entries[key] = entry
        else:
            self.entries.pop(key, None)
        if not entry.value:
            self.removed[key] = entry.seq

    def find(self, key: str) -> Entry:
        """What a read shows; for nothing its value is "", and its number that of the removal, 0 when there was none."""
        known = self.entries.get(key)
        if known is not None and known.value:
            return known
        return Entry(max(known.seq if known is not None else 0, self.removed.get(key, 0)), "")

    def live(self) -> dict[str, Entry]:
        """What is there, without removals that are remembered."""
        return {key: entry for key, entry in self.entries.items() if entry.value}

    def next_seq(self) -> int:
        """A number that was never given before."""
        self.count += 1
        return make_seq(self.placement.epoch, self.count)


@dataclass(frozen=True, slots=True)
class Page:
    """All that a leader has of a placement. :ivar as_of: the number up to which that is complete."""

    entries: dict[str, Entry]
    removed: dict[str, int]
    as_of: int


@dataclass(slots=True)
class Disk:
    """A disk with its identity."""

    id: str
    name: str
    shelves: dict[str, Shelf] = field(default_factory=dict)
    healthy: bool = True

    def open(self) -> None:
        """After a start, or when it comes back: what is undecided is taken back, and its keys are dirty."""
        self.healthy = True
        for shelf in self.shelves.values():
            shelf.dirty |= shelf.intents
            shelf.intents.clear()
