"""What an ihost's agent does for long: its end may come later than anybody waits for it."""

from __future__ import annotations

import threading
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
