"""The fence: after a revoke has returned, nothing of the initiator's reaches the disk any more."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from drystone.base.errors import BusyError, MismatchError, TimedOutError, UnavailableError
from drystone.kernel.iscsi.initiator import OpenIscsi
from drystone.kernel.iscsi.names import Portal
from drystone.kernel.lio.abc import Acl
from drystone.testing.iscsi_leg import (
    CHAP,
    HOST,
    IQN,
    TIMEOUTS,
    Leg,
    Writers,
    attach,
    begin_login,
    name_this_host,
    offered,
    read_numbers,
)

pytestmark = pytest.mark.lab(memory="256M")


@pytest.fixture(params=["127.0.0.1", "::1"])
def leg(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Leg]:
    name_this_host()
    with offered(tmp_path / "disk", Portal(request.param)) as made:
        yield made
        OpenIscsi().logout(IQN, made.portal)


def test_nothing_is_acknowledged_or_written_after_it(leg: Leg) -> None:
    disk = attach(leg.portal)
    with Writers(disk.path) as writers:
        writers.wait_for(200)
        leg.revoke()
        written, fenced = leg.count_writes(), time.monotonic()
        there = read_numbers(leg.below)
    assert leg.count_writes() == written
    assert written >= writers.count_acknowledged() >= 200
    assert writers.last < fenced
    assert len(writers.errors) == writers.count
    assert {*writers.errors} <= {"Input/output error", "Remote I/O error"}  # without its session, without its LUN
    assert read_numbers(leg.below) == there
    assert not [block for block, number in writers.acknowledged.items() if there[block] < number]
    OpenIscsi().logout(IQN, leg.portal)
    with pytest.raises(MismatchError):
        attach(leg.portal)
    leg.grant()
    assert read_numbers(attach(leg.portal).path) == there


@pytest.mark.parametrize("leg", ["127.0.0.1"], indirect=True)
def test_it_waits_for_writes_that_are_stuck(leg: Leg) -> None:
    disk = attach(leg.portal)
    returned: list[float] = []
    written: list[int] = []

    def revoke() -> None:
        leg.revoke()
        written.append(leg.count_writes())
        returned.append(time.monotonic())

    with Writers(disk.path) as writers:
        writers.wait_for(50)
        leg.dm.suspend("leg", lock_fs=False)
        time.sleep(0.3)
        seen = writers.last
        # The second one finds an ACL that is on its way out: it may not take that for a fence.
        threads = [threading.Thread(target=revoke, daemon=True) for _ in range(2)]
        for thread in threads:
            thread.start()
            time.sleep(0.5)
        assert not returned
        assert writers.last == seen
        leg.dm.resume("leg")
        resumed = time.monotonic()
        for thread in threads:
            thread.join(60)
        there = read_numbers(leg.below)
    assert written == [leg.count_writes()] * 2
    assert len(returned) == 2
    assert min(returned) > resumed
    assert writers.last < max(returned)
    assert read_numbers(leg.below) == there
    assert not [block for block, number in writers.acknowledged.items() if there[block] < number]


@pytest.mark.parametrize("leg", ["127.0.0.1"], indirect=True)
def test_it_says_when_it_is_not_done(leg: Leg) -> None:
    disk = attach(leg.portal)
    with begin_login(leg.portal), Writers(disk.path) as writers:
        writers.wait_for(50)
        for _ in range(2):
            with pytest.raises(TimedOutError, match="has not removed"):
                leg.revoke(timeout=1)
            assert leg.lio.targets()[0].acls == (Acl(HOST, "", (), logged_in=False),)
            with pytest.raises(BusyError, match="under way"):
                leg.grant()
    leg.revoke()
    written = leg.count_writes()
    assert leg.lio.targets()[0].acls == ()
    there = read_numbers(leg.below)
    assert leg.count_writes() == written
    assert not [block for block, number in writers.acknowledged.items() if there[block] < number]


@pytest.mark.parametrize("leg", ["127.0.0.1"], indirect=True)
def test_a_stalled_login_does_not_reach_beyond_its_portal(leg: Leg) -> None:
    other, portal = f"{IQN}-2", Portal("127.0.0.1", 3261)
    leg.lio.create_target(other)
    leg.lio.add_lun(other, 0, "leg")
    leg.lio.grant(other, HOST, CHAP, [0])
    leg.lio.add_portal(other, portal)
    leg.lio.enable_target(other)
    initiator = OpenIscsi()

    def wait_behind() -> None:
        with contextlib.suppress(UnavailableError):  # there it is: the login that has come to a standstill is first
            attach(leg.portal)

    waiting = threading.Thread(target=wait_behind, daemon=True)
    with begin_login(leg.portal):
        waiting.start()
        time.sleep(1)
        initiator.login(other, portal, chap=CHAP, timeouts=TIMEOUTS)
        waiting.join(60)
    initiator.logout(other, portal)
    leg.lio.revoke(other, HOST)
    leg.lio.remove_lun(other, 0)
    leg.lio.remove_target(other)
