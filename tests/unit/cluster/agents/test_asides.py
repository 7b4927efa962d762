"""Questions that may wait: given up after a while, and one at most of each name."""

from __future__ import annotations

import threading

import pytest

from drystone.base.errors import NotFoundError
from drystone.cluster.agents.asides import Asides


def test_an_answer_and_an_error_come_back() -> None:
    asides = Asides[int](30)
    assert asides.ask("a", lambda: 7) == 7

    def fail() -> int:
        raise NotFoundError("it is gone")

    with pytest.raises(NotFoundError, match="it is gone"):
        asides.ask("a", fail)
    assert asides.ask("a", lambda: 8) == 8


def test_one_that_waits_keeps_its_own_name_only() -> None:
    out, begun = threading.Event(), threading.Event()
    asides = Asides[int](0.05)

    def hang() -> int:
        begun.set()
        assert out.wait(30)
        return 7

    assert asides.ask("a", hang) is None
    assert begun.wait(30)
    assert asides.ask("a", lambda: 8) is None
    assert Asides[int](30).ask("b", lambda: 9) == 9
    (waiting,) = [thread for thread in threading.enumerate() if "_answer" in thread.name]
    out.set()
    waiting.join(30)
    assert any(asides.ask("a", lambda: 10) == 10 for _ in range(1000))
