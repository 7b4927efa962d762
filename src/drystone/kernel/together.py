"""The same done to many devices, at once where they are slow: waiting for all takes as long as for the slowest disk.

For what may be done in any order.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

SLOW_S = 0.001
"""Seconds that one group must have waited before threads are started for the others: several times what one costs."""
MOST_THREADS = 16

Action = Callable[[], None]


def run_together(groups: Sequence[Sequence[Action]], *, slow_s: float = SLOW_S) -> None:
    """Do all actions; those of a group one after another, in one thread.

    The groups are served in turn while that is quick, and from the first one on that waited (for a disk, not for the
    processor) the others at once, by threads that have ended when this returns. Whatever fails, all are tried.

    :raises BaseException: the first failure in the order of the groups.
    """
    failures: dict[tuple[int, int], BaseException] = {}

    def serve(number: int) -> None:
        for place, action in enumerate(groups[number]):
            try:
                action()
            except BaseException as error:  # noqa: BLE001  # raised below, in the thread of the caller
                failures[number, place] = error

    waiting = list(range(len(groups)))
    while waiting:
        began, used = time.monotonic(), time.thread_time()
        serve(waiting.pop(0))
        waited = time.monotonic() - began - (time.thread_time() - used)
        if waited > slow_s and len(waiting) > 1:
            _serve_at_once(serve, waiting)
    if failures:
        raise failures[min(failures)]


def _serve_at_once(serve: Callable[[int], None], waiting: list[int]) -> None:
    """Serve all that wait; `waiting` is empty afterwards."""
    import threading

    def work() -> None:
        while True:
            try:
                number = waiting.pop()
            except IndexError:
                return
            serve(number)

    threads = [threading.Thread(target=work) for _ in range(min(MOST_THREADS, len(waiting)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
