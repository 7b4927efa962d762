"""Waiting for calls that no signal ends."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from drystone.base.errors import NotFoundError
from drystone.store.waiting import heed_interrupts, pause, wait_for

GRACE = 0.3


@contextlib.contextmanager
def interrupted_after(seconds: float) -> Iterator[None]:
    main = threading.main_thread().ident
    assert main is not None
    interrupt = threading.Timer(seconds, lambda: signal.pthread_kill(main, signal.SIGINT))
    interrupt.start()
    try:
        yield
    finally:
        interrupt.join()


@pytest.fixture
def silence() -> Iterator[Callable[[], bool]]:
    """An action that lasts until the test's end: who waits for it waits for ever."""
    over = threading.Event()
    yield over.wait
    over.set()


def fail() -> None:
    raise NotFoundError("nothing")


def last_a_little() -> str:
    time.sleep(0.2)
    return "done"


def test_results_and_failures_are_handed_over() -> None:
    assert wait_for(lambda: threading.current_thread() is threading.main_thread()) is False
    with pytest.raises(NotFoundError):
        wait_for(fail)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: wait_for(threading.get_ident) == threading.get_ident()).result()
        with heed_interrupts():
            assert pool.submit(lambda: wait_for(threading.get_ident) != threading.get_ident()).result()
            with pytest.raises(NotFoundError):
                pool.submit(wait_for, fail).result()


def test_ctrl_c_ends_the_main_threads_waiting_at_once(silence: Callable[[], bool]) -> None:
    with pytest.raises(KeyboardInterrupt), interrupted_after(0.1):
        wait_for(silence)


def test_ctrl_c_ends_the_waiting_of_other_threads_after_a_grace(silence: Callable[[], bool]) -> None:
    with heed_interrupts(GRACE), ThreadPoolExecutor(2) as pool:
        silent = pool.submit(wait_for, silence)
        slow = pool.submit(wait_for, last_a_little)
        begun = time.monotonic()
        with pytest.raises(KeyboardInterrupt), interrupted_after(0.1):
            threading.Event().wait()
        assert slow.result() == "done", "what ends within the grace is waited for"
        with pytest.raises(KeyboardInterrupt):
            silent.result()
        assert time.monotonic() - begun >= GRACE
        assert wait_for(lambda: "answered") == "answered", "cleaning up goes on where the store answers"


def test_after_ctrl_c_a_silent_store_is_asked_once(silence: Callable[[], bool]) -> None:
    asked: list[int] = []
    with heed_interrupts(GRACE):
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        begun = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            wait_for(silence)
        assert time.monotonic() - begun >= GRACE
        for _ in range(3):
            with pytest.raises(KeyboardInterrupt):
                wait_for(lambda: asked.append(1))
    assert asked == []
    assert wait_for(lambda: "another command") == "another command"


def test_pauses_end_with_ctrl_c() -> None:
    with heed_interrupts(GRACE), ThreadPoolExecutor(1) as pool:
        pausing = pool.submit(pause, 1e6)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        pausing.result()


def test_other_handlers_are_left_alone() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with heed_interrupts():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(heed_interrupts().__enter__).result()
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_signals_unwind_once_and_end_waiting(number: signal.Signals, silence: Callable[[], bool]) -> None:
    with heed_interrupts(GRACE), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(wait_for, silence)
        with pytest.raises(SystemExit, match=str(128 + number)):
            signal.raise_signal(number)
        signal.raise_signal(signal.SIGTERM)  # while it is unwound already
        with pytest.raises(SystemExit, match=str(128 + number)):
            waiting.result()
    assert signal.getsignal(number) is signal.SIG_DFL
