from __future__ import annotations

import signal
import threading
from collections.abc import Callable

import pytest

from drystone.dvm.signals import HeldSignals, InterruptedWaitError, unwound_by_signals


def interrupt() -> None:
    # To this thread: a signal to the process may wake any idle thread, and its handler then runs some time later, after
    # the test, where it ends the whole run.
    signal.raise_signal(signal.SIGINT)


def hold(signals: HeldSignals, *steps: Callable[[], object]) -> None:
    """Run the steps with signals held."""
    with signals.held():
        for step in steps:
            step()


def wait(signals: HeldSignals, *steps: Callable[[], object]) -> None:
    """Run the steps with signals let through."""
    with signals.let_through():
        for step in steps:
            step()


def test_ctrl_c_waits_for_the_end_of_the_block() -> None:
    seen: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        hold(HeldSignals(), interrupt, lambda: seen.append("went on"))
    assert seen == ["went on"]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_a_signal_that_another_thread_receives_waits_too() -> None:
    seen: list[str] = []
    begin = threading.Event()

    def receive() -> None:
        begin.wait()
        signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=receive)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        hold(HeldSignals(), begin.set, thread.join, lambda: seen.append("went on"))
    assert seen == ["went on"]


def test_the_outermost_block_delivers() -> None:
    signals = HeldSignals()
    seen: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        hold(signals, lambda: hold(signals, interrupt), lambda: seen.append("inner is over"))
    assert seen == ["inner is over"]


def test_a_wait_is_ended_and_the_signal_still_delivered() -> None:
    signals = HeldSignals()
    seen: list[str] = []

    def wait_in_vain() -> None:
        with pytest.raises(InterruptedWaitError):
            wait(signals, interrupt, signal.pause)
        with pytest.raises(InterruptedWaitError):
            wait(signals, lambda: seen.append("not reached: one has come already"))
        seen.append("after")

    with pytest.raises(KeyboardInterrupt):
        hold(signals, wait_in_vain)
    assert seen == ["after"]


def test_other_threads_hold_nothing() -> None:
    signals = HeldSignals()
    done: list[bool] = []

    def work() -> None:
        with signals.held(), signals.let_through():
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]


def test_handlers_are_as_before() -> None:
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    with HeldSignals().held():
        assert signal.getsignal(signal.SIGTERM) != before[signal.SIGTERM]
    assert {each: signal.getsignal(each) for each in before} == before


def test_what_would_end_the_process_unwinds_once_instead() -> None:
    cleaned: list[str] = []

    def work() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGTERM)
            cleaned.append("the second one changed nothing")

    with pytest.raises(SystemExit, match="143"), unwound_by_signals():
        work()
    assert cleaned == ["the second one changed nothing"]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_whoever_handles_a_signal_goes_on_to() -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: seen.append(number))
    try:
        with unwound_by_signals():
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == [signal.SIGTERM]
