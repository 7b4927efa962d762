"""The host's own initiator, with an iscsiadm and a sysfs of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from drystone.base.errors import (
    BusyError,
    DamagedError,
    DrystoneError,
    MismatchError,
    NotFoundError,
    UnavailableError,
    UnsupportedError,
)
from drystone.kernel.iscsi.abc import Disk, Timeouts
from drystone.kernel.iscsi.daemon import Run
from drystone.kernel.iscsi.initiator import OpenIscsi
from drystone.kernel.iscsi.names import Chap, Portal
from drystone.kernel.programs import Outcome
from drystone.testing.program_bench import StillClock

TARGET, PORTAL = "iqn.2026-11.org.example:leg", Portal("10.0.0.1")
CHAP = Chap("leg-user", "leg-secret-leg-secret")


@dataclass
class World:
    """iscsiadm as far as it is used: records are files, a login is a session in sysfs.

    `codes`: what runs whose words hold a key end with, one after another; 0, or no more of them: they do their work.
    """

    root: Path
    codes: dict[str, list[int]] = field(default_factory=dict)
    ran: list[list[str]] = field(default_factory=list)
    user: str = ""
    asked: list[bool] = field(default_factory=list)
    begun: int = 0
    clock: StillClock = field(default_factory=StillClock)

    @property
    def session(self) -> Path:
        return self.root / "sys/class/iscsi_session/session3"

    def initiator(self) -> OpenIscsi:
        return OpenIscsi(
            run=self.run,
            start=self.begin,
            find_user=self.find_user,
            sysfs=str(self.root / "sys"),
            records=str(self.root / "nodes"),
            name_file=str(self.root / "initiatorname.iscsi"),
            clock=self.clock,
        )

    def begin(self, run: Run, clock: object) -> None:
        self.begun += 1

    def find_user(self, disk: Disk, is_logged_in: bool) -> str:
        self.asked.append(is_logged_in)
        return self.user

    def run(self, program: str, words: Sequence[str]) -> Outcome:
        self.ran.append([program, *words])
        for key, codes in self.codes.items():
            if key in words and codes and (code := codes.pop(0)):
                return Outcome(program, code, "", f"iscsiadm: {key} went wrong")
        deed: Callable[[], int] = {
            "new": self.make_record, "delete": self.drop_record, "--login": self.log_in, "--logout": self.log_out
        }.get(words[-1], lambda: 0)  # fmt: skip
        return Outcome(program, deed(), "", "")

    @property
    def record(self) -> Path:
        return self.root / "nodes" / TARGET / "10.0.0.1,3260,1" / "default"

    def make_record(self) -> int:
        self.record.parent.mkdir(parents=True, exist_ok=True)
        self.record.write_text("# BEGIN RECORD\n# END RECORD\n")
        return 0

    def drop_record(self) -> int:
        if not self.record.exists():
            return 21
        self.record.unlink()
        return 0

    def log_in(self) -> int:
        connection = self.session / "device/connection3:0/iscsi_connection/connection3:0"
        disk = self.session / "device/target3:0:0/3:0:0:0/block/sda"
        for folder in (connection, disk):
            folder.mkdir(parents=True)
        for path, text in {
            self.session / "targetname": TARGET,
            self.session / "state": "LOGGED_IN",
            self.session / "recovery_tmo": "5",
            connection / "persistent_address": "10.0.0.1",
            connection / "persistent_port": "3260",
            disk / "dev": "8:0",
            disk / "size": "8",
        }.items():
            path.write_text(text)
        return 0

    def log_out(self) -> int:
        if not self.session.exists():
            return 21
        self.session.rename(self.root / "gone")
        return 0


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_login_and_a_logout(world: World) -> None:
    initiator = world.initiator()
    initiator.login(TARGET, PORTAL, chap=CHAP, timeouts=Timeouts(replacement=5))
    assert f"node.session.auth.password = {CHAP.secret}" in world.record.read_text()
    assert [each.is_logged_in for each in initiator.sessions()] == [True]
    initiator.logout(TARGET, PORTAL)
    assert initiator.sessions() == []
    assert not world.record.exists()
    assert ["iscsiadm", "--mode", "session", "--sid", "3", "--logout"] in world.ran
    initiator.logout(TARGET, PORTAL)


def test_no_word_of_a_command_is_the_secret(world: World) -> None:
    world.initiator().login(TARGET, PORTAL, chap=CHAP)
    assert not [words for words in world.ran if any(CHAP.secret in word for word in words)]


@pytest.mark.parametrize(("code", "kind"), [(24, MismatchError), (8, UnavailableError), (12, UnsupportedError)])
def test_a_login_that_fails_leaves_no_record(world: World, code: int, kind: type[DrystoneError]) -> None:
    world.codes["--login"] = [code]
    with pytest.raises(kind):
        world.initiator().login(TARGET, PORTAL, chap=CHAP)
    assert not world.record.exists()


def test_what_went_wrong_first_is_told(world: World) -> None:
    world.codes = {"--login": [24], "delete": [13]}
    with pytest.raises(MismatchError):
        world.initiator().login(TARGET, PORTAL, chap=CHAP)


def test_a_login_that_somebody_else_made_meanwhile(world: World) -> None:
    world.codes["--login"] = [15]
    world.initiator().login(TARGET, PORTAL, chap=CHAP)


def test_a_second_login_sets_the_replacement_timeout_alone(world: World) -> None:
    initiator = world.initiator()
    initiator.login(TARGET, PORTAL, chap=CHAP, timeouts=Timeouts(replacement=5))
    world.ran.clear()
    initiator.login(TARGET, PORTAL, timeouts=Timeouts(replacement=9))
    assert world.ran == []
    assert (world.session / "recovery_tmo").read_text() == "9"


def test_a_session_that_lost_its_target(world: World) -> None:
    initiator = world.initiator()
    initiator.login(TARGET, PORTAL, chap=CHAP)
    (world.session / "state").write_text("FREE")
    with pytest.raises(UnavailableError, match="lost its connection"):
        initiator.login(TARGET, PORTAL, chap=CHAP)
    assert world.begun == 2, "iscsid is who takes it up again"
    initiator.logout(TARGET, PORTAL)
    assert world.asked == [False], "a disk without a connection is not opened"


def test_a_disk_that_is_in_use_stays(world: World) -> None:
    initiator = world.initiator()
    initiator.login(TARGET, PORTAL, chap=CHAP)
    world.user = "mounted at /srv"
    with pytest.raises(BusyError, match=r"/dev/sda of .* is mounted at /srv"):
        initiator.logout(TARGET, PORTAL)
    assert initiator.sessions()
    assert world.record.exists()


def test_a_logout_waits_for_iscsid_to_be_ready(world: World) -> None:
    initiator = world.initiator()
    initiator.login(TARGET, PORTAL, chap=CHAP)
    world.codes["--logout"] = [32, 29, 28, 2, 21]
    initiator.logout(TARGET, PORTAL)
    assert initiator.sessions() == []


@pytest.mark.parametrize("code", [32, 2, 21])
def test_a_logout_does_not_wait_for_ever(world: World, code: int) -> None:
    initiator = world.initiator()
    initiator.login(TARGET, PORTAL, chap=CHAP)
    world.codes["--logout"] = [code] * 1000
    with pytest.raises(UnavailableError, match="not connected"):
        initiator.logout(TARGET, PORTAL)
    assert 20 <= world.clock.seconds < 21
    assert world.record.exists()


def test_a_logout_that_fails(world: World) -> None:
    initiator = world.initiator()
    initiator.login(TARGET, PORTAL, chap=CHAP)
    world.codes["--logout"] = [9]
    with pytest.raises(DrystoneError, match="ended with 9"):
        initiator.logout(TARGET, PORTAL)
    assert world.clock.seconds == 0
    assert world.record.exists()


def test_records_that_others_change_meanwhile(world: World) -> None:
    world.codes = {"new": [6], "update": [21], "--login": [6, 21], "delete": [6, 15]}
    initiator = world.initiator()
    initiator.login(TARGET, PORTAL, chap=CHAP)
    initiator.logout(TARGET, PORTAL)
    assert not any(world.codes.values())
    assert not world.record.exists()


def test_the_name_of_this_host(world: World) -> None:
    file = world.root / "initiatorname.iscsi"
    with pytest.raises(NotFoundError, match="no initiator's name"):
        world.initiator().name()
    file.write_text("# InitiatorName=iqn.2026-11.org.example:old\nGenerateName=yes\n")
    with pytest.raises(NotFoundError):
        world.initiator().name()
    file.write_text("## a comment\nInitiatorName = iqn.2026-11.org.example:host \n")
    assert world.initiator().name() == "iqn.2026-11.org.example:host"
    file.write_bytes(b"InitiatorName=\xff/../x\n")
    with pytest.raises(DamagedError, match="no IQN"):
        world.initiator().name()
