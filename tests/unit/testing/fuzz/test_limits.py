"""Limits hold."""

from __future__ import annotations

import subprocess
import sys

import pytest

from drystone.testing.fuzz import limits

DEADLOCK = """
import threading
from drystone.testing.fuzz import limits
limits.WATCHDOG = 0.2
with limits.watch(), limits.limit_time(60):
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()
"""


def spin() -> None:
    while True:
        pass


def test_what_waits_for_ever_without_the_processor_is_ended_with_a_trace() -> None:
    done = subprocess.run([sys.executable, "-c", DEADLOCK], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "Timeout" in done.stderr
    assert "<string>" in done.stderr


def test_time_and_memory_are_unlimited_again_afterwards() -> None:
    with pytest.raises(MemoryError), limits.limit_memory(1 << 20):
        bytearray(64 << 20)
    assert len(bytearray(64 << 20)) == 64 << 20
    with pytest.raises(limits.OverTimeError), limits.limit_time(0.01):
        spin()
    sum(range(1_000_000))


def test_the_most_memory_is_told_anew() -> None:
    held = bytearray(b"x") * (64 << 20)
    most = limits.measure_memory()
    del held
    limits.forget_memory()
    assert limits.measure_memory() < most - (48 << 20)
