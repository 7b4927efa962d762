from __future__ import annotations

import os
import signal
import threading

import pytest

from drystone.dvm.signals import HeldSignals, InterruptedWaitError


def test_ctrl_c_waits_for_the_end_of_the_block() -> None:
    signals = HeldSignals()
    steps: list[str] = []
    with pytest.raises(KeyboardInterrupt), signals.held():
        os.kill(os.getpid(), signal.SIGINT)
        steps.append("went on")
    assert steps == ["went on"]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_a_signal_that_another_thread_receives_waits_too() -> None:
    signals = HeldSignals()
    steps: list[str] = []
    begin = threading.Event()

    def raise_it() -> None:
        begin.wait()
        signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=raise_it)
    thread.start()
    with pytest.raises(KeyboardInterrupt), signals.held():
        begin.set()
        thread.join()
        steps.append("went on")
    assert steps == ["went on"]


def test_the_outermost_block_delivers() -> None:
    signals = HeldSignals()
    with pytest.raises(KeyboardInterrupt), signals.held():
        with signals.held():
            os.kill(os.getpid(), signal.SIGINT)
        steps = ["inner is over"]
    assert steps == ["inner is over"]


def test_a_wait_is_ended_and_the_signal_still_delivered() -> None:
    signals = HeldSignals()
    seen: list[str] = []
    with pytest.raises(KeyboardInterrupt), signals.held():
        with pytest.raises(InterruptedWaitError), signals.let_through():
            os.kill(os.getpid(), signal.SIGINT)
            signal.pause()
        with pytest.raises(InterruptedWaitError), signals.let_through():
            seen.append("not reached: one has come already")
        seen.append("after")
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
