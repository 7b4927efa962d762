"""The same done to many devices, at once where they are slow: waiting for all takes as long as for the slowest disk.

For what may be done in any order.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

WORTH_S = 0.05
"""Seconds of waiting that must lie ahead before threads are started: several times what they cost, in a guest too."""
_LOOKED_AT = 15
"""So many of those that were served tell how long the others will take."""
MOST_THREADS = 8
_TICK_S = 0.01
"""By which kernels count processor time that do not measure it (User-Mode Linux: HZ is 100)."""

Action = Callable[[], None]


def run_together(groups: Sequence[Sequence[Action]], *, worth_s: float = WORTH_S) -> None:
    """Do all actions; those of a group one after another, in one thread.

    The groups are served in turn. When those that were have waited for so long (for a disk, not for the processor; the
    middle one of them) that the others would take more than `worth_s` of waiting, these are served at once, by threads
    that have ended when this returns. Whatever fails, all are tried.

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
    waits: list[float] = []
    passed, used = time.monotonic(), time.thread_time()
    while waiting:
        serve(waiting.pop(0))
        if len(waiting) < 2:  # nothing is done at once any more
            continue
        if len(waits) < _LOOKED_AT:
            before, passed, used_before, used = passed, time.monotonic(), used, time.thread_time()
            waits = sorted([*waits, tell_wait(passed - before, used - used_before)])
        # Not the mean: who has to wait for the processor now and then has waited long there. And nothing by the first
        # alone: it pays for what all need.
        each_s = waits[(len(waits) - 1) // 2] if len(waits) > 1 else 0.0
        if each_s * len(waiting) > worth_s:
            _serve_at_once(serve, waiting)
    if failures:
        raise failures[min(failures)]


def tell_wait(passed_s: float, used_s: float) -> float:
    """Seconds that were waited at least, of those that have passed, when so much processor time was used.

    A clock of processor time that has not moved goes by ticks, and up to one was used.
    """
    return max(passed_s - (used_s or _TICK_S), 0.0)


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
