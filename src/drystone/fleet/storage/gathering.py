"""Parts of an upload put together on a server's disk before the change that makes an object of them begins.

A change is under way for seconds, and members that make it are waited for no longer. To put parts together may take
minutes, where all their bytes must be copied. So a leader asks its members for that first; what they have by then is
found by the change.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass

from drystone.base.errors import UnavailableError
from drystone.fleet.disk.disk import Disk
from drystone.fleet.disk.incoming import Incoming
from drystone.fleet.storage.members import Gather, Gathered
from drystone.fleet.storage.shelf import Bay
from drystone.fleet.storage.standing import Standing

log = logging.getLogger(__name__)

GATHER_PATH = "/internal/members/gather"
_WAIT_SECONDS = 3.0
"""For so long an answer is waited for, that then says "not yet"."""
_KEPT_SECONDS = 60.0
"""A body that no leader asked for in so long is let go."""
_LOOK_SECONDS = 5.0

_Name = tuple[str, str, tuple[int, ...]]
"""Placement, upload, numbers of its parts."""


async def gather(bay: Bay, disk: Disk, placement_id: str, upload_id: str, numbers: tuple[int, ...]) -> Incoming:
    """The parts as one body, with its sums but for MD5. Others have the disk between its steps.

    :raises NotFoundError: there is no such upload or part. :raises DamagedError: a part is not what was put.
    :raises DrystoneError: the disk fails, is full, or is closed.
    """
    assembly = await bay.run(disk.assemble, placement_id, upload_id, numbers)
    try:
        while await bay.run(assembly.step):
            pass
    except BaseException:
        await bay.run(assembly.give_up)
        raise
    return assembly.body


@dataclass(slots=True)
class _Gathering:
    """:ivar until: when it is let go, of `time.monotonic`."""

    bay: Bay
    disk: Disk
    task: asyncio.Task[Incoming]
    until: float

    @property
    def is_whole(self) -> bool:
        """Whether the parts are together."""
        return self.task.done() and not self.task.cancelled() and self.task.exception() is None


class Gatherings:
    """Bodies that leaders will want, of uploads whose parts lie here."""

    def __init__(self) -> None:
        self._known: dict[_Name, _Gathering] = {}

    async def ask(self, standing: Standing, wanted: Gather) -> Gathered:
        """Begin to put the parts together, or go on, for a few seconds; how far that is then.

        :raises DrystoneError: it cannot be done.
        """
        name = standing.placement.id, wanted.upload_id, wanted.numbers
        bay, disk = standing.bay, standing.disk
        known = self._known.get(name)
        if known is None or known.disk is not disk:
            self._drop(name)
            known = _Gathering(bay, disk, asyncio.create_task(gather(bay, disk, *name)), 0.0)
            self._known[name] = known
        known.until = time.monotonic() + _KEPT_SECONDS
        await asyncio.wait({known.task}, timeout=_WAIT_SECONDS)
        if not known.task.done():
            return Gathered(whole=False)
        if known.task.cancelled():
            raise UnavailableError("the parts are put together no more", hint="ask again")
        if (error := known.task.exception()) is not None:
            self._drop(name)
            raise error
        return Gathered(whole=True)

    def take(self, disk: Disk, placement_id: str, upload_id: str, numbers: tuple[int, ...]) -> Incoming | None:
        """The body, whole and on this disk; None: there is none. It is whose who takes it."""
        known = self._known.get((placement_id, upload_id, numbers))
        if known is None or known.disk is not disk or not known.is_whole:
            return None
        del self._known[placement_id, upload_id, numbers]
        return known.task.result()

    async def run(self) -> None:
        """Let go of what no leader wants any more, for as long as the server runs; of all in the end."""
        try:
            while True:
                await asyncio.sleep(_LOOK_SECONDS)
                for name, known in tuple(self._known.items()):
                    if known.until < time.monotonic():
                        await self._let_go(name)
        finally:
            for name in tuple(self._known):
                await self._let_go(name)

    def _drop(self, name: _Name) -> _Gathering | None:
        """Forget a body: its file goes with the last who knows it."""
        known = self._known.pop(name, None)
        if known is not None:
            known.task.cancel()
        return known

    async def _let_go(self, name: _Name) -> None:
        """Forget a body, and remove its file now."""
        known = self._drop(name)
        if known is None:
            return
        await asyncio.wait({known.task})
        if known.is_whole:
            log.info("placement %s: upload %s was put together for nobody", name[0], name[1])
            await asyncio.to_thread(known.task.result().abandon)
