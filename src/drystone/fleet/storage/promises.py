"""The right to read: promises of the other members that may lead not to, renewed twice a second. Rules: replica.py."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from drystone.base.errors import DrystoneError, TimedOutError, UnavailableError
from drystone.fleet.calls import Calls
from drystone.fleet.replica import PROMISE_SECONDS
from drystone.fleet.storage.members import Ask, AskPromises, Learn, Promises
from drystone.fleet.storage.standing import Standing, Standings, boot_time

log = logging.getLogger(__name__)

Found = TypeVar("Found")
Drop = Callable[[str, dict[str, str]], Awaitable[None]]
"""Has members (ids of servers, with why) dropped from a placement."""
Agree = Callable[[], Awaitable[bool]]
"""Has members that compare themselves have what is to be looked at as we have it; False: it is tried again."""

PATH = "/internal/members/promise"
LEARN_PATH = "/internal/members/learn"
_EVERY = 0.5


class Promiser:
    """Asks for promises, and gives them. :ivar standings: what we know and hold.

    :param patience: seconds for which a read waits for the right to read.
    """

    def __init__(self, standings: Standings, calls: Calls, *, patience: float) -> None:
        self.standings = standings
        self._patience = patience
        self._calls = calls
        self._asking: dict[str, asyncio.Task[None]] = {}

    # ------------------------------------------------------------------ as a leader

    async def reading(
        self, standing: Standing, look: Callable[[], Awaitable[Found]], drop: Drop, agree: Agree | None = None
    ) -> Found:
        """What `look` finds on the disk, when we had the right to read at a moment after that.

        :param drop: has the members dropped that are silent: then their promise is not needed. :param agree: comes
            before each look.
        :raises ElsewhereError: another server leads. :raises UnavailableError: a member does not promise.
        """
        id_ = standing.placement.id
        deadline = boot_time() + self._patience
        while True:
            epoch = self.standings.lead(id_).placement.epoch
            agreed = agree is None or await agree()
            if agreed:
                found = await look()
            replica = self.standings.lead(id_).replica
            # In the same epoch: who was deposed and made leader again in between would hand out what was before.
            if agreed and replica.placement.epoch == epoch and replica.may_read(boot_time()):
                return found
            if boot_time() > deadline:
                raise UnavailableError("a member of the placement does not answer, and may lead it by now")
            peers = {each.server for each in replica.placement.complete()} - {self.standings.server}
            if silent := [each for each in peers if self.standings.pulse.is_silent(each, boot_time())]:
                await drop(id_, dict.fromkeys(silent, "it is silent, and a read waits for its promise"))
                continue
            began = boot_time()
            await self.renew(peers)
            if not (agreed and replica.may_read(boot_time())) and boot_time() - began < 0.1:
                await asyncio.sleep(0.1)

    async def run(self) -> None:
        """Renew for as long as the server runs."""
        while True:
            peers = {
                member.server
                for standing in self.standings.own()
                if standing.replica.leads()
                for member in standing.placement.complete()
            } - {self.standings.server}
            for peer in peers:
                self._ask(peer)
            await asyncio.sleep(_EVERY)

    async def renew(self, peers: set[str]) -> None:
        """Ask these servers now, and wait for their answers (for two seconds at the most)."""
        if tasks := [self._ask(each) for each in peers]:
            await asyncio.wait(tasks, timeout=PROMISE_SECONDS)

    def _ask(self, peer: str) -> asyncio.Task[None]:
        """One question at a time to each server: the one that is under way, or a new one."""
        task = self._asking.get(peer)
        if task is None or task.done():
            task = self._asking[peer] = asyncio.create_task(self._ask_peer(peer))
        return task

    async def _ask_peer(self, peer: str) -> None:
        led = {
            each.placement.id: each.replica
            for each in self.standings.own()
            if each.replica.leads() and each.placement.member(peer) is not None
        }
        url = self.standings.atlas.url_of(peer)
        if not led or not url:
            return
        asks = tuple(Ask(id_, replica.placement.epoch) for id_, replica in led.items())
        asked, limit = boot_time(), self.standings.pulse.limit(peer)
        try:
            answer = await self._calls.ask(
                url + PATH, AskPromises(self.standings.server, asks), Promises, seconds=limit
            )
            self.standings.pulse.answered(peer)
            for ask in asks:
                if ask.placement in answer.kept:
                    led[ask.placement].promised_by(peer, ask.epoch, asked)
            for newer in answer.newer:
                await self.standings.learn_placement(newer)
            if behind := tuple(led[id_].placement for id_ in answer.behind if id_ in led):
                await self._calls.ask(url + LEARN_PATH, Learn(behind), dict, seconds=PROMISE_SECONDS)
        except (UnavailableError, TimedOutError) as error:
            self.standings.pulse.failed(peer, asked, boot_time(), limit)
            log.info("%s gives no promise: %s", peer, error)
        except DrystoneError as error:
            log.info("%s gives no promise: %s", peer, error)

    async def close(self) -> None:
        """End the questions under way."""
        for task in self._asking.values():
            task.cancel()
        if self._asking:
            await asyncio.wait(self._asking.values())

    # ------------------------------------------------------------------ as another member

    def give(self, asked: AskPromises) -> Promises:
        """What we promise to a leader that asks."""
        kept: list[str] = []
        behind: list[str] = []
        newer = []
        for ask in asked.asks:
            standing = self.standings.find(ask.placement)
            known = standing.placement if standing is not None else self.standings.atlas.placement(ask.placement)
            if known is None or known.epoch < ask.epoch:
                behind.append(ask.placement)
            elif known.epoch > ask.epoch:
                newer.append(known)
            elif (
                # Not from memory alone: the disk may be in another server by now, which would not know of it.
                standing is not None
                and standing.bay.disk is not None
                and standing.replica.promise(ask.epoch, asked.leader, boot_time())
            ):
                kept.append(ask.placement)
        return Promises(tuple(kept), tuple(behind), tuple(newer))
