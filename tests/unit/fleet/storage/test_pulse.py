"""Who is silent: those that were asked all the time and answered nothing, by a clock that went on."""

from __future__ import annotations

from drystone.fleet.storage.pulse import Pulse


def test_who_answers_nothing_for_three_seconds_is_silent() -> None:
    pulse = Pulse()
    assert pulse.limit("s2") == 2.0
    pulse.failed("s2", 10.0, 12.0, 2.0)
    assert pulse.limit("s2") == 1.0, "so that it is known soon"
    pulse.failed("s2", 12.1, 12.1, 1.0)
    assert not pulse.is_silent("s2", 12.9)
    assert pulse.is_silent("s2", 13.0)
    assert not pulse.is_silent("s3", 13.0)
    pulse.failed("s2", 12.5, 13.5, 1.0)
    assert pulse.is_silent("s2", 16.0)


def test_one_answer_that_does_not_come_says_little() -> None:
    pulse = Pulse()
    pulse.failed("s2", 10.0, 12.0, 2.0)
    assert not pulse.is_silent("s2", 14.0)


def test_an_answer_ends_it() -> None:
    pulse = Pulse()
    pulse.failed("s2", 10.0, 10.0, 2.0)
    pulse.failed("s2", 12.9, 12.9, 1.0)
    pulse.answered("s2")
    assert not pulse.is_silent("s2", 13.5)
    assert pulse.limit("s2") == 2.0


def test_a_stall_of_our_own_says_nothing() -> None:
    pulse = Pulse()
    pulse.failed("s2", 10.0, 20.0, 2.0)
    pulse.failed("s2", 10.0, 20.0, 2.0)
    assert not pulse.is_silent("s2", 20.0)


def test_who_is_not_asked_any_more_is_not_silent() -> None:
    pulse = Pulse()
    pulse.failed("s2", 10.0, 12.0, 2.0)
    pulse.failed("s2", 12.0, 13.0, 1.0)
    assert not pulse.is_silent("s2", 16.5)
    pulse.failed("s2", 30.0, 30.0, 2.0)
    pulse.failed("s2", 30.5, 30.5, 2.0)
    assert not pulse.is_silent("s2", 30.5), "what was long ago does not count"
