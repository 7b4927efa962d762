"""Timeouts, and the wait for a disk, on a clock of the test's own."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from drystone.base.errors import NotFoundError, TimedOutError, UsageError
from drystone.kernel.dm.number import DeviceNumber
from drystone.kernel.iscsi.abc import Disk, Session, Timeouts, await_disk
from drystone.kernel.iscsi.names import Chap, Portal
from drystone.testing.program_bench import StillClock

TARGET, PORTAL = "iqn.2026-11.org.example:leg", Portal("10.0.0.1")
DISK = Disk(0, "sda", DeviceNumber(8, 0), 4096, "", "running")
SESSION = Session(1, TARGET, PORTAL, "LOGGED_IN", 5, ())


@dataclass
class Told:
    """An initiator that says one list of sessions after another, the last one for ever."""

    lists: list[list[Session]] = field(default_factory=list)

    def name(self) -> str:
        return "iqn.2026-11.org.example:host"

    def sessions(self) -> list[Session]:
        return self.lists.pop(0) if len(self.lists) > 1 else self.lists[0]

    def login(self, target: str, portal: Portal, *, chap: Chap | None = None, timeouts: Timeouts | None = None) -> None:
        raise AssertionError("nobody logs in")

    def set_replacement(self, target: str, portal: Portal, seconds: int) -> None:
        raise AssertionError("nobody waits for longer")

    def logout(self, target: str, portal: Portal) -> None:
        raise AssertionError("nobody logs out")


@pytest.mark.parametrize(
    "wrong", [{"replacement": -1}, {"replacement": 3601}, {"noop_interval": -1}, {"noop_timeout": 9999}, {"login": 0}]
)
def test_timeouts_that_cannot_be(wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Timeouts(**wrong)
    Timeouts(replacement=0, noop_interval=0, noop_timeout=0, login=1)


def test_a_disk_is_waited_for_until_it_has_a_size() -> None:
    empty = replace(SESSION, disks=(replace(DISK, size=0), replace(DISK, lun=1)))
    clock = StillClock()
    told = Told([[], [SESSION], [empty], [replace(SESSION, disks=(DISK,))]])
    told.lists.pop(0)
    assert await_disk(told, TARGET, PORTAL, 0, clock=clock) == DISK
    assert 0 < clock.seconds < 1


def test_a_disk_that_does_not_come() -> None:
    clock = StillClock()
    with pytest.raises(TimedOutError, match="LUN 3"):
        await_disk(Told([[SESSION]]), TARGET, PORTAL, 3, timeout=7, clock=clock)
    assert 7 <= clock.seconds < 8


def test_a_disk_of_a_session_that_is_gone_or_another() -> None:
    for sessions in ([], [replace(SESSION, portal=Portal("10.0.0.2"))], [replace(SESSION, target=f"{TARGET}2")]):
        with pytest.raises(NotFoundError):
            await_disk(Told([sessions]), TARGET, PORTAL, 0, clock=StillClock())
