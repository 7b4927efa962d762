"""A simulated storage server where it follows: changes that come, promises, and copying from the leader."""

from __future__ import annotations

from drystone.fleet.documents import Placement
from drystone.fleet.replica import Replica
from drystone.testing.fleet.world.shelf import Entry, Shelf
from drystone.testing.fleet.world.surroundings import Peer

_COPY_EVERY = 0.7


class Follower:
    """The following half of a node."""

    def __init__(self, node: Peer) -> None:
        self._node = node
        self._compared: dict[str, int] = {}
        """Placement to the epoch in which it was compared whole."""
        self._floors: dict[str, int] = {}
        """Placement to the number below which the leader has no change under way."""

    def learned(self, placement: Placement) -> None:
        """A newer epoch: what was compared in an older one counts no more."""
        self._compared.pop(placement.id, None)

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
            self._store(replica, shelf, key, Entry(seq, value))
        return True

    def _copying(self, replica: Replica) -> bool:
        member = replica.placement.member(self._node.name)
        return member is not None and member.state == "copying"

    def _store(self, replica: Replica, shelf: Shelf, key: str, entry: Entry) -> None:
        """A removal is remembered while we copy: an older page must not bring the key back."""
        if entry.value or self._copying(replica):
            shelf.entries[key] = entry
        else:
            shelf.entries.pop(key, None)

    def work(self) -> None:
        """Go on with copying; again and again."""
        self._node.later(_COPY_EVERY, self.work)
        for replica in self._node.replicas.values():
            shelf = self._node.shelf(replica.placement)
            if shelf is not None and self._copying(replica):
                self._copy(replica, replica.placement)

    def _copy(self, replica: Replica, placement: Placement) -> None:
        node = self._node

        def tell(_: object) -> None:
            if self._compared.get(placement.id) == placement.epoch:
                node.world.ask(
                    node,
                    placement.leader,
                    lambda other: other.leader.completed(placement.id, placement.epoch, node.name),
                    lambda _: None,
                    lambda: None,
                    2.0,
                )

        def done(answer: object) -> None:
            if replica.placement.epoch == placement.epoch and isinstance(answer, tuple):
                node.later(0.05, lambda: self._compare(replica, placement, answer[0], answer[1]))
                node.later(0.06, lambda: tell(None))

        if self._compared.get(placement.id) == placement.epoch:
            tell(None)
            return
        node.world.ask(
            node,
            placement.leader,
            lambda other: other.leader.page(placement.id, placement.epoch),
            done,
            lambda: None,
            2.0,
        )

    def _compare(self, replica: Replica, placement: Placement, page: dict[str, Entry], as_of: int) -> None:
        """Take over what is newer, remove what is not there any more."""
        shelf = self._node.shelf(replica.placement)
        if shelf is None or replica.placement.epoch != placement.epoch:
            return
        for key, entry in page.items():
            known = shelf.entries.get(key)
            if known is None or entry.seq > known.seq or known.seq <= as_of:
                shelf.entries[key] = entry
        for key in [each for each, entry in shelf.entries.items() if each not in page and entry.seq <= as_of]:
            del shelf.entries[key]
        self._compared[placement.id] = placement.epoch
