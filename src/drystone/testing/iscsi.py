# ruff: noqa: D103  a check is named by what it checks
"""The conformance check of an initiator, with a LIO that it logs in to: what `kernel/iscsi/abc.py` and, where both
sides are needed, `kernel/lio/abc.py` say.

A check is a function of an `IscsiBench`. `CHECKS` has all of them; they run on the simulated pair in the unit tests,
and on the real one inside a guest, which attaches its own disks over the loopback interface.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Self

from drystone.base.errors import BusyError, MismatchError, NotFoundError, TimedOutError, UnavailableError, UsageError
from drystone.kernel.dm.number import DeviceNumber
from drystone.kernel.iscsi.abc import Disk, Initiator, Session, Timeouts, await_disk, find_session
from drystone.kernel.iscsi.names import Chap, Portal, wwid_of
from drystone.testing.lio import IQN, PORTAL, SERIALS, LioBench, refused

CHAP = Chap("leg-user", "!\"#$%&'()*+,-./0:;<=>?@A[\\]^_`a{|}~")
"""Every printable character that is no letter or digit is in its secret."""
TIMEOUTS = Timeouts(replacement=3, login=2)
SIZE = 16 << 20
"""Bytes of each device below."""


@dataclass
class IscsiBench:
    """An initiator under test, and the LIO behind `PORTAL`. `with bench:` ends every session with a target of ours.

    :ivar hold: has a disk held, as a mount does.
    """

    initiator: Initiator
    shop: LioBench
    hold: Callable[[DeviceNumber], AbstractContextManager[None]]

    def __enter__(self) -> Self:
        self.cleanup()
        self.shop.cleanup()
        return self

    def __exit__(self, *_: object) -> None:
        self.cleanup()
        self.shop.cleanup()

    def cleanup(self) -> None:
        """End the sessions."""
        for session in self.initiator.sessions():
            if session.target.startswith(IQN):
                self.initiator.logout(session.target, session.portal)

    def leg(self, *, chap: Chap = CHAP, at: int = 0) -> str:
        """The IQN of a new target that shows one of the devices to this host as LUN 0."""
        iqn = self.shop.target(enabled=True)
        self.shop.lio.add_lun(iqn, 0, self.shop.store(at))
        self.shop.lio.grant(iqn, self.initiator.name(), chap, [0])
        return iqn

    def attached(self, iqn: str, chap: Chap = CHAP) -> Disk:
        """LUN 0 of a target, after a login."""
        self.initiator.login(iqn, PORTAL, chap=chap, timeouts=TIMEOUTS)
        return await_disk(self.initiator, iqn, PORTAL, 0)

    def session(self, iqn: str) -> Session | None:
        """The session with a target."""
        return find_session(self.initiator.sessions(), iqn, PORTAL)

    def is_logged_in(self, iqn: str) -> bool:
        """Whether there is a session that has a connection."""
        session = self.session(iqn)
        return session is not None and session.is_logged_in

    def soon(self, call: Callable[[], bool]) -> None:
        """Wait until `call` is true; AssertionError after twenty seconds."""
        for _ in range(200):
            if call():
                return
            time.sleep(0.1)
        raise AssertionError("it did not happen within twenty seconds")


def check_login_and_logout(bench: IscsiBench) -> None:
    iqn = bench.leg()
    disk = bench.attached(iqn)
    assert (disk.lun, disk.size, disk.wwid, disk.state) == (0, SIZE, wwid_of(SERIALS[0]), "running")
    assert disk.path == f"/dev/{disk.name}"
    session = bench.session(iqn)
    assert session is not None
    assert (session.target, session.portal, session.is_logged_in, session.replacement) == (iqn, PORTAL, True, 3)
    assert session.disks == (disk,)
    assert bench.shop.look(iqn).acls[0].logged_in
    bench.initiator.logout(iqn, PORTAL)
    assert bench.session(iqn) is None
    bench.soon(lambda: not bench.shop.look(iqn).acls[0].logged_in)
    bench.initiator.logout(iqn, PORTAL)


def check_login_twice(bench: IscsiBench) -> None:
    iqn = bench.leg()
    bench.attached(iqn)
    before = bench.session(iqn)
    assert before is not None
    bench.initiator.login(iqn, PORTAL, chap=CHAP, timeouts=Timeouts(replacement=4))
    after = bench.session(iqn)
    assert after is not None
    assert (after.identifier, after.disks, after.replacement) == (before.identifier, before.disks, 4)


def check_replacement_timeout(bench: IscsiBench) -> None:
    iqn = bench.leg()
    refused(NotFoundError, bench.initiator.set_replacement, iqn, PORTAL, 7)
    disk = bench.attached(iqn)
    bench.initiator.set_replacement(iqn, PORTAL, 7)
    refused(UsageError, bench.initiator.set_replacement, iqn, PORTAL, 3601)
    after = bench.session(iqn)
    assert after is not None
    assert (after.replacement, after.disks) == (7, (disk,))


def check_two_legs(bench: IscsiBench) -> None:
    one, two = bench.leg(at=0), bench.leg(at=1)
    first, second = bench.attached(one), bench.attached(two)
    assert first.number != second.number
    assert (first.wwid, second.wwid) == (wwid_of(SERIALS[0]), wwid_of(SERIALS[1]))
    bench.initiator.logout(one, PORTAL)
    assert bench.session(one) is None
    assert bench.is_logged_in(two)


def check_several_luns(bench: IscsiBench) -> None:
    iqn = bench.leg(at=0)
    bench.shop.lio.add_lun(iqn, 5, bench.shop.store(1))
    bench.shop.lio.grant(iqn, bench.initiator.name(), CHAP, [5])
    first = bench.attached(iqn)
    second = await_disk(bench.initiator, iqn, PORTAL, 5)
    assert (first.lun, second.lun, second.wwid) == (0, 5, wwid_of(SERIALS[1]))


def check_wrong_secret(bench: IscsiBench) -> None:
    iqn = bench.leg()
    name = bench.initiator.name()
    for chap in (Chap(CHAP.user, "another-secret"), Chap("another", CHAP.secret), None):
        error = refused(MismatchError, bench.initiator.login, iqn, PORTAL, chap=chap, timeouts=TIMEOUTS)
        assert "another-secret" not in f"{error} {error.facts}"
        assert bench.session(iqn) is None
        assert not bench.shop.look(iqn).acls[0].logged_in
    bench.shop.lio.grant(iqn, name, Chap(CHAP.user, "the-secret-is-new"), [0])
    refused(MismatchError, bench.initiator.login, iqn, PORTAL, chap=CHAP, timeouts=TIMEOUTS)
    bench.attached(iqn, Chap(CHAP.user, "the-secret-is-new"))


def check_longest_words_log_in(bench: IscsiBench) -> None:
    chap = Chap("u" * 255, "s" * 255)
    bench.attached(bench.leg(chap=chap), chap)


def check_stranger(bench: IscsiBench) -> None:
    iqn = bench.shop.target(enabled=True)
    bench.shop.lio.add_lun(iqn, 0, bench.shop.store())
    bench.shop.lio.grant(iqn, f"{IQN}another-host", CHAP, [0])
    refused(MismatchError, bench.initiator.login, iqn, PORTAL, chap=CHAP, timeouts=TIMEOUTS)
    assert bench.session(iqn) is None


def check_nobody_there(bench: IscsiBench) -> None:
    iqn = bench.leg()
    begun = time.monotonic()
    refused(UnavailableError, bench.initiator.login, iqn, Portal("127.0.0.1", 3999), chap=CHAP, timeouts=TIMEOUTS)
    refused(UnavailableError, bench.initiator.login, f"{IQN}none", PORTAL, chap=CHAP, timeouts=TIMEOUTS)
    assert time.monotonic() - begun < 60, "the time of a login is a setting"
    bench.shop.lio.enable_target(iqn, enabled=False)
    refused(UnavailableError, bench.initiator.login, iqn, PORTAL, chap=CHAP, timeouts=TIMEOUTS)
    assert [each for each in bench.initiator.sessions() if each.target.startswith(IQN)] == []
    bench.shop.lio.enable_target(iqn)
    bench.attached(iqn)


def check_no_disk(bench: IscsiBench) -> None:
    iqn = bench.shop.target(enabled=True)
    bench.shop.lio.grant(iqn, bench.initiator.name(), CHAP, [])
    refused(NotFoundError, await_disk, bench.initiator, iqn, PORTAL, 0)
    bench.initiator.login(iqn, PORTAL, chap=CHAP, timeouts=TIMEOUTS)
    refused(TimedOutError, await_disk, bench.initiator, iqn, PORTAL, 0, timeout=0.3)


def check_disk_that_is_held(bench: IscsiBench) -> None:
    iqn = bench.leg()
    disk = bench.attached(iqn)
    with bench.hold(disk.number):
        refused(BusyError, bench.initiator.logout, iqn, PORTAL)
        assert bench.is_logged_in(iqn)
    bench.initiator.logout(iqn, PORTAL)


def check_revoke_ends_the_session(bench: IscsiBench) -> None:
    iqn = bench.leg()
    bench.attached(iqn)
    bench.shop.lio.revoke(iqn, bench.initiator.name())
    assert bench.shop.look(iqn).acls == ()
    bench.soon(lambda: not bench.is_logged_in(iqn))
    error = refused(UnavailableError, bench.initiator.login, iqn, PORTAL, chap=CHAP, timeouts=TIMEOUTS)
    assert "lost" in error.message
    bench.initiator.logout(iqn, PORTAL)
    refused(MismatchError, bench.initiator.login, iqn, PORTAL, chap=CHAP, timeouts=TIMEOUTS)


def check_disabled_target_comes_back(bench: IscsiBench) -> None:
    iqn = bench.leg()
    disk = bench.attached(iqn)
    bench.shop.lio.enable_target(iqn, enabled=False)
    bench.soon(lambda: not bench.is_logged_in(iqn))
    session = bench.session(iqn)
    assert session is not None
    assert session.disks[0].state != "running"
    bench.shop.lio.enable_target(iqn)
    bench.soon(lambda: bench.is_logged_in(iqn))
    assert await_disk(bench.initiator, iqn, PORTAL, 0).number == disk.number


def check_names_that_are_none(bench: IscsiBench) -> None:
    for name in ("", "../../etc", "iqn.2026-11.org.example:a/b", "iqn.2026-11.org.example:a --logoutall"):
        refused(UsageError, bench.initiator.login, name, PORTAL)
        refused(UsageError, bench.initiator.logout, name, PORTAL)


CHECKS: list[Callable[[IscsiBench], None]] = [value for name, value in globals().items() if name.startswith("check_")]
