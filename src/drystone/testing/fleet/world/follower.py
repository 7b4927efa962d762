"""A simulated storage server where it follows: changes that come, promises, and copying from the leader."""

from __future__ import annotations

from drystone.fleet.documents import Placement
from drystone.fleet.replica import Replica
from drystone.testing.fleet.world.shelf import Entry, Page
from drystone.testing.fleet.world.surroundings import Peer, Taker

_COPY_EVERY = 0.7


class Follower:
    """The following half of a node."""

    def __init__(self, node: Peer) -> None:
        self._node = node
        self._compared: dict[str, int] = {}
        """Placement to the epoch in which it was compared whole."""
        self._floors: dict[str, int] = {}
        """Placement to the number below which the leader has no change under way."""
        self._asking: set[str] = set()
        """Placements for which an answer of the leader is waited for."""

    def learned(self, placement: Placement) -> None:
        """A newer epoch: what was compared in an older one counts no more; what is complete remembers no removals."""
        self._compared.pop(placement.id, None)
        shelf = self._node.shelf(placement)
        if shelf is not None and not self._copying(placement):
            shelf.entries = shelf.live()

    def promise(self, placement: Placement, leader: str) -> bool:
        """Promise a leader not to lead. It passes its placement on, if ours is older.

        Without our disk we promise nothing: it may be in another server, which knows of no promise of ours.
        """
        self._node.learn(placement)
        replica = self._node.replicas.get(placement.id)
        if replica is None or self._node.shelf(replica.placement) is None:
            return False
        return replica.promise(placement.epoch, leader, self._node.timeline.time)

    def apply(self, placement: Placement, leader: str, key: str, seq: int, value: str, floor: int) -> object:
        """Make a change durable: True, or the placement that we know better.

        :param floor: the leader has ended all changes with lower numbers: one of those comes too late.
        """
        self._node.learn(placement)
        replica = self._node.replicas.get(placement.id)
        if replica is None:
            return None
        if not replica.accepts(placement.epoch, leader):
            return replica.placement
        shelf = self._node.shelf(replica.placement)
        if shelf is None:
            return None
        if seq < self._floors.get(placement.id, 0) and "late changes are taken" not in self._node.world.mutants:
            return None
        self._floors[placement.id] = max(floor, self._floors.get(placement.id, 0))
        known = shelf.entries.get(key)
        if known is None or seq > known.seq:
            # A removal is remembered while we copy: an older page must not bring the key back.
            shelf.keep(key, Entry(seq, value), remember=self._copying(replica.placement))
        return True

    def has(self, placement: Placement, key: str, found: Entry) -> bool | None:
        """Whether our copy has the same of a key as its leader is about to show; None: it cannot be looked at, or we
        know better than that epoch."""
        self._node.learn(placement)
        replica = self._node.replicas.get(placement.id)
        shelf = self._node.shelf(placement)
        if replica is None or shelf is None or replica.placement.epoch != placement.epoch:
            return None
        own = shelf.find(key)
        if own.value or found.value:
            return own == found
        shelf.removed[key] = max(own.seq, found.seq)
        return True

    def _copying(self, placement: Placement) -> bool:
        member = placement.member(self._node.name)
        return member is not None and member.state != "in_sync"

    def work(self) -> None:
        """Go on with copying; again and again."""
        self._node.later(_COPY_EVERY, self.work)
        for replica in self._node.replicas.values():
            shelf = self._node.shelf(replica.placement)
            if shelf is not None and self._copying(replica.placement):
                self._copy(replica, replica.placement)

    def _copy(self, replica: Replica, placement: Placement) -> None:
        """One call to the leader at a time, as a late page must not undo what a newer one has brought."""
        node = self._node
        if placement.id in self._asking:
            return
        self._asking.add(placement.id)

        def end(_: object = None) -> None:
            self._asking.discard(placement.id)

        def take(page: object) -> None:
            if isinstance(page, Page):
                node.later(0.05, lambda: self._compare(replica, placement, page))
            else:
                end()

        if self._compared.get(placement.id) == placement.epoch:
            self._tell(placement, end)
        else:
            node.world.ask(
                node, placement.leader, lambda other: other.leader.page(placement.id, placement.epoch), take, end, 2.0
            )

    def _tell(self, placement: Placement, end: Taker) -> None:
        """Tell the leader that we have everything."""
        node = self._node

        def complete(other: Peer) -> None:
            other.leader.completed(placement.id, placement.epoch, node.name)

        node.world.ask(node, placement.leader, complete, end, lambda: end(None), 2.0)

    def _compare(self, replica: Replica, placement: Placement, page: Page) -> None:
        """Take over what is newer, remove what is not there any more."""
        self._asking.discard(placement.id)
        shelf = self._node.shelf(replica.placement)
        if shelf is None or replica.placement.epoch != placement.epoch:
            return
        for key, entry in page.entries.items():
            known = shelf.entries.get(key)
            if known is None or entry.seq > known.seq or known.seq <= page.as_of:
                shelf.entries[key] = entry
        gone = [key for key, entry in shelf.entries.items() if key not in page.entries and entry.seq <= page.as_of]
        for key in gone:
            del shelf.entries[key]
        for key, seq in page.removed.items():
            if key in gone or shelf.removed.get(key, 0) <= page.as_of:
                shelf.removed[key] = seq
        self._compared[placement.id] = placement.epoch
        self._copy(replica, placement)
