"""iscsid comes when it is needed, also when it has died; several logins at once."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from drystone.base.errors import UnavailableError
from drystone.kernel.iscsi.abc import await_disk, find_session
from drystone.kernel.iscsi.daemon import is_running
from drystone.kernel.iscsi.initiator import OpenIscsi
from drystone.kernel.iscsi.names import Portal
from drystone.kernel.iscsi.records import RECORDS
from drystone.kernel.sysfs import read_text
from drystone.testing.iscsi_leg import CHAP, HOST, IQN, TIMEOUTS, Leg, attach, name_this_host, offered, read_numbers

pytestmark = pytest.mark.lab(memory="256M")
PORTAL = Portal("127.0.0.1")


@pytest.fixture
def leg(tmp_path: Path) -> Iterator[Leg]:
    name_this_host()
    with offered(tmp_path / "disk", PORTAL) as made:
        yield made
        for session in OpenIscsi().sessions():
            OpenIscsi().logout(session.target, session.portal)


def kill_iscsid() -> None:
    """Its processes, by their own numbers."""
    for status in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(ProcessLookupError):  # one that scans for disks ends by itself
            if read_text(status) == "iscsid":
                os.kill(int(status.parent.name), signal.SIGKILL)
    while is_running():
        time.sleep(0.01)


def state() -> str:
    session = find_session(OpenIscsi().sessions(), IQN, PORTAL)
    return session.state if session else ""


def test_it_is_started_and_found_again(leg: Leg) -> None:
    assert not is_running()
    disk = attach(PORTAL)
    assert is_running()
    kill_iscsid()
    assert read_numbers(disk.path) == read_numbers(leg.below), "a session needs nobody while its connection is whole"
    OpenIscsi().logout(IQN, PORTAL)
    assert is_running()
    assert state() == ""


def test_a_session_that_lost_its_daemon_is_taken_up_by_the_next(leg: Leg) -> None:
    attach(PORTAL)
    kill_iscsid()
    leg.lio.enable_target(IQN, enabled=False)
    while state() == "LOGGED_IN":
        time.sleep(0.1)
    leg.lio.enable_target(IQN)
    with pytest.raises(UnavailableError, match="lost its connection"):
        OpenIscsi().login(IQN, PORTAL, chap=CHAP, timeouts=TIMEOUTS)
    while state() != "LOGGED_IN":
        time.sleep(0.1)


def test_the_secret_is_for_root_alone_and_gone_after_the_logout(leg: Leg) -> None:
    attach(PORTAL)
    records = [each for each in Path(RECORDS).rglob("*") if each.is_file()]
    assert [CHAP.secret in each.read_text() for each in records] == [True]
    assert all(stat.S_IMODE(each.stat().st_mode) == 0o600 for each in records)
    OpenIscsi().logout(IQN, leg.portal)
    assert not [each for each in Path(RECORDS).rglob("*") if each.is_file()]


def test_several_logins_at_once(leg: Leg) -> None:
    iqns = [f"{IQN}-{at}" for at in range(4)]
    for iqn in iqns:
        leg.lio.create_target(iqn)
        leg.lio.add_lun(iqn, 0, "leg")
        leg.lio.grant(iqn, HOST, CHAP, [0])
        leg.lio.add_portal(iqn, PORTAL)
        leg.lio.enable_target(iqn)
    initiator = OpenIscsi()

    def log_in(iqn: str) -> str:
        initiator.login(iqn, PORTAL, chap=CHAP, timeouts=TIMEOUTS)
        return await_disk(initiator, iqn, PORTAL, 0).path

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(log_in, iqns))) == 4
        list(pool.map(lambda iqn: initiator.logout(iqn, PORTAL), iqns))
    assert initiator.sessions() == []
    for iqn in iqns:
        leg.lio.revoke(iqn, HOST)
        leg.lio.remove_lun(iqn, 0)
        leg.lio.remove_target(iqn)
