"""Signals that would end the process.

They wait while a program runs: ended in the middle, devices would stay suspended. And SIGTERM unwinds, as Ctrl-C does,
while something is held that has to be given back.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from types import FrameType

HELD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


ENDING = (signal.SIGTERM, signal.SIGHUP)
"""Those of HELD that end a process at once, unless somebody handles them."""

SIGNALLED = 128
"""Added to a signal's number it is the exit code of what that ended, as shells count it."""


def is_main_thread() -> bool:
    """Whether this is the thread in which Python runs handlers. Where nobody imported threading there is no other."""
    threading = sys.modules.get("threading")
    return threading is None or threading.current_thread() is threading.main_thread()


@contextlib.contextmanager
def unwound_by_signals() -> Iterator[None]:
    """While the block runs, the first of ENDING raises SystemExit in it; later ones do nothing.

    Changes nothing for a signal that is handled or ignored already, and in other threads than the main one.
    """
    if not is_main_thread():
        yield
        return
    came: list[int] = []

    def unwind(number: int, _frame: FrameType | None) -> None:
        came.append(number)
        if len(came) == 1:
            raise SystemExit(SIGNALLED + number)

    ours = [each for each in ENDING if signal.getsignal(each) is signal.SIG_DFL]
    try:
        for each in ours:
            signal.signal(each, unwind)
        yield
    finally:
        for each in ours:
            signal.signal(each, signal.SIG_DFL)


class InterruptedWaitError(Exception):
    """A held signal came while it was let through."""


class HeldSignals:
    """Holds HELD while its `held()` block runs and delivers what came afterwards.

    In the main thread Python's handlers are set aside as well: a signal that another thread of the process receives
    would run them here. In other threads Python runs no handlers.
    """

    def __init__(self) -> None:
        self._came: list[int] = []
        self._is_open = False
        self._is_held = False

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the signals; those that came are raised again, once each, when the outermost block ends."""
        if self._is_held or not is_main_thread():
            yield
            return
        self._is_held = True
        old = {each: signal.getsignal(each) for each in HELD}
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
        for each in HELD:
            signal.signal(each, self._note)
        try:
            yield
        finally:
            # Let through what is pending while the noting handlers are in place, then give it to the old ones.
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            for number, handler in old.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)
            self._is_held = False
            for came in dict.fromkeys(self._came):
                signal.raise_signal(came)

    @contextlib.contextmanager
    def let_through(self) -> Iterator[None]:
        """Signals end this block by InterruptedWaitError, and are delivered after the outer one all the same."""
        if not is_main_thread():
            yield
            return
        self._is_open = True
        try:
            if self._came:
                raise InterruptedWaitError
            signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD)
            yield
        finally:
            self._is_open = False
            signal.pthread_sigmask(signal.SIG_BLOCK, HELD)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._came.append(number)
        if self._is_open:
            raise InterruptedWaitError
