"""A simulated storage server where it leads: writes, reads, promises, dirty keys, and what it reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from drystone.fleet.documents import Placement, Report
from drystone.fleet.replica import Replica, make_seq
from drystone.fleet.storage.pulse import Pulse
from drystone.testing.fleet.world.history import Operation
from drystone.testing.fleet.world.shelf import Entry, Page
from drystone.testing.fleet.world.surroundings import Peer

_PROMISE_EVERY = 0.5
_MEMBER_SECONDS = 1.0
_FLOOR_EVERY = 0.05
_DISK_SECONDS = 0.004
_SLOW_READS = 0.05
"""How many reads take up to 4 seconds of the disk."""


@dataclass(slots=True)
class Change:
    """One that is under way.

    :ivar disk_id: of the leader's copy, where its intent is.
    :ivar answered: members that have it. :ivar asked: those that it was sent to, with the epoch that it was sent in.
    :ivar repeated: it may have been sent twice in one.
    """

    placement: str
    key: str
    value: str
    seq: int
    operation: Operation | None
    reply: Callable[[object], None]
    epoch: int
    disk_id: str
    answered: set[str] = field(default_factory=set)
    asked: set[tuple[str, int]] = field(default_factory=set)
    reporting: bool = False
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """An answer that says no."""

    reason: str


class Leader:
    """The leading half of a node."""

    def __init__(self, node: Peer) -> None:
        self._node = node
        self._changes: dict[tuple[str, str], Change] = {}
        self._pulse = Pulse()
        self._dropping: set[str] = set()
        """Placements of which silent members are reported."""
        self._given_up: dict[tuple[str, str], int] = {}
        """Numbers of changes that members may still make: they were on their way, or sent twice, when they ended."""

    def idle(self, id_: str) -> bool:
        """Whether no change of a placement is under way."""
        return not self._under_way(id_)

    def work(self) -> None:
        """Ask for promises, mend dirty keys; again and again."""
        self._node.later(_PROMISE_EVERY, self.work)
        for replica in self._node.replicas.values():
            if replica.leads():
                self._ask_promises(replica)
                self._mend(replica)

    def _ask_promises(self, replica: Replica) -> None:
        node, world = self._node, self._node.world
        placement = replica.placement
        for member in placement.complete():
            if member.server == node.name:
                continue
            asked, limit = node.timeline.time, self._pulse.limit(member.server)

            def done(answer: object, server: str = member.server, asked: float = asked) -> None:
                self._pulse.answered(server)
                if answer is True:
                    late = "promise from its arrival" in world.mutants
                    replica.promised_by(server, placement.epoch, node.timeline.time if late else asked)

            world.ask(
                node,
                member.server,
                lambda other: other.follower.promise(placement, node.name),
                done,
                partial(self._unanswered, member.server, asked, limit),
                limit,
            )

    def _unanswered(self, server: str, asked: float, limit: float) -> None:
        self._pulse.failed(server, asked, self._node.timeline.time, limit)

    def _drop_silent(self, replica: Replica) -> None:
        """Have members dropped for whose promises a read would wait in vain."""
        node, placement = self._node, replica.placement
        others = (each.server for each in placement.complete() if each.server != node.name)
        silent = tuple(each for each in others if self._pulse.is_silent(each, node.timeline.time))
        if not silent or placement.id in self._dropping or not replica.leads() or node.shelf(placement) is None:
            return
        self._dropping.add(placement.id)

        def done(answer: object) -> None:
            self._dropping.discard(placement.id)
            if isinstance(answer, Placement):
                node.learn(answer)

        report = Report(placement.id, placement.epoch, node.name, drop=silent)
        node.world.ask_mapper(node, "report", report, done, lambda: done(None))

    def _may_write(self, id_: str) -> Replica | None:
        replica = self._node.replicas.get(id_)
        if replica is None or not replica.may_write(self._node.timeline.time):
            return None
        return replica if self._node.shelf(replica.placement) is not None else None

    def _under_way(self, id_: str) -> list[int]:
        """Numbers of the changes of a placement that have not ended."""
        return [each.seq for each in self._changes.values() if each.placement == id_]

    # Writes

    def write(
        self, id_: str, key: str, value: str | None, operation: Operation | None, reply: Callable[[object], None]
    ) -> None:
        """Change a key; None: tell its present state to all members, under a new number.

        An operation "create" is refused where there is something.
        """
        replica = self._may_write(id_)
        if replica is None or (id_, key) in self._changes:
            reply(Failure("not now"))
            return
        shelf = self._node.shelf(replica.placement)
        assert shelf is not None, "looked at"
        known = shelf.find(key)
        if value is None:
            value = known.value
        elif known.value and operation is not None and operation.kind == "create":
            reply(Failure("there is something"))
            return
        if operation is not None:
            operation.times += 1
        seq = shelf.next_seq()
        if not value:
            self._node.world.history.removals.setdefault((replica.placement.host, key), set()).add(seq)
        shelf.intents.add(key)
        own = replica.placement.member(self._node.name)
        assert own is not None, "we lead"
        change = Change(id_, key, value, seq, operation, reply, replica.placement.epoch, own.disk_id)
        self._changes[id_, key] = change
        self._node.later(_DISK_SECONDS, lambda: self._spread(change))

    def _current(self, change: Change) -> bool:
        return self._changes.get((change.placement, change.key)) is change

    def _spread(self, change: Change) -> None:
        """Ask every member that has not got it, or finish."""
        if not self._current(change):
            return
        node = self._node
        replica = node.replicas[change.placement]
        placement = replica.placement
        if not replica.leads():
            self._give_up(change, "deposed")
            return
        if self._must_wait(change):
            node.later(_FLOOR_EVERY, lambda: self._spread(change))
            return
        change.epoch = placement.epoch
        wanted = self._wanted(placement) - change.answered
        if not wanted:
            node.later(_DISK_SECONDS, lambda: self._finish(change))
        for server in sorted(wanted):  # a set has another order in each process
            self._ask_member(change, placement, server)

    def _must_wait(self, change: Change) -> bool:
        """Whether members would not be told to refuse the change of the same key that was given up before."""
        if "a key that was given up does not wait" in self._node.world.mutants:
            return False
        return min(self._under_way(change.placement)) <= self._given_up.get((change.placement, change.key), 0)

    def _wanted(self, placement: Placement) -> set[str]:
        """Members whose answer is waited for."""
        if "acknowledged without copying members" in self._node.world.mutants:
            return {each.server for each in placement.in_sync()} - {self._node.name}
        return {each.server for each in placement.members} - {self._node.name}

    def _ask_member(self, change: Change, placement: Placement, server: str) -> None:
        node = self._node
        epoch = placement.epoch
        floor = min(self._under_way(placement.id))
        change.repeated = change.repeated or node.world.network.double > 0 or (server, epoch) in change.asked
        change.asked.add((server, epoch))

        def done(answer: object) -> None:
            if not self._current(change):
                return
            if answer is True:
                change.answered.add(server)
                if change.epoch == epoch:
                    self._finish_if_done(change)
            elif isinstance(answer, Placement) and answer.epoch > epoch:
                node.learn(answer)
                if self._current(change) and node.replicas[change.placement].placement.epoch == epoch:
                    self._give_up(change, "our own disk does not work")
            else:
                failed()

        def failed() -> None:
            if self._current(change) and change.epoch == epoch and not change.reporting:
                self._report_missing(change, server)

        node.world.ask(
            node,
            server,
            lambda other: other.follower.apply(placement, node.name, change.key, change.seq, change.value, floor),
            done,
            failed,
            _MEMBER_SECONDS,
        )

    def _finish_if_done(self, change: Change) -> None:
        placement = self._node.replicas[change.placement].placement
        if change.epoch == placement.epoch and not self._wanted(placement) - change.answered:
            self._finish(change)

    def _report_missing(self, change: Change, server: str) -> None:
        """Have a member dropped; without a mapper's word the change is not acknowledged."""
        if self._node.shelf(self._node.replicas[change.placement].placement) is None:
            self._give_up(change, "our own disk does not work")
            return
        change.reporting = True

        def done(answer: object) -> None:
            change.reporting = False
            if isinstance(answer, Placement):
                self._node.learn(answer)
            if self._current(change) and change.epoch == self._node.replicas[change.placement].placement.epoch:
                self._give_up(change, "not dropped")

        report = Report(change.placement, change.epoch, self._node.name, drop=(server,))
        self._node.world.ask_mapper(self._node, "report", report, done, lambda: done(None))

    def _finish(self, change: Change) -> None:
        """Make it durable at its own place, and acknowledge."""
        if not self._current(change):
            return
        node = self._node
        replica = node.replicas[change.placement]
        shelf = node.shelf(replica.placement)
        if shelf is None or not replica.leads() or change.epoch != replica.placement.epoch:
            self._spread(change)
            return
        shelf.keep(change.key, Entry(change.seq, change.value), remember=False)
        shelf.intents.discard(change.key)
        shelf.dirty.discard(change.key)
        del self._changes[change.placement, change.key]
        self._given_up.pop((change.placement, change.key), None)
        if change.repeated and "repeats are not noted" not in node.world.mutants:
            self._given_up[change.placement, change.key] = change.seq
        if change.operation is not None:
            node.world.history.acknowledged(change.placement, change.epoch, node.name)
        change.reply(Entry(change.seq, change.value))

    def _give_up(self, change: Change, reason: str) -> None:
        """Take the intent back; the key is dirty."""
        self._given_up[change.placement, change.key] = change.seq
        del self._changes[change.placement, change.key]
        shelf = self._node.shelf(self._node.replicas[change.placement].placement)
        if shelf is not None:
            shelf.intents.discard(change.key)
            shelf.dirty.add(change.key)
        change.reply(Failure(reason))

    def _mend(self, replica: Replica) -> None:
        shelf = self._node.shelf(replica.placement)
        for key in sorted(shelf.dirty) if shelf is not None else ():
            self.write(replica.placement.id, key, None, None, lambda _: None)

    def learned(self, placement: Placement) -> None:
        """A newer epoch: changes under way go on in it, or end."""
        own = placement.member(self._node.name)
        for change in [each for each in self._changes.values() if each.placement == placement.id]:
            if placement.leader != self._node.name:
                self._give_up(change, "deposed")
            elif own is None or own.disk_id != change.disk_id:
                self._give_up(change, "we lead with another disk")
            else:
                self._spread(change)

    def leave(self, id_: str) -> None:
        """A placement is led by others, as a disk knows: changes under way end."""
        for change in [each for each in self._changes.values() if each.placement == id_]:
            self._give_up(change, "deposed")

    # Reads

    def read(self, id_: str, key: str, reply: Callable[[object], None]) -> None:
        """Look a key up, once members that compare themselves have the same of it; and then whether we may say so."""
        replica = self._node.replicas.get(id_)
        if replica is None:
            reply(Failure("not known"))
            return
        placement, epoch = replica.placement, replica.placement.epoch
        comparing = [each.server for each in replica.comparing()]
        if not comparing or "what is compared is read" in self._node.world.mutants:
            self._look(replica, epoch, key, reply)
            return
        same: set[str] = set()

        def take(server: str, answer: object) -> None:
            if answer is True:
                same.add(server)
                if len(same) == len(comparing):
                    self._look(replica, epoch, key, reply)
            elif answer is False:
                self.write(id_, key, None, None, settled)
            else:
                failed()

        def settled(answer: object) -> None:
            if isinstance(answer, Entry):
                self._look(replica, epoch, key, reply)
            else:
                reply(answer)

        def failed() -> None:
            self._drop_silent(replica)
            reply(Failure("a member that compares itself does not answer"))

        shelf = self._node.shelf(replica.placement)
        found = shelf.find(key) if shelf is not None else Entry(0, "")
        for server in comparing:
            self._node.world.ask(
                self._node,
                server,
                lambda other: other.follower.has(placement, key, found),
                partial(take, server),
                failed,
                _MEMBER_SECONDS,
            )

    def _look(self, replica: Replica, epoch: int, key: str, reply: Callable[[object], None]) -> None:
        """What there is of a key, if `epoch` lasts until we know that we may say so."""
        shelf = self._node.shelf(replica.placement)
        found = None if shelf is None else shelf.find(key)

        def tell() -> None:
            mutants = self._node.world.mutants
            if "no promises" in mutants:
                allowed = replica.may_write(self._node.timeline.time)
            else:  # in another epoch by now: what was looked up may have been old
                allowed = replica.may_read(self._node.timeline.time) and replica.placement.epoch == epoch
            if not allowed:
                self._drop_silent(replica)
            reply(found if allowed and found is not None else Failure("may not read"))

        random = self._node.world.random
        slow = random.random() < _SLOW_READS
        self._node.later(random.uniform(0.0, 4.0) if slow else _DISK_SECONDS, tell)

    # Copying, as the source

    def page(self, id_: str, epoch: int) -> Page | None:
        """All that is there; None: ask again."""
        replica = self._node.replicas.get(id_)
        if replica is None or not replica.may_write(self._node.timeline.time) or replica.placement.epoch != epoch:
            return None
        shelf = self._node.shelf(replica.placement)
        if shelf is None:
            return None
        under_way = self._under_way(id_)
        if any(seq >> 40 < epoch for seq in under_way):
            return None
        as_of = min([make_seq(epoch, shelf.count) + 1, *under_way]) - 1
        return Page(shelf.live(), dict(shelf.removed), as_of)

    def completed(self, id_: str, epoch: int, server: str) -> None:
        """A member has compared everything: report it as in sync."""
        replica = self._node.replicas.get(id_)
        if replica is None or not replica.may_write(self._node.timeline.time) or replica.placement.epoch != epoch:
            return
        if self._node.shelf(replica.placement) is None:  # nothing can be counted in durably
            return
        self._node.count_in(id_, (server,))

        def done(answer: object) -> None:
            if isinstance(answer, Placement):
                self._node.learn(answer)

        report = Report(id_, epoch, self._node.name, in_sync=(server,))
        self._node.world.ask_mapper(self._node, "report", report, done, lambda: None)
