"""What an ihost's agent does for long: its end may come later than anybody waits for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from threading import Event

import pytest
from msgspec.structs import replace

from drystone.base.errors import BusyError
from drystone.cluster.agents.runs import Run, Runs
from drystone.cluster.model.backup import BackupSeen, BackupWish

WISH = BackupWish(
    id="7f0c6a0e-3f0c-4d3b-9a53-2f4a6f3f7b11", dlv="01234567-89ab-cdef-0123-456789abcdef", name="db", snapshot="s",
    thin_id=1, size=1 << 20, repository="nightly",
)  # fmt: skip


class BegunAgain(Event):
    """The end of a run: whoever waits for it is overtaken by somebody who asks for the work again."""

    def __init__(self, ask: Callable[[], object]) -> None:
        super().__init__()
        self._ask: Callable[[], object] | None = ask

    def wait(self, timeout: float | None = None) -> bool:
        is_ended = super().wait(timeout)
        ask, self._ask = self._ask, None
        if is_ended and ask is not None:
            ask()
        return is_ended


def join() -> None:
    for thread in threading.enumerate():
        if thread.name == f"backup-{WISH.id}":
            thread.join(30)


def test_what_was_late_in_ending_is_begun_anew_when_it_is_asked_for_again() -> None:
    answers, begun = Event(), []

    def work(run: Run[BackupWish]) -> BackupSeen:
        """Waits for a store that hangs."""
        begun.append(run.wish)
        assert answers.wait(30)
        run.note(1, 2)
        return replace(run.seen, status="finished")

    runs: Runs[BackupWish] = Runs("backup", work, stop_seconds=0)
    assert runs.put(WISH).status == "running"
    with pytest.raises(BusyError, match="has not ended"):
        runs.leave(WISH.dlv)
    answers.set()
    join()
    runs.leave(WISH.dlv)
    runs.put(WISH)
    join()
    assert (runs.put(WISH).status, len(begun)) == ("finished", 2)


def test_one_that_is_begun_anew_while_its_end_is_waited_for_is_ended_too() -> None:
    begun: list[Run[BackupWish]] = []

    def work(run: Run[BackupWish]) -> BackupSeen:
        if not begun:
            run.ended = BegunAgain(lambda: runs.put(WISH))
        begun.append(run)
        for _ in range(3000):
            run.note(1, 2)
            time.sleep(0.01)
        return replace(run.seen, status="finished")

    runs: Runs[BackupWish] = Runs("backup", work)
    runs.put(WISH)
    while not begun:
        time.sleep(0.01)
    runs.leave(WISH.dlv)
    assert len(begun) <= 2
    assert all(run.ended.is_set() for run in begun)
    assert runs.find(WISH.id) is None
    join()
    assert all(run.ended.is_set() for run in begun)
