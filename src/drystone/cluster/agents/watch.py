"""The watcher of an ihost: when a leg fails, the smaller in-sync set is recorded first, and the mirrors swapped second.
When the kernel says that all regions of a mirror are copied, the larger set is recorded.

In between dm-mirror holds its writes: what was acknowledged is on every leg of the recorded set at every moment. While
the record cannot be reached, or refuses (no leg would be left), writes stay held, and it is tried again.

Events are the kernel's counters, read all at once (DM_LIST_DEVICES) a few times a second: that never waits for a disk,
loses none, and can be ended. It runs in a thread of its own, as a call may hang until a mirror is swapped. A lost
session may be long in ending, so that is done in another thread: the legs of other dlvs fail at the same time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from threading import Event, Thread
from typing import Protocol

from drystone.base.errors import BusyError, DrystoneError, MismatchError, RefusedError
from drystone.cluster.agents.devices import Devices
from drystone.cluster.agents.failures import Failures
from drystone.cluster.agents.ihost import IhostAgent
from drystone.cluster.agents.volume_note import legs_of_mirrors
from drystone.cluster.model.calls import VolumeWish

log = logging.getLogger(__name__)

PAUSE = 0.2
"""Seconds between two looks."""
_LONGEST_WAIT = 16
"""Looks that are passed, at most, before a dlv in trouble is attended to again."""


class Record(Protocol):
    """Where in-sync sets are recorded: the cluster's API."""

    def shrink(self, wish: VolumeWish, lost: Collection[str]) -> VolumeWish:
        """Record that legs are in no set any more; durable when it returns. What the ihost is to have then.

        :param wish: that the legs were lost under. What is recorded by now may be newer: then that is the answer.
        :raises RefusedError: a set would be empty; fact `legs`: it. :raises DrystoneError: nothing is known; ask again.
        """

    def grow(self, wish: VolumeWish, copied: Collection[str]) -> VolumeWish:
        """Record that legs hold all there is; those that were in their sets already stay so. Answers as `shrink`.

        :raises DrystoneError: nothing is known; ask again.
        """


class Watcher:
    """Looks at the mirrors of an agent. The constructor has no effects."""

    def __init__(self, agent: IhostAgent, devices: Devices, record: Record) -> None:
        self._agent = agent
        self._devices = devices
        self._record = record
        self._seen: dict[str, int] = {}
        self._troubled: dict[str, tuple[int, int]] = {}
        """Looks to pass before the next try, and the number of them that it was last."""
        self._unfinished: dict[str, VolumeWish] = {}
        """What was recorded, and of which the mirrors alone are as it says yet."""
        self._told: dict[str, tuple[int, tuple[str, ...]]] = {}
        """The epoch, and the legs of it that the record knows to be copied."""

    def run(self, stop: Event, pause: float = PAUSE) -> None:
        """Look again and again until `stop` is set. What may wait is done in a thread beside."""
        finishing = Thread(target=self._run_finishing, args=(stop, pause), daemon=True)
        finishing.start()
        _repeat(self.look, stop, pause)

    def _run_finishing(self, stop: Event, pause: float) -> None:
        _repeat(self.finish, stop, pause)

    def finish(self) -> None:
        """Carry out the rest of what was recorded: log out of the legs that are not in use any more. It may wait."""
        for dlv, wish in [*self._unfinished.items()]:
            try:
                self._agent.put(wish, patience=0)
            except MismatchError:  # a newer one was taken, and is carried out by who brought it
                log.info("dlv %s went on", dlv)
            except BusyError:  # an earlier call is under way: several times a second that is nothing to tell
                continue
            except (DrystoneError, OSError) as error:
                log.warning("dlv %s: %s", dlv, error)
                continue
            if self._unfinished.get(dlv) is wish:
                del self._unfinished[dlv]

    def look(self) -> None:
        """Look once: at the dlvs of which a device had an event since the last look, and at those in trouble."""
        seen = {entry.uuid: entry.event_nr for entry in self._devices.entries()}
        changed = {uuid for uuid, number in seen.items() if self._seen.get(uuid) != number}
        self._seen = seen
        due = self._agent.find_dlvs(changed)
        for dlv, (left, length) in self._troubled.items():
            if left == 0:
                due.add(dlv)
            self._troubled[dlv] = (left - 1, length)
        for dlv in sorted(due):
            try:
                is_well = self._attend(dlv)
            except (DrystoneError, OSError) as error:  # its writes are held: a later look tries again
                log.warning("dlv %s: %s", dlv, error)
                is_well = False
            if is_well:
                self._troubled.pop(dlv, None)
            else:
                length = min(2 * self._troubled.get(dlv, (0, 0))[1] + 1, _LONGEST_WAIT)
                self._troubled[dlv] = (length - 1, length)

    def _attend(self, dlv: str) -> bool:
        """Whether there is nothing more to do. After a swap that is for the next look to say."""
        wish, lost = self._agent.find_lost(dlv)
        if lost:
            log.info("dlv %s lost legs %s in epoch %d", dlv, ", ".join(lost), wish.epoch)
            self._shrink(wish, lost)
            return False
        wish, copied = self._agent.find_copied(dlv)
        if not copied or self._told.get(dlv) == (wish.epoch, copied):
            return True
        larger = self._record.grow(wish, copied)
        self._told[dlv] = (wish.epoch, copied)
        if larger.epoch > wish.epoch:
            self._carry_out(larger)
        return True

    def _shrink(self, wish: VolumeWish, lost: Collection[str]) -> None:
        """Give up legs: all at once, or where that is refused mirror by mirror, so that those go on that can.

        :raises DrystoneError: of the first that could not.
        """
        try:
            smaller = self._record.shrink(wish, lost)
        except RefusedError as error:
            mirrors = [legs for legs in legs_of_mirrors(wish) if not set(lost).isdisjoint(legs)]
            if not mirrors or (len(mirrors) == 1 and not _is_of_last(error)):
                raise
        else:
            self._carry_out(smaller)
            return
        failures = Failures()
        for legs in mirrors:
            with failures.kept():
                wish = self._shrink_mirror(wish, legs, lost)
                self._carry_out(wish)
        failures.tell()

    def _shrink_mirror(self, wish: VolumeWish, legs: Collection[str], lost: Collection[str]) -> VolumeWish:
        """Give up the legs of one mirror. Where they are all of its set, what they are copied to is given up instead:
        the kernel calls them failed, and holds their writes, until the table is swapped, also once they are back.
        """
        others = tuple(leg for leg in legs if leg not in lost)
        try:
            return self._record.shrink(wish, tuple(leg for leg in legs if leg in lost))
        except RefusedError as error:
            if not others or not _is_of_last(error):
                raise
        return self._record.shrink(wish, others)

    def _carry_out(self, wish: VolumeWish) -> None:
        log.info("dlv %s is recorded in epoch %d", wish.dlv, wish.epoch)
        try:
            self._agent.put_recorded(wish)
        finally:
            self._unfinished[wish.dlv] = wish
        log.info("dlv %s has its mirrors as recorded in epoch %d", wish.dlv, wish.epoch)


def _is_of_last(error: RefusedError) -> bool:
    """Whether legs are not given up because they are the last of their set, see `in_sync.shrink`."""
    return "legs" in error.facts


def _repeat(step: Callable[[], None], stop: Event, pause: float) -> None:
    """The supervisor of the watcher's two threads: one that ended would leave writes held for good."""
    while not stop.wait(pause):
        try:
            step()
        except Exception:  # whatever it is, the next look may get further
            log.exception("a look at the mirrors failed")
