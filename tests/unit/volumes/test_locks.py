"""One operation a volume at a time; others are not held up."""

from __future__ import annotations

import threading

import pytest

from drystone.base.errors import BusyError
from drystone.volumes.locks import Uses, VolumeLocks


def test_one_at_a_time_and_nothing_is_kept() -> None:
    locks = VolumeLocks()
    inside = 0
    most = 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(50):
            with locks.hold("v"):
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert most == 1
    assert locks._locks == {}


def test_another_volume_is_not_held_up() -> None:
    locks = VolumeLocks()
    with locks.hold("v"):
        done = threading.Event()

        def other() -> None:
            with locks.hold("w"):
                done.set()

        thread = threading.Thread(target=other)
        thread.start()
        assert done.wait(120)
        thread.join()


def test_a_failure_lets_go() -> None:
    locks = VolumeLocks()
    with pytest.raises(ValueError, match="x"), locks.hold("v"):
        raise ValueError("x")
    with locks.hold("v"):
        pass


def test_uses_are_counted() -> None:
    uses = Uses()
    with uses.using("a", "b"), uses.using("a"):
        for each in ("a", "b"):
            with pytest.raises(BusyError, match="snapshot x is being read"):
                uses.check_free(each, "snapshot x")
    with uses.using("b"):
        uses.check_free("a", "snapshot x")
    uses.check_free("b", "snapshot x")
