"""Agents without kernels behind real doors: they note what they are told, and keep an agent's rules about epochs."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from drystone.base.errors import MismatchError, NotFoundError
from drystone.cluster.agents.answers import DiskSeen, LegSeen, LegsSeen, Survey, VolumeSeen
from drystone.cluster.agents.door import Backups, Restores, serve_agent
from drystone.cluster.model.calls import LegsWish, VolumeWish

Wish = TypeVar("Wish", LegsWish, VolumeWish)


class NotingAgent(Generic[Wish]):
    """:ivar wishes: what was told last of each dlv, :ivar puts: how often it was told. :ivar before_answer: is called
    when what was told is done, and its answer not sent.
    """

    def __init__(self, kind: type[Wish]) -> None:
        self.kind: type[Any] = kind
        self.wishes: dict[str, Wish] = {}
        self.puts = 0
        self.before_answer: Callable[[], None] = lambda: None
        self._lock = threading.Lock()

    def put(self, wish: Wish) -> Any:
        """:raises MismatchError: it is older than what was told, or another wish of the same epoch."""
        with self._lock:
            noted = self.wishes.get(wish.dlv)
            is_other = noted is not None and noted.epoch == wish.epoch and _plain(noted) != _plain(wish)
            if noted is not None and (noted.epoch > wish.epoch or is_other):
                raise MismatchError(f"dlv {wish.dlv} is in epoch {noted.epoch} here", epoch=noted.epoch)
            self.wishes[wish.dlv] = wish
            self.puts += 1
            self.before_answer()
        return self.look(wish.dlv)

    def look(self, dlv: str) -> Any:
        """:raises NotFoundError: nothing was told of it."""
        wish = self.wishes.get(dlv)
        if wish is None:
            raise NotFoundError(f"there is no dlv {dlv} here")
        if isinstance(wish, LegsWish):
            legs = tuple(LegSeen(each.leg, each.size, True, True, each.initiators, ()) for each in wish.exports)
            return LegsSeen(dlv, wish.epoch, legs, wish.state)
        disks = tuple(DiskSeen(each.leg, "LOGGED_IN", "running", "8:0") for each in wish.disks)
        return VolumeSeen(dlv, wish.epoch, "/dev/mapper/x" if disks else "", disks, (), wish.state)

    def survey(self) -> Survey:
        """All of it."""
        return Survey({dlv: wish.epoch for dlv, wish in self.wishes.items()}, {}, ())


def _plain(wish: LegsWish | VolumeWish) -> object:
    """What is the same whoever says it: how logs begin is not."""
    if isinstance(wish, LegsWish):
        return wish
    return (wish.attachment, wish.disks, [log.path for log in wish.logs], [each.name for each in wish.state.devices])


@contextlib.contextmanager
def serving(
    *agents: NotingAgent[Any], backups: Backups | None = None, restores: Restores | None = None
) -> Iterator[list[str]]:
    """Their addresses, HOST:PORT on loopback, while the block runs. :param backups, restores: who does them there."""
    loop = asyncio.new_event_loop()
    ended = asyncio.Event()
    addresses: list[str] = []
    ready = threading.Event()

    async def serve() -> None:
        async with contextlib.AsyncExitStack() as stack:
            for agent in agents:
                url = await stack.enter_async_context(
                    serve_agent(agent, "127.0.0.1:0", backups=backups, restores=restores, plain=True)
                )
                addresses.append(url.removeprefix("http://"))
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    try:
        assert ready.wait(30), "they do not listen"
        yield addresses
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()
