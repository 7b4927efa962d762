"""Limits hold."""

from __future__ import annotations

import subprocess
import sys

import pytest

DEADLOCK = """
import threading
from drystone.testing.fuzz import limits
limits.WATCHDOG = 0.2
with limits.watch(), limits.limit_time(60):
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()
"""


AFTERWARDS = """
from drystone.testing.fuzz import limits
def must_raise(error, limit, act):
    try:
        with limit:
            act()
    except error:
        return
    raise AssertionError(error)
def spin():
    while True:
        pass
must_raise(MemoryError, limits.limit_memory(1 << 20), lambda: bytearray(64 << 20))
assert len(bytearray(64 << 20)) == 64 << 20
must_raise(limits.OverTimeError, limits.limit_time(0.01), spin)
sum(range(1_000_000))
"""

ANEW = """
from drystone.testing.fuzz import limits
held = bytearray(b"x") * (64 << 20)
most = limits.measure_memory()
del held
limits.forget_memory()
assert limits.measure_memory() < most - (48 << 20)
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own: what others have freed would be given out again, and no limit be met."""
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)


def test_what_waits_for_ever_without_the_processor_is_ended_with_a_trace() -> None:
    done = run(DEADLOCK)
    assert done.returncode == 1
    assert "Timeout" in done.stderr
    assert "<string>" in done.stderr


@pytest.mark.parametrize("program", [AFTERWARDS, ANEW], ids=["time and memory are unlimited again", "the most anew"])
def test_what_holds_afterwards(program: str) -> None:
    done = run(program)
    assert done.returncode == 0, done.stderr
