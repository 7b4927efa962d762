"""Waiting for calls that no signal ends, and ending the waiting soon after Ctrl-C.

obstore's calls do not look at signals, and wait as long as a store is silent: half a minute, and again. A program that
is told to end shall end within seconds, yet clean up where the store answers. So within `heed_interrupts` Ctrl-C does
not only raise KeyboardInterrupt in the main thread: from then on a request, of any thread, has `GRACE` seconds, and
raises it too when it takes longer. SIGTERM and SIGHUP, which would end the process at once and leave what it was at,
are heeded in the same way; they raise SystemExit. Once one that began after Ctrl-C took longer the stores count as
gone, and none is asked any more. A request that nobody waits for ends with the process: what it was to do may be done
or not.
"""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TypeVar

GRACE = 2.0
"""Seconds that a request may take after Ctrl-C."""

SIGNALLED = 128
"""Added to a signal's number it is the exit code of what that ended, as shells count it."""

_ENDING = (signal.SIGTERM, signal.SIGHUP)
_POLL = 0.1
"""Seconds between two looks at whether Ctrl-C came. An event would not do: a signal's handler may not take its lock."""

_T = TypeVar("_T")


class _Interrupts:
    """What this process was told by its user; written by the main thread's handler, read by all.

    :ivar heeded: Ctrl-C is looked for. :ivar grace: seconds that a request may take once it came.
    :ivar came: when it or another signal came (monotonic seconds); infinity: none did. :ivar number: of the first.
    :ivar given_up: a request that began since took longer than its grace.
    """

    def __init__(self) -> None:
        self.heeded = False
        self.grace = GRACE
        self.came = math.inf
        self.number = signal.SIGINT
        self.given_up = False

    def begin(self, grace: float) -> None:
        """Look for it from now on; none came."""
        self.grace = grace
        self.came = math.inf
        self.number = signal.SIGINT
        self.given_up = False
        self.heeded = True

    def end(self) -> None:
        """No more; what came is forgotten."""
        self.heeded = False
        self.came = math.inf
        self.given_up = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The handler of SIGINT and of _ENDING: of the latter the first raises, and none once another came."""
        first = self.came == math.inf
        if first:
            self.came = time.monotonic()
            self.number = signal.Signals(number)
        if number == signal.SIGINT:
            signal.default_int_handler(number, frame)
        if first:
            raise self.error()

    def error(self) -> BaseException:
        """What the signal that came raises."""
        return KeyboardInterrupt() if self.number == signal.SIGINT else SystemExit(SIGNALLED + self.number)


_INTERRUPTS = _Interrupts()
"""Of the process, as a signal is."""


@contextlib.contextmanager
def heed_interrupts(grace: float = GRACE) -> Iterator[None]:
    """While the block runs, Ctrl-C ends requests too; and SIGTERM and SIGHUP unwind the main thread, as it does.

    Changes nothing outside the main thread, nor for a signal that is ignored or handled by somebody already.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    wanted = {signal.SIGINT: signal.default_int_handler, **dict.fromkeys(_ENDING, signal.SIG_DFL)}
    before = {each: usual for each, usual in wanted.items() if signal.getsignal(each) is usual}
    if not before:
        yield
        return
    _INTERRUPTS.begin(grace)
    for each in before:
        signal.signal(each, _INTERRUPTS.handle)
    try:
        yield
    finally:
        for each, usual in before.items():
            signal.signal(each, usual)
        _INTERRUPTS.end()


def wait_for(action: Callable[[], _T]) -> _T:
    """What `action` returns or raises. Ctrl-C ends the waiting, and leaves the action to itself.

    The main thread, which alone gets signals, runs the action in a thread of its own, which costs about 0.1 ms; within
    `heed_interrupts` every thread does.

    :raises KeyboardInterrupt: Ctrl-C came, and the action took longer than its grace. SystemExit: another signal came.
    """
    if not _INTERRUPTS.heeded and threading.current_thread() is not threading.main_thread():
        return action()
    results: list[_T] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            results.append(action())
        except BaseException as error:  # noqa: BLE001 - raised again by who waits
            failures.append(error)

    begun = time.monotonic()
    check_interrupts(begun)
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(_POLL)
        if thread.is_alive():
            check_interrupts(begun)
    if failures:
        raise failures[0]
    return results[0]


def check_interrupts(begun: float) -> None:
    """Go on with a request that began at `begun` (monotonic seconds).

    :raises KeyboardInterrupt: Ctrl-C came and its grace is over. SystemExit: another signal, likewise.
    """
    overdue = time.monotonic() > max(begun, _INTERRUPTS.came) + _INTERRUPTS.grace
    if overdue and begun > _INTERRUPTS.came:
        _INTERRUPTS.given_up = True
    if overdue or _INTERRUPTS.given_up:
        raise _INTERRUPTS.error()


def pause(seconds: float) -> None:
    """Sleep; not much longer than `_POLL` once Ctrl-C came."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0 and _INTERRUPTS.came == math.inf:
        time.sleep(min(left, _POLL))
