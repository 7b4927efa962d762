"""The watch over the pools: each is looked at every ten seconds, and a change of its state is logged, once.

Why not the kernel's events: decision 0111.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Sequence

from drystone.base.errors import DrystoneError
from drystone.volumes.abilities import PoolReport

log = logging.getLogger(__name__)

SECONDS = 10.0
"""Between two looks."""


class PoolWatch:
    """Looks by `list_pools`, and remembers the state in which each pool was last seen."""

    def __init__(self, list_pools: Callable[[], Sequence[PoolReport]], seconds: float = SECONDS) -> None:
        self._list_pools = list_pools
        self._seconds = seconds
        self._states: dict[str, str] = {}
        self._problem = ""

    def look(self) -> None:
        """Look once. What fails is logged, once as long as it goes on: the watch must outlive it."""
        try:
            pools = self._list_pools()
        except Exception as error:  # the supervisor of looks: a driver's defect must not end the watch
            problem = str(error) or type(error).__name__
            if problem != self._problem:
                is_ours = isinstance(error, DrystoneError | OSError)
                log.error("the pools cannot be looked at: %s", problem, exc_info=not is_ours)  # noqa: TRY400  # the message is the news, but for a defect
            self._problem = problem
            return
        self._problem = ""
        for pool in pools:
            before = self._states.get(pool.name, "ok")
            self._states[pool.name] = pool.state
            if pool.state == before:
                continue
            if pool.state == "ok":
                log.info("pool %s has room again", pool.name)
            else:
                log.warning("pool %s is %s: %s; %s", pool.name, pool.state, pool.text, _ADVICE[pool.state])

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Look now and every so often, in a thread, until the block ends."""
        over = threading.Event()

        def watch() -> None:
            self.look()
            while not over.wait(self._seconds):
                self.look()

        thread = threading.Thread(target=watch, name="pool-watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


_MORE_ROOM = "delete volumes or snapshots, trim, or enlarge its devices and: drystone volume pool extend"
_ADVICE = {
    "low": _MORE_ROOM,
    "full": f"no volume and no snapshot is made any more: {_MORE_ROOM}",
    "needs-check": "see dmesg; stop the daemon and run drystone thin check on its metadata device",
    "failed": "see dmesg; stop the daemon and run drystone thin check on its metadata device",
}
