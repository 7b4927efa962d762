"""What a server may do for one placement, and when: the rules of docs/explanation/fleet.md as a value that changes.

No I/O: the storage server asks before it acts and makes durable what it learned; the simulation asks the same
questions. Times are seconds of a monotonic clock.
"""

from __future__ import annotations

import msgspec

from drystone.fleet.documents import Member, Placement

PROMISE_SECONDS = 2.0
"""How long a member that promised not to lead keeps to it."""
_EPOCH_SHIFT = 40
LAST_EPOCH = (1 << 63 - _EPOCH_SHIFT) - 1
"""Version numbers have 63 bits."""


def make_seq(epoch: int, count: int) -> int:
    """The version number of the leader's `count`-th change in `epoch`: below 2**63 for epochs up to LAST_EPOCH."""
    return (epoch << _EPOCH_SHIFT) | count


class Replica:
    """One server's part in one placement.

    :param placement: as it was kept. :param server: our own id. :param started: when this process began: promises
        made before are forgotten, so they count as made then.
    """

    def __init__(self, placement: Placement, server: str, *, started: float) -> None:
        self.placement = placement
        self.server = server
        self._promised_until = started + PROMISE_SECONDS
        self._promises: dict[str, float] = {}  # of this epoch, by server: until when

    def learn(self, placement: Placement) -> bool:
        """Take over what a mapper says, if it is newer. Whoever calls makes it durable before acting on it."""
        if placement.id != self.placement.id or placement.epoch <= self.placement.epoch:
            return False
        self.placement = placement
        self._promises.clear()
        return True

    def count_in(self, servers: tuple[str, ...]) -> Placement:
        """Take copying members as in sync from now on, as a leader does before it reports that they caught up.

        The report may arrive when we have restarted or given up on its answer, and then they may be made leaders. So
        whoever calls makes the placement that is returned durable before the report is sent. The epoch stays.
        """
        members = tuple(
            msgspec.structs.replace(each, state="in_sync") if each.server in servers else each
            for each in self.placement.members
        )
        self.placement = msgspec.structs.replace(self.placement, members=members)
        return self.placement

    def leads(self) -> bool:
        """Whether we are the leader in the newest epoch we know."""
        return self.placement.leader == self.server

    def may_write(self, now: float) -> bool:
        """Whether we may take writes: we lead, and what we promised to an earlier leader has run out."""
        return self.leads() and now >= self._promised_until

    def may_read(self, now: float) -> bool:
        """Whether we may read for clients: as for writing, and every other member that may lead promised us not to."""
        return self.may_write(now) and all(
            self._promises.get(each.server, 0.0) > now
            for each in self.placement.complete()
            if each.server != self.server
        )

    def comparing(self) -> tuple[Member, ...]:
        """Other members that compare themselves. Before a key is read they must have what we have of it: they may lead
        next, and what was shown must not be gone then."""
        others = (each for each in self.placement.members if each.server != self.server)
        return tuple(each for each in others if each.state == "comparing")

    def accepts(self, epoch: int, leader: str) -> bool:
        """Whether a change that `leader` sends in `epoch` may be applied here.

        A higher epoch than ours is not accepted either: ask a mapper first, then it is ours.
        """
        return epoch == self.placement.epoch and leader == self.placement.leader and leader != self.server

    def promise(self, epoch: int, leader: str, now: float) -> bool:
        """Promise `leader` of `epoch` not to lead for PROMISE_SECONDS from now; False when we know better."""
        if not self.accepts(epoch, leader):
            return False
        self._promised_until = max(self._promised_until, now + PROMISE_SECONDS)
        return True

    def promised_by(self, server: str, epoch: int, asked: float) -> None:
        """Note the promise of `server`, for `epoch`, that we asked for at `asked` (when we sent, not when it came)."""
        if epoch == self.placement.epoch:
            self._promises[server] = asked + PROMISE_SECONDS
