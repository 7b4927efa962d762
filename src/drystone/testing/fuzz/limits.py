"""Limits for code that must not be trusted to end: seconds a case, bytes for the process."""

from __future__ import annotations

import contextlib
import faulthandler
import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

WATCHDOG = 120
"""Seconds after which the process is ended from outside the interpreter, with a trace, when not even a signal helps."""

_STDERR = 2


class OverTimeError(BaseException):
    """A case took longer than it may. Not an Exception, so that nothing on the way takes it for one."""


@contextlib.contextmanager
def limit_memory(more: int) -> Iterator[None]:
    """Let the process map `more` bytes beyond what it has mapped now; what wants more meets a MemoryError."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    wanted = mapped + more
    resource.setrlimit(resource.RLIMIT_AS, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@contextlib.contextmanager
def limit_time(seconds: float) -> Iterator[None]:
    """Seconds of the processor's time, not the clock's: other work on the machine does not count. In the main thread.

    :raises OverTimeError: they are over.
    """

    def stop(_: int, __: FrameType | None) -> None:
        raise OverTimeError

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@contextlib.contextmanager
def watch() -> Iterator[None]:
    """End the process when this takes longer than WATCHDOG seconds: code outside the interpreter heeds no signal."""
    faulthandler.dump_traceback_later(WATCHDOG, exit=True, file=_STDERR)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def forget_memory() -> None:
    """Begin anew with what `measure_memory` tells."""
    Path("/proc/self/clear_refs").write_text("5")


def measure_memory() -> int:
    """Bytes that the process has had resident at most, since it began or since `forget_memory`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024
